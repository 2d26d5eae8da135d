from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from cortado.binding import (
    Body,
    BodyRule,
    Cookie,
    HeaderValue,
    PathVar,
    Query,
    QueryParam,
    SignatureError,
    compile_plan,
)
from cortado.container import Container, service


class Item(BaseModel):
    name: str


@dataclass
class Point:
    x: int


@service
class Clock:
    pass


def plan_of(function: Any, **options: Any) -> Any:
    return compile_plan(function, container=Container(), **options)


def problem_of(function: Any, **options: Any) -> str:
    with pytest.raises(SignatureError) as failed:
        plan_of(function, **options)
    (problem,) = failed.value.parameters
    return str(problem)


def test_ambiguous_bean_is_refused() -> None:
    """A bean type that several beans fit can't be bound; the container's own words say why."""

    def show(clock: Clock) -> None:
        pass

    container = Container(Clock)
    container.register_instance(Clock(), name="late")
    with pytest.raises(SignatureError, match="can't be injected"):
        compile_plan(show, container=container)


class Controller:
    def no_annotation(self, page): ...  # type: ignore[no-untyped-def]

    def unmarked(self, page: int) -> None: ...

    def leftovers(self, *args: int) -> None: ...

    def two_sources(self, it: Annotated[QueryParam[int], HeaderValue()]) -> None: ...

    def inner_marker(self, it: QueryParam[int] | QueryParam[str]) -> None: ...

    def unknown_variable(self, room: PathVar[str]) -> None: ...

    def unreadable(self, it: "QueryParam[Nowhere]") -> None: ...  # noqa: F821 # type: ignore[name-defined]

    def model_in_query(self, it: QueryParam[Item]) -> None: ...

    def list_in_cookie(self, it: Cookie[list[int]]) -> None: ...

    def odd_constraint(self, it: Annotated[str, Query(pattern="(")]) -> None: ...

    def not_pydantic(self, it: QueryParam[Clock]) -> None: ...

    def body_of_handshake(self, it: Body[Item]) -> None: ...


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("no_annotation", "or where it comes from, for example page: QueryParam[str]"),
        ("unmarked", "int is no path variable, no bean and nothing that is given here; mark it"),
        ("leftovers", "collects what is left over"),
        ("two_sources", "markers of several sources"),
        ("inner_marker", "put the whole type into the marker"),
        ("unknown_variable", "names no variable of the path (it has: id); add {room} to the path"),
        ("unreadable", "can't be evaluated, 'QueryParam[Nowhere]'"),
        ("model_in_query", "is Item, but a value of the query is a single text, or a list"),
        ("list_in_cookie", "but a value of the cookie is a single text"),
        ("odd_constraint", "is str, which pydantic can't make of a request"),
        ("not_pydantic", "is Clock, which pydantic can't make of a request"),
        ("body_of_handshake", "a WebSocket handshake has none"),
    ],
)
def test_unbindable_parameters(method: str, words: str) -> None:
    """What can't be bound is an error that names class, method and parameter, and says the cure."""
    text = problem_of(vars(Controller)[method], owner=Controller, path={"id": "str"})
    assert words in text
    assert f"{__name__}.Controller.{method}" in text


def test_second_body_is_refused() -> None:
    """Only one parameter can be the body."""

    def create(item: Item, other: Point) -> None:
        pass

    assert "'item' already takes" in problem_of(create, body=BodyRule.IMPLIED)


def test_body_must_be_marked_where_it_is_unusual() -> None:
    """Where a body is unusual, a model isn't taken for it unless it is marked."""

    def show(item: Item) -> None:
        pass

    assert "Body[Item] for the body" in problem_of(show, body=BodyRule.MARKED)


def test_every_unbindable_parameter_is_named() -> None:
    """All parameters that can't be bound are reported together."""

    def show(a: int, b: QueryParam[int], c: str) -> None:
        pass

    with pytest.raises(SignatureError) as failed:
        plan_of(show)
    assert [problem.parameter for problem in failed.value.parameters] == ["a", "c"]


class Unfinished(BaseModel):
    part: "Part"  # type: ignore[name-defined]  # noqa: F821 - what the test is about


def test_unfinished_model_is_refused() -> None:
    """A model with a field of an unknown type can't be bound; the name that is missing is said."""

    def show(it: Body[Unfinished]) -> None:
        pass

    assert "name 'Part' is not defined" in problem_of(show, body=BodyRule.IMPLIED)
