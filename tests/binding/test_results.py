from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, Field
from pydantic_core import PydanticSerializationError

from cortado.binding.converters import NotConvertible
from cortado.binding.results import compile_serializer, serialize_any
from cortado.binding.signature import ABSENT

T = TypeVar("T")


class Entity(Generic[T]):
    pass


class Item(BaseModel):
    unit: int = Field(alias="theUnit")


@dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    "returns",
    [ABSENT, Any, object, None, Entity, Entity[Any], AsyncIterator[str], Entity[None] | None],
    ids=repr,
)
def test_annotations_that_say_nothing(returns: Any) -> None:
    """Where an annotation says nothing of a document, values are written by their own type."""
    assert compile_serializer(returns, [Entity]) is serialize_any


@pytest.mark.parametrize(
    "returns", [Point, Point | None, Entity[Point], Entity[Point] | Item, Annotated[Point, "x"]]
)
def test_documents_in_annotations(returns: Any) -> None:
    """A document is found in unions and in generic responses."""
    assert compile_serializer(returns, [Entity])(Point(1)) == b'{"x":1.0}'


def test_aliases_and_odd_numbers() -> None:
    """Aliases are used with and without an annotation, and what JSON has no number for is null."""
    item = Item(theUnit=1)
    assert compile_serializer(Item)(item) == serialize_any(item) == b'{"theUnit":1}'
    assert serialize_any([float("inf")]) == b"[null]"


@pytest.mark.parametrize("value", [{"theUnit": 1}, 5, "text"])
def test_other_values_are_errors(value: object) -> None:
    """A value of another type than annotated isn't written."""
    with pytest.raises(PydanticSerializationError):
        compile_serializer(Item)(value)


def test_other_objects_give_the_declared_fields() -> None:
    """Of an object that isn't of the annotated class only the declared fields are written."""

    @dataclass
    class Row:
        x: float
        password: str

    class Model(BaseModel):
        x: float

    assert compile_serializer(Model)(Row(1, "secret")) == b'{"x":1.0}'


def test_what_pydantic_does_not_know() -> None:
    """A type that can't become JSON is an error when the serialiser is made."""
    with pytest.raises(NotConvertible, match="schema for"):
        compile_serializer(Entity)
