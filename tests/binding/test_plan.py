import datetime
import decimal
import enum
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from cortado.binding import (
    Body,
    BodyRule,
    BodyValue,
    Call,
    Cookie,
    Header,
    HeaderValue,
    Path,
    PathVar,
    Query,
    QueryParam,
    compile_plan,
)
from cortado.container import Container, Qualifier, service
from cortado.head import Head
from cortado.problems import BadRequest, RequestValidationError, UnsupportedMediaType


class Item(BaseModel):
    name: str
    price: float = 0.0


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Request:
    """Stands for what a scope provides itself."""


@service
class Clock:
    pass


def call(
    query: str = "",
    *,
    path: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    context: dict[Any, object] | None = None,
) -> Call:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    head = Head(path_params=path or {}, query_string=query.encode(), raw_headers=raw)

    async def read() -> bytes:
        return body or b""

    return Call(head, context or {}, None if body is None else read)


def json_call(body: str, media_type: str = "application/json", **more: Any) -> Call:
    return call(body=body.encode(), headers={"content-type": media_type}, **more)


def plan_of(function: Any, *beans: type, **options: Any) -> Any:
    return compile_plan(function, container=Container(*beans), **options)


def bound(function: Any, given: Call, **options: Any) -> Any:
    """Return what a function is called with."""
    arguments = plan_of(function, **options).bind_now(given)
    return function(*arguments.positional, **arguments.keywords)


async def bound_body(function: Any, given: Call) -> Any:
    arguments = await plan_of(function, body=BodyRule.IMPLIED).bind(given)
    return function(*arguments.positional, **arguments.keywords)


def errors_of(function: Any, given: Call, **options: Any) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(RequestValidationError) as failed:
        bound(function, given, **options)
    return [(error.location, error.kind) for error in failed.value.errors]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (bool, "false", False),
        (bool, "1", True),
        (int, "-5", -5),
        (float, "1.5", 1.5),
        (str, "a%20b", "a b"),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (datetime.date, "2026-11-21", datetime.date(2026, 11, 21)),
        (datetime.timedelta, "PT1M", datetime.timedelta(minutes=1)),
        (uuid.UUID, "0" * 32, uuid.UUID(int=0)),
        (Colour, "2", Colour.BLUE),
        (Literal[1, "x"], "1", 1),
        (Literal[1, "x"], "x", "x"),
        (int | None, "3", 3),
        (Any, "x", "x"),
        (list[int], "1", [1]),
        (set[str], "1", {"1"}),
        (tuple[int, ...], "4", (4,)),
        (Sequence[int], "4", [4]),
    ],
)
def test_query_is_converted(annotation: Any, text: str, value: object) -> None:
    """A query parameter becomes a value of its annotated type."""

    def show(it: QueryParam[annotation]) -> Any:
        return it

    assert value == bound(show, call(f"it={text}"))


def test_repeated_key_fills_a_list() -> None:
    """A list takes every value of a repeated query key, in order."""

    def show(tag: QueryParam[list[int]]) -> list[int]:
        return tag

    assert bound(show, call("tag=3&tag=1&x=9&tag=2")) == [3, 1, 2]


def test_last_of_repeated_keys_is_a_single_value() -> None:
    """A parameter that is no list takes the last value of a repeated key."""

    def show(tag: QueryParam[str]) -> str:
        return tag

    assert bound(show, call("tag=a&tag=b")) == "b"


def test_defaults_stand_in_for_what_is_missing() -> None:
    """What the client didn't send is the default, or None where None is allowed."""

    def show(
        page: QueryParam[int] = 7, word: QueryParam[str | None] = "w", *, other: QueryParam[int] | None
    ) -> Any:
        return page, word, other

    assert bound(show, call()) == (7, "w", None)
    assert bound(show, call("page=1&word=&other=2")) == (1, "", 2)


def test_path_variable_by_name() -> None:
    """A parameter named like a path variable takes it, without a marker."""

    def show(id: int, /, *, room: str) -> Any:
        return id, room

    assert bound(show, call(path={"id": "5", "room": "x"}), path={"id": "str", "room": "str"}) == (5, "x")


def test_path_variable_by_marker_and_alias() -> None:
    """A marked path variable may have another name in the signature, and a convertor's value is kept."""

    def show(one: PathVar[int], other: Annotated[str, Path(alias="slug")]) -> Any:
        return one, other

    assert bound(show, call(path={"one": 5, "slug": "s"}), path={"one": "int", "slug": "str"}) == (5, "s")


