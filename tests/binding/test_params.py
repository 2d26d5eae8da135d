from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from cortado.binding import (
    Body,
    BodyValue,
    Cookie,
    CookieValue,
    Header,
    HeaderValue,
    Path,
    PathVar,
    Query,
    QueryParam,
)
from cortado.binding.params import Parameter


@pytest.mark.parametrize(
    ("marked", "marker"),
    [
        (PathVar[int], Path),
        (QueryParam[int], Query),
        (Header[int], HeaderValue),
        (Cookie[int], CookieValue),
        (Body[int], BodyValue),
    ],
    ids=["path", "query", "header", "cookie", "body"],
)
def test_markers_are_annotated_types(marked: object, marker: type[Parameter]) -> None:
    """A marker is nothing but `Annotated`: the type itself, and where its value comes from."""
    assert get_args(marked) == (int, marker())


def test_constraints_are_pydantics() -> None:
    """The constraints of a marker mean what they mean to pydantic."""
    constraints = Query(ge=1, multiple_of=5, description="not a constraint").constraints()
    assert constraints is not None
    assert [type(one).__name__ for one in constraints.metadata] == ["Ge", "MultipleOf"]
    assert Query(alias="a").constraints() is None


def test_names() -> None:
    """A name is the parameter's, or the alias; a header's has hyphens and lower case."""
    assert Query().name_for("a_b") == "a_b"
    assert Query(alias="c").name_for("a_b") == "c"
    assert HeaderValue().name_for("X_Token") == "x-token"
    assert HeaderValue(alias="X_Token").name_for("a") == "x_token"


def test_markers_are_values() -> None:
    """Markers are compared by what they say, and can't be changed."""
    assert Query(ge=1) == Query(ge=1) != Query(ge=2)
    assert Query() != HeaderValue()
    with pytest.raises(AttributeError):
        Query().alias = "a"  # type: ignore[misc]


def test_validation_error_is_pydantics() -> None:
    """A marker leaves the type to pydantic as it is."""
    with pytest.raises(ValidationError):
        TypeAdapter(QueryParam[int]).validate_python("x")
