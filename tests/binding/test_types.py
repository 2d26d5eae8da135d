import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypeAliasType

from cortado.binding.types import accepts_none, bare, describes_body, is_many, is_mapping, spell, word_choice


class Model(BaseModel):
    pass


@dataclass
class Point:
    x: int


class Level(enum.Enum):
    LOW = 1
    WORD = "word"


@pytest.mark.parametrize(
    "annotation", [int, int | None, Annotated[int, "x"], Annotated[int | None, "x"]], ids=repr
)
def test_bare(annotation: Any) -> None:
    """Metadata and None aside, a type remains."""
    assert bare(annotation) is int


def test_bare_union() -> None:
    """Of several types the union remains."""
    assert bare(int | str) == int | str


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(int | None, True), (Annotated[int | None, "x"], True), (None, True), (int, False), (Any, False)],
    ids=repr,
)
def test_accepts_none(annotation: Any, expected: bool) -> None:
    """None is allowed where it is named."""
    assert accepts_none(annotation) is expected


@pytest.mark.parametrize(
    ("annotation", "many", "mapping"),
    [
        (list[int], True, False),
        (tuple, True, False),
        (Sequence[int] | None, True, False),
        (Annotated[Iterable[int], "x"], True, False),
        (str, False, False),
        (bytes, False, False),
        (dict[str, int], False, True),
        (Mapping, False, True),
    ],
    ids=repr,
)
def test_collections(annotation: Any, many: bool, mapping: bool) -> None:
    """Collections of values are told from mappings, and from text."""
    assert (is_many(annotation), is_mapping(annotation)) == (many, mapping)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Model, True),
        (Point, True),
        (Model | Point | None, True),
        (Annotated[Model, "x"], True),
        (Model | int, False),
        (list[Model], False),
        (type(None), False),
        (int, False),
        (Any, False),
    ],
    ids=repr,
)
def test_documents(annotation: Any, expected: bool) -> None:
    """Models, dataclasses and unions of them are documents."""
    assert describes_body(annotation) is expected


@pytest.mark.parametrize(
    ("annotation", "text", "value"), [(Level, "1", Level.LOW), (Literal[5, "x"], "5", 5)]
)
def test_word_choice(annotation: Any, text: str, value: object) -> None:
    """Values that are no text can be chosen by their text."""
    assert TypeAdapter(Annotated[annotation, word_choice(annotation)]).validate_python(text) == value


def test_no_word_choice() -> None:
    """Where all values are text, or there is no choice, pydantic does it alone."""
    assert word_choice(Literal["a", "b"]) is None
    assert word_choice(int) is None


@pytest.mark.parametrize(
    ("annotation", "text"),
    [(int, "int"), (Model, "Model"), (list[int], "list[int]"), (int | None, "int | None"), (Any, "Any")],
    ids=repr,
)
def test_spell(annotation: Any, text: str) -> None:
    """A type is written as its author would."""
    assert spell(annotation) == text


def test_spell_optional() -> None:
    """The older way of writing is shown as it is."""
    assert spell(Optional[int]) == "Optional[int]"  # noqa: UP045


def test_alias() -> None:
    """An alias is what it stands for."""
    tags = TypeAliasType("tags", list[str])
    maybe = TypeAliasType("maybe", int | None)
    assert (is_many(tags), accepts_none(tags), accepts_none(maybe)) == (True, False, True)
    assert bare(maybe) is int