def test_header_name_from_parameter() -> None:
    """An underscore in the parameter's name stands for a hyphen in the header's; case doesn't matter."""

    def show(x_request_id: Header[uuid.UUID], accept: Header[list[str]], te: Header[str] = "none") -> Any:
        return x_request_id, accept, te

    given = Call(Head(raw_headers=[(b"accept", b"a"), (b"x-request-id", b"0" * 32), (b"accept", b"b")]))
    assert (uuid.UUID(int=0), ["a", "b"], "none") == bound(show, given)


def test_header_alias_is_taken_as_written() -> None:
    """An alias names the header field itself."""

    def show(token: Annotated[str, HeaderValue(alias="X_Token")]) -> str:
        return token

    assert bound(show, call(headers={"x_token": "t"})) == "t"


def test_cookie() -> None:
    """A cookie is found by the parameter's name."""

    def show(theme: Cookie[str], size: Cookie[int] = 3) -> Any:
        return theme, size

    assert bound(show, call(headers={"cookie": "theme=dark; a=b"})) == ("dark", 3)


def test_constraints_of_marker_and_metadata() -> None:
    """The constraints of the marker and of pydantic's own metadata are both checked."""

    def show(
        page: Annotated[int, Query(alias="p", ge=1, le=9)],
        word: QueryParam[Annotated[str, Field(min_length=2)]],
        size: QueryParam[Annotated[int, Query(ge=5)]],
        top: Annotated[int, Ge(3), Query()] = 3,
    ) -> Any:
        return page, word, size, top

    assert bound(show, call("p=2&word=ab&size=5")) == (2, "ab", 5, 3)
    assert errors_of(show, call("p=0&word=a&size=4&top=2")) == [
        (("query", "p"), "greater_than_equal"),
        (("query", "word"), "string_too_short"),
        (("query", "size"), "greater_than_equal"),
        (("query", "top"), "greater_than_equal"),
    ]


def test_all_errors_at_once() -> None:
    """Everything that is missing or invalid is named with its place, of all parameters together."""

    def show(
        id: int, a: QueryParam[int], b: QueryParam[list[int]], x_c: Header[str], d: Cookie[bool]
    ) -> None:
        pass

    given = call("a=x&b=1&b=y", path={"id": "z"}, headers={"cookie": "d=maybe"})
    assert errors_of(show, given, path={"id": "str"}) == [
        (("path", "id"), "int_parsing"),
        (("query", "a"), "int_parsing"),
        (("query", "b", 1), "int_parsing"),
        (("header", "x-c"), "missing"),
        (("cookie", "d"), "bool_parsing"),
    ]


def test_context_by_type() -> None:
    """A parameter of a type that the scope provides itself takes it from the call's context."""

    def show(request: Request) -> Any:
        return request

    request = Request()
    plan = plan_of(show, context={Request})
    assert frozenset({Request}) == plan.contexts
    assert [request] == list(plan.bind_now(call(context={Request: request})).positional)


async def make_clock() -> Clock:
    return Clock()


async def test_bean_by_type() -> None:
    """A parameter of a bean's type takes the bean; `bind_now` leaves one that must be awaited to `bind`."""

    def show(clock: Clock, page: QueryParam[int]) -> Any:
        return clock, page

    container = Container()
    container.register(make_clock)
    async with container:
        plan = compile_plan(show, container=container)
        assert plan.bind_now(call("page=1")) is None
        clock, page = (await plan.bind(call("page=1"))).positional
        assert isinstance(clock, Clock)
        assert page == 1
        assert list(plan.bind_now(call("page=2")).positional) == [clock, 2]


async def test_bean_by_qualifier() -> None:
    """A qualifier in the annotation chooses among beans of one type."""

    def show(clock: Annotated[Clock, Qualifier("late")]) -> Any:
        return clock

    late = Clock()
    container = Container(Clock)
    container.register_instance(late, name="late")
    async with container:
        plan = compile_plan(show, container=container)
        assert list((await plan.bind(call())).positional) == [late]


async def test_model_is_the_body() -> None:
    """A single model of a method with a body is the body, validated from its bytes."""

    def create(item: Item, dry: QueryParam[bool] = False) -> Any:
        return item, dry

    assert (Item(name="a", price=2), True) == await bound_body(
        create, json_call('{"name":"a","price":2}', query="dry=1")
    )


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    loud: bool


