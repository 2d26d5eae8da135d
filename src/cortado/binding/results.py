"""A handler's result to JSON: serialisers compiled from return annotations."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Collection
from functools import partial
from types import NoneType
from typing import Annotated, Any, Never, NoReturn, Union, get_args, get_origin

from pydantic_core import to_json

from cortado.binding.converters import adapter_for
from cortado.binding.signature import ABSENT
from cortado.binding.types import members_of

__all__ = ["Serialize", "compile_serializer", "serialize_any"]

Serialize = Callable[[Any], bytes]
"""Turns a result into JSON, at once into bytes."""

NOTHING = frozenset({ABSENT, None, NoneType, NoReturn, Never})
STREAMS = frozenset({AsyncIterator, AsyncIterable, AsyncGenerator})

serialize_any: Serialize = partial(to_json, inf_nan_mode="null")
"""Serialises by the value's own type, where an annotation says nothing."""


def compile_serializer(returns: Any, responses: Collection[type] = ()) -> Serialize:
    """Return the serialiser for a return annotation.

    What the annotation names is what is written: of a subclass, or of another object in a model's place, only the
    declared fields; any other value of another type is an error of the handler. Field aliases are used, as they are
    for reading.

    Args:
        returns: The annotation, `ABSENT` if there is none.
        responses: Types that are responses by themselves; of `Entity[T]`, with `Entity` among them, `T` is written.

    Raises:
        NotConvertible: The annotation means nothing to pydantic.
    """
    documents = tuple(_documents(returns, tuple(responses)))
    if not documents or any(one in {Any, object} for one in documents):
        return serialize_any
    adapter = adapter_for(Union[documents])  # noqa: UP007 - built from a tuple
    return partial(adapter.serializer.to_json, by_alias=True, warnings="error")


def _documents(returns: Any, responses: tuple[type, ...]) -> list[Any]:
    """Return the members of the annotation that become JSON."""
    found: list[Any] = []
    for member in members_of(returns):
        origin = get_origin(member)
        kind = origin or member
        if member in NOTHING or kind in STREAMS:
            continue
        if origin is Annotated and _is_response(get_args(member)[0], responses):
            continue
        if not _is_response(kind, responses):
            found.append(member)
        elif origin is not None:
            found += _documents(get_args(member)[0], responses)
    return found


def _is_response(kind: Any, responses: tuple[type, ...]) -> bool:
    return isinstance(kind, type) and issubclass(kind, responses)
