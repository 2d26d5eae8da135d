"""The typed records that decorators leave on classes and functions, and how to read them."""

from typing import Any, TypeVar

__all__ = ["attach", "own_record", "records_of"]

ATTRIBUTE = "__cortado__"

Record = TypeVar("Record")


def attach(target: Any, record: object) -> None:
    """Leave a record on a class or function, beside those already there.

    The record goes into the target's own `__dict__`: a subclass inherits nothing, nothing else is touched,
    and no registry is filled.
    """
    held: tuple[object, ...] = vars(target).get(ATTRIBUTE, ())
    setattr(target, ATTRIBUTE, (*held, record))


def records_of(target: object, kind: type[Record]) -> tuple[Record, ...]:
    """Return the records of one kind on the target itself, in the order in which they take effect.

    Decorators are applied from the bottom up, so this is the order of the lines read upwards. Reads `__dict__`
    only: no descriptor and no `__getattr__` is ever triggered.
    """
    held: tuple[object, ...] = getattr(target, "__dict__", {}).get(ATTRIBUTE, ())
    return tuple(record for record in held if isinstance(record, kind))


def own_record(target: object, kind: type[Record]) -> Record | None:
    """Return the last record of one kind on the target itself, or None."""
    found = records_of(target, kind)
    return found[-1] if found else None
