"""The mapped methods of a class, found in the `__dict__`s of its MRO."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import CO_VARARGS
from types import FunctionType
from typing import Any, TypeVar

from cortado.container import BeanDefinition
from cortado.metadata import own_record, records_of
from cortado.routing.errors import MappingError
from cortado.routing.mappings import ExceptionHandling, HttpMapping, RequestMapping, WebSocketMapping

__all__ = ["Member", "base_path", "class_of", "is_coroutine", "mapped_members", "plain_members", "qualified"]

MAPPED = (ExceptionHandling, HttpMapping, WebSocketMapping)

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Member:
    """One mapped method, as it stands in a class."""

    attribute: str
    function: Callable[..., Any]
    definer: type
    """The class in whose body it stands, which may be a base of the controller."""

    def records(self, kind: type[Record]) -> tuple[Record, ...]:
        """Return its mappings of one kind, in the order of the lines read upwards."""
        return records_of(self.function, kind)

    @property
    def maps(self) -> bool:
        """Whether requests or connections are mapped to it."""
        return bool(self.records(HttpMapping) or self.records(WebSocketMapping))


def class_of(bean: BeanDefinition) -> type | None:
    """Return the class whose methods a bean has; None where its definition doesn't tell."""
    known = bean.factory if isinstance(bean.factory, type) else bean.type
    return known if isinstance(known, type) else None


def qualified(owner: type, attribute: str) -> str:
    """Return how errors name a method: module, class, method."""
    return f"{owner.__module__}.{owner.__qualname__}.{attribute}"


def base_path(owner: type) -> str:
    """Return the path of the nearest `request_mapping` in the MRO, or nothing."""
    for kind in owner.__mro__:
        if found := own_record(kind, RequestMapping):
            return found.path
    return ""


def mapped_members(owner: type) -> tuple[list[Member], list[MappingError]]:
    """Return the mapped methods in definition order, those of base classes first, and what is wrong with them.

    Only the classes' own dictionaries are read: no descriptor is triggered, and nothing is instantiated.
    """
    members: dict[str, Member] = {}
    problems: list[MappingError] = []
    for kind in reversed(owner.__mro__):
        for attribute, value in vars(kind).items():
            if isinstance(value, FunctionType) and _is_mapped(value):
                if _takes_self(value):
                    members[attribute] = Member(attribute, value, kind)
                else:
                    problems.append(_without_self(owner, attribute))
            elif attribute in members:
                del members[attribute]
                if value is not None:
                    problems.append(_undecorated(owner, kind, attribute))
            elif isinstance(value, staticmethod | classmethod) and (
                _is_mapped(value) or _is_mapped(value.__func__)
            ):
                problems.append(_without_self(owner, attribute))
            elif _is_mapped(value) or (isinstance(value, property) and _is_mapped(value.fget)):
                made = type(value).__name__
                problems.append(
                    MappingError(
                        qualified(owner, attribute),
                        f"is mapped but is a {made}, not a method; map a plain method that uses it",
                    )
                )
    return list(members.values()), problems


def _takes_self(function: FunctionType) -> bool:
    code = function.__code__
    return code.co_argcount > 0 or bool(code.co_flags & CO_VARARGS)


def _without_self(owner: type, attribute: str) -> MappingError:
    return MappingError(
        qualified(owner, attribute),
        "is mapped but has no self; make it a plain method: def name(self)",
    )


def plain_members(owner: type) -> dict[str, object]:
    """Return every attribute of the classes of the MRO as it stands in their dictionaries, the nearest winning."""
    return {name: value for kind in reversed(owner.__mro__) for name, value in vars(kind).items()}


def is_coroutine(function: Callable[..., Any]) -> bool:
    """Whether calling the function, or what it wraps, gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function))


def _is_mapped(value: object) -> bool:
    return any(isinstance(record, MAPPED) for record in records_of(value, object))


def _undecorated(owner: type, kind: type, attribute: str) -> MappingError:
    return MappingError(
        qualified(owner, attribute),
        f"overrides a mapped method without a mapping of its own (in {kind.__qualname__}); "
        f"decorate it too, or set {attribute} = None to drop the mapping",
    )
