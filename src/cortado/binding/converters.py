"""Conversion by pydantic: adapters built once, and their errors in the words of a problem."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from cortado.problems import FieldError

__all__ = ["NotConvertible", "adapter_for", "field_errors"]

MOST_ERRORS = 100

Location = tuple[str | int, ...]


class NotConvertible(Exception):
    """Pydantic can't make values of a type; the text says why."""


def adapter_for(annotation: Any, metadata: Iterable[object] = ()) -> TypeAdapter[Any]:
    """Return the adapter for a type, further narrowed by pydantic's metadata.

    Raises:
        NotConvertible: The type or the metadata mean nothing to pydantic.
    """
    described: Any = annotation
    for one in metadata:
        narrowed: Any = Annotated[described, one]
        described = narrowed
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(described)
        adapter.rebuild()  # raises where a name inside of the type is still unknown, and not at the first request
    except (PydanticUserError, SchemaError, NameError, TypeError, ValueError) as exc:
        # The first sentence says what is wrong; the cures that follow are pydantic's, not ours.
        raise NotConvertible(str(exc).partition("\n")[0].partition(". ")[0]) from exc
    return adapter


def field_errors(error: ValidationError, location: Location) -> list[FieldError]:
    """Return what is wrong with a value found at a location; of very many errors, the first hundred."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [FieldError((*location, *one["loc"]), one["msg"], one["type"]) for one in found[:MOST_ERRORS]]
