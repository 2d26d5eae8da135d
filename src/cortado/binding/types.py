"""Questions about annotations."""

import dataclasses
import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from typing_extensions import TypeAliasType, is_typeddict

from cortado.container.forms import substituted

__all__ = [
    "accepts_none",
    "bare",
    "describes_body",
    "is_many",
    "is_mapping",
    "members_of",
    "specialised",
    "spell",
    "word_choice",
]

MANY = frozenset({list, set, frozenset, tuple, Sequence, AbstractSet, Collection, Iterable})


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, also by an alias; anything else is its own only member."""
    if isinstance(annotation, TypeAliasType):
        return members_of(annotation.__value__)
    if get_origin(annotation) in {Union, UnionType}:
        return get_args(annotation)
    return (annotation,)


def bare(annotation: Any) -> Any:
    """Return the annotation without what `Annotated` adds, and without `None` where one type remains."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    members = [member for member in members_of(annotation) if member is not NoneType]
    if len(members) == 1 and members[0] is not annotation:
        return bare(members[0])
    return annotation


def accepts_none(annotation: Any) -> bool:
    """Whether None is one of the values that the annotation allows by name."""
    if get_origin(annotation) is Annotated:
        return accepts_none(get_args(annotation)[0])
    return any(member is NoneType or member is None for member in members_of(annotation))


def is_many(annotation: Any) -> bool:
    """Whether the annotation is a collection of values, other than a mapping or text."""
    kind = bare(annotation)
    return (get_origin(kind) or kind) in MANY


def describes_body(annotation: Any) -> bool:
    """Whether a parameter of this type is plainly a document: a model, a dataclass, a TypedDict, a union of them."""
    members = [one for one in members_of(bare(annotation)) if one is not NoneType]
    return bool(members) and all(_is_document(bare(one)) for one in members)


def _is_document(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type):
        return False
    return is_typeddict(kind) or dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel)


def is_mapping(annotation: Any) -> bool:
    """Whether the annotation is a mapping."""
    kind = bare(annotation)
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def word_choice(annotation: Any) -> BeforeValidator | None:
    """Return what reads the values of an Enum or Literal that are no text from text; None where there are none."""
    values = _choices(bare(annotation))
    words = {str(value): value for value in values if not isinstance(value, str)}
    return BeforeValidator(_reader(words)) if words else None


def _reader(words: Mapping[str, Any]) -> Callable[[Any], Any]:
    def read(given: Any) -> Any:
        return words.get(given, given) if isinstance(given, str) else given

    return read


def _choices(kind: Any) -> Iterable[Any]:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [member.value for member in kind]
    return get_args(kind) if get_origin(kind) is Literal else ()


def specialised(annotation: Any, variables: Mapping[Any, Any]) -> Any:
    """Return the annotation with its type variables replaced, those of a generic model included."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        described: Any = Annotated[(specialised(inner, variables), *metadata)]
        return described
    if not isinstance(annotation, type) or not issubclass(annotation, BaseModel):
        return substituted(annotation, variables)
    model: Any = annotation  # over its own variables, a generic model is the class itself
    own = model.__pydantic_generic_metadata__["parameters"]
    return model[tuple(variables.get(one, one) for one in own)] if own else model


def spell(annotation: Any) -> str:
    """Return the annotation as its author would write it."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("NoneType", "None")