async def test_dataclass_typeddict_and_union_are_bodies() -> None:
    """A dataclass, a TypedDict, a union of models and an optional model are bodies as well."""

    def point(it: Point) -> Any:
        return it

    def options(it: Options) -> Any:
        return it

    def either(it: Item | Point) -> Any:
        return it

    def maybe(it: Item | None) -> Any:
        return it

    assert Point(1, 2) == await bound_body(point, json_call('{"x":1,"y":2}'))
    assert await bound_body(options, json_call('{"loud":true}')) == {"loud": True}
    assert Point(1) == await bound_body(either, json_call('{"x":1}'))
    assert await bound_body(maybe, call(body=b"")) is None


async def test_marked_bodies() -> None:
    """`Body` takes any type: lists, mappings, plain values, and bytes as they were sent."""

    def items(it: Body[list[Item]]) -> Any:
        return it

    def document(it: Body[dict[str, int]]) -> Any:
        return it

    def raw(it: Body[bytes]) -> Any:
        return it

    assert [Item(name="a")] == await bound_body(items, json_call('[{"name":"a"}]'))
    assert await bound_body(document, json_call('{"a":1}', "application/vnd.x+json; charset=utf-8")) == {
        "a": 1
    }
    assert await bound_body(raw, call(body=b"\xff\x00", headers={"content-type": "image/png"})) == b"\xff\x00"


def create_item(item: Item, page: QueryParam[int] = 0) -> Any:
    return item, page


async def test_malformed_json_is_400() -> None:
    """What isn't JSON at all is a bad request, also when it isn't UTF-8 or nested too deep."""
    for text in (b"{", b"\xff", b"[" * 10_000, b'{"name": "a"'):
        with pytest.raises(BadRequest, match="Invalid JSON"):
            await bound_body(create_item, call(body=text, headers={"content-type": "application/json"}))


async def test_body_errors_have_locations_beside_those_of_parameters() -> None:
    """Errors of the body and of parameters are reported together, each with its place."""
    with pytest.raises(RequestValidationError) as failed:
        await bound_body(create_item, json_call('{"price":"x"}', query="page=y"))
    assert [e.location for e in failed.value.errors] == [
        ("query", "page"),
        ("body", "name"),
        ("body", "price"),
    ]


async def test_missing_body_is_422() -> None:
    """A required body that isn't there is an invalid request."""
    with pytest.raises(RequestValidationError) as failed:
        await bound_body(create_item, call(body=b""))
    assert [(e.location, e.kind) for e in failed.value.errors] == [(("body",), "missing")]


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]
)
async def test_other_media_type_is_415(media_type: str) -> None:
    """A body that isn't declared as JSON isn't read as JSON."""
    with pytest.raises(UnsupportedMediaType):
        await bound_body(create_item, json_call('{"name":"a"}', media_type))


async def test_raw_body_is_checked_too() -> None:
    """Bytes may be constrained, are required unless there is a default, and need no media type."""

    def show(data: Annotated[bytes, BodyValue(max_length=2)]) -> Any:
        return data

    assert await bound_body(show, call(body=b"ab")) == b"ab"
    for body, kind in ((b"abc", "bytes_too_long"), (b"", "missing")):
        with pytest.raises(RequestValidationError) as failed:
            await bound_body(show, call(body=body))
        assert [(e.location, e.kind) for e in failed.value.errors] == [(("body",), kind)]


async def test_errors_are_limited() -> None:
    """Of very many errors only the first hundred are told."""

    def items(it: Body[list[int]]) -> Any:
        return it

    with pytest.raises(RequestValidationError) as failed:
        await bound_body(items, json_call("[" + ",".join(['"x"'] * 1000) + "]"))
    assert len(failed.value.errors) == 100


def test_bind_now_leaves_bodies_to_bind() -> None:
    """A plan with a body never binds at once."""
    plan = plan_of(create_item, body=BodyRule.IMPLIED)
    assert plan.needs_body
    assert plan.bind_now(call(body=b"{}")) is None


def test_parameters_are_described() -> None:
    """A plan can be read: each parameter with its source, its name in the request, and whether it is required."""

    def show(
        id: int, x_a: Header[str], item: Item, page: Annotated[int, Query(alias="p", description="which")] = 1
    ) -> None:
        pass

    plan = plan_of(show, path={"id": "str"}, body=BodyRule.IMPLIED)
    assert [(one.name, one.source, one.key, one.required, one.description) for one in plan.parameters] == [
        ("id", "path", "id", True, None),
        ("x_a", "header", "x-a", True, None),
        ("item", "body", "", True, None),
        ("page", "query", "p", False, "which"),
    ]
