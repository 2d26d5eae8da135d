import textwrap
import types
from collections.abc import AsyncIterator, Callable
from functools import cache, partialmethod, wraps
from typing import Any, Generic, NoReturn, TypeVar

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from cortado.container import (
    Container,
    Lazy,
    controller,
    controller_advice,
    order,
    request_scope,
    rest_controller,
    service,
    session_scope,
)
from cortado.routing.definitions import HttpMapping, WebSocketMapping
from cortado.routing.discovery import Discovery, discover
from cortado.web import (
    Body,
    NotFound,
    PathVar,
    QueryParam,
    delete_mapping,
    exception_handler,
    get_mapping,
    post_mapping,
    request_mapping,
)
from cortado.websocket.mapping import websocket_mapping


class Session:
    """Stands for what the scope of a session provides."""


class Request:
    """Stands for what the scope of a request provides."""


class Item(BaseModel):
    name: str


def found_in(*beans: type) -> Discovery:
    return discover(
        Container(*beans), http_context={Request}, websocket_context={Session}, responses=[bytearray]
    )


def problems_of(*beans: type) -> list[str]:
    return [str(problem) for problem in found_in(*beans).problems]


@controller
@request_mapping("/base")
class Base:
    @get_mapping("/z")
    async def zebra(self) -> Item: ...

    @post_mapping("a", status_code=201)
    def ant(self, item: Item) -> None: ...

    @websocket_mapping("/ws/{room}", subprotocols=["v1"])
    async def socket(self, session: Session, room: str) -> None: ...

    async def on_disconnect(self, session: Session) -> None: ...


def test_definitions_in_definition_order() -> None:
    """Mapped methods become definitions in the order in which they are written."""
    found = found_in(Base)
    assert found.problems == ()
    assert [(route.path, route.methods, route.attribute) for route in found.http] == [
        ("/base/z", ("GET",), "zebra"),
        ("/base/a", ("POST",), "ant"),
    ]
    assert found.http[1].mapping == HttpMapping(("POST",), "a", 201)
    assert found.http[1].name == "base.ant"
    (socket,) = found.websocket
    assert (socket.path, socket.name, socket.hooks) == ("/base/ws/{room}", "base.socket", {"on_disconnect"})
    assert socket.mapping == WebSocketMapping("/ws/{room}", ("v1",))
    assert socket.function is vars(Base)["socket"]
    assert [one.source for one in socket.plan.parameters] == ["context", "path"]


def test_nothing_is_instantiated_or_triggered() -> None:
    """Neither a constructor runs nor a descriptor or attribute hook of the class."""

    class Explosive:
        def __get__(self, *_: object) -> object:
            raise AssertionError("triggered")

    class Meta(type):
        def __getattr__(cls, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    @rest_controller
    class Careful:
        trap = Explosive()

        def __init__(self) -> None:
            raise AssertionError("instantiated")

        @get_mapping()
        async def root(self) -> None: ...

    assert [route.path for route in found_in(Careful).http] == ["/"]
    assert found_in(Careful).problems == ()


def test_inherited_mappings() -> None:
    """A controller has the mappings and the base path of its base classes, and its own after them."""

    class Parent:
        @get_mapping("/one")
        async def one(self) -> None: ...

        @get_mapping("/two")
        async def two(self) -> None: ...

        @get_mapping("/three")
        async def three(self) -> None: ...

    @request_mapping("/p")
    class Middle(Parent):
        pass

    @rest_controller
    class Child(Middle):
        three = None  # type: ignore[assignment]

        @get_mapping("/four")
        async def four(self) -> None: ...

        @get_mapping("/uno")
        async def one(self) -> None: ...

    found = found_in(Child)
    assert found.problems == ()
    assert sorted(route.path for route in found.http) == ["/p/four", "/p/two", "/p/uno"]


def test_several_mappings_of_one_method() -> None:
    """A method may be mapped more than once."""

    @rest_controller
    class Both:
        @get_mapping("/a")
        @delete_mapping("/b")
        async def both(self) -> None: ...

    assert [(route.methods, route.path) for route in found_in(Both).http] == [
        (("DELETE",), "/b"),
        (("GET",), "/a"),
    ]


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def test_decorated_methods() -> None:
    """A decorator between keeps the mapping, the signature and what the method is."""

    @rest_controller
    class Decorated:
        @logged
        @get_mapping("/above")
        async def above(self, page: QueryParam[int]) -> None: ...

        @websocket_mapping("/ws")  # type: ignore[arg-type]
        @logged
        async def below(self, session: Session) -> None: ...

    found = found_in(Decorated)
    assert found.problems == ()
    assert [one.name for one in found.http[0].plan.parameters] == ["page"]
    assert [one.path for one in found.websocket] == ["/ws"]


def test_string_annotations() -> None:
    """Annotations may be strings, of names local to a function, or of the module."""

    class Local(BaseModel):
        name: str

    @rest_controller
    class Strings:
        @post_mapping()
        async def create(self, it: "Local", page: "QueryParam[int]" = 1) -> "Local": ...

    module = types.ModuleType("postponed")
    source = """
        from __future__ import annotations
        from cortado.container import rest_controller
        from cortado.web import get_mapping, QueryParam

        @rest_controller
        class Postponed:
            def list(self) -> int: ...

            @get_mapping("/postponed")
            async def show(self, it: QueryParam[list[int]]) -> list[int]: ...
    """
    exec(textwrap.dedent(source), vars(module))
    found = found_in(Strings, module.Postponed)
    assert found.problems == ()
    assert found.http[0].plan.parameters[0].annotation is Local


def test_handlers_of_controllers_and_advices() -> None:
    """Exception handlers belong to the routes of their controller; those of advices are sorted by order."""

    @rest_controller
    class Shop:
        @get_mapping()
        async def show(self) -> None: ...

        @exception_handler(NotFound)
        async def missing(self, exc: NotFound | ValueError, request: Request) -> dict[str, str]: ...

    @controller_advice
    @order(5)
    class Later:
        @exception_handler(ValueError)
        def value(self) -> str: ...

    @controller_advice
    @order(-5)
    class Sooner:
        @exception_handler(KeyError, status_code=404)
        def key(self, exc: LookupError) -> str: ...

    found = found_in(Shop, Later, Sooner)
    assert found.problems == ()
    (handler,) = found.http[0].handlers
    assert (handler.attribute, handler.mapping.types, handler.exceptions) == (
        "missing",
        (NotFound,),
        {NotFound | ValueError},
    )
    assert [one.attribute for one in found.advice] == ["key", "value"]


@rest_controller
class Wrong:
    @get_mapping("/no-annotation")
    async def no_annotation(self, page): ...  # type: ignore[no-untyped-def]

    @get_mapping("/unmarked")
    async def unmarked(self, page: int, size: int) -> None: ...

    @get_mapping("/items/{id}")
    async def other_variable(self, name: PathVar[str]) -> None: ...

    @get_mapping("/broken/{id")
    async def broken_path(self) -> None: ...

    @get_mapping("/status", status_code=99)
    async def status(self) -> None: ...

    @get_mapping("/returns")
    async def returns(self) -> Session: ...

    @get_mapping("/unknown")
    async def unknown(self) -> "Nowhere": ...  # type: ignore[name-defined]  # noqa: F821

    @websocket_mapping("/sync")  # type: ignore[arg-type]
    def sync(self, session: Session) -> None: ...

    @websocket_mapping("/generator")  # type: ignore[arg-type]
    async def generator(self, session: Session) -> AsyncIterator[int]:
        yield 1

    @websocket_mapping("/no-session")
    async def no_session(self, page: QueryParam[int]) -> None: ...

    @get_mapping("/static")
    @staticmethod
    async def below(page: QueryParam[int]) -> None: ...

    @staticmethod
    @get_mapping("/static-above")
    async def above(page: QueryParam[int]) -> None: ...

    @exception_handler(ValueError)
    async def unfit(self, exc: KeyError) -> None: ...

    async def on_disconnect(self) -> None: ...

    @websocket_mapping("/fine")
    async def fine(self, session: Session) -> None: ...


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("no_annotation", "has no annotation"),
        ("unmarked", "parameter 'page'"),
        ("unmarked", "parameter 'size'"),
        ("other_variable", "names no variable of the path (it has: id)"),
        ("broken_path", "a brace that belongs to no variable; write {name}"),
        ("status", "has the status_code 99"),
        ("returns", "returns Session, which can't be turned into JSON"),
        ("unknown", "returns Nowhere, which can't be turned into JSON: NameError"),
        ("sync", "is no coroutine; write async def"),
        ("generator", "is no coroutine; write async def, without yield"),
        ("no_session", "takes no session; add a parameter session: Session"),
        ("above", "has no self; make it a plain method"),
        ("below", "has no self; make it a plain method"),
        ("unfit", "handles ValueError but takes KeyError"),
        ("on_disconnect", "write def on_disconnect(self, session)"),
    ],
)
def test_every_problem_is_told(method: str, words: str) -> None:
    """Everything that is wrong is found at once, each with class, method and cure."""
    told = [text for text in problems_of(Wrong) if f"{__name__}.Wrong.{method} " in text]
    assert any(words in text for text in told), told


def test_only_what_is_right_is_defined() -> None:
    """What is wrong is not among the definitions."""
    found = found_in(Wrong)
    assert found.http == ()
    assert [one.attribute for one in found.websocket] == ["fine"]


def test_conflicts() -> None:
    """Two methods on one path conflict, whatever the names of its variables; other methods and shapes don't."""

    @rest_controller
    @request_mapping("/c")
    class One:
        @get_mapping("/{a}")
        async def first(self) -> None: ...

        @get_mapping("/{b}")
        async def second(self) -> None: ...

        @get_mapping("/{b:int}")
        async def number(self) -> None: ...

        @post_mapping("/{c}")
        async def other_method(self) -> None: ...

        @websocket_mapping("/{d}")
        async def socket(self, session: Session) -> None: ...

    @rest_controller
    class Two:
        @websocket_mapping("c/{e}")
        async def third(self, session: Session) -> None: ...

    where = f"{__name__}.test_conflicts.<locals>"
    second, third = problems_of(One, Two)
    assert second.startswith(
        f"{where}.One.second maps GET /c/{{b}}, which {where}.One.first maps already as /c/{{a}}"
    )
    assert third.startswith(
        f"{where}.Two.third maps WebSocket /c/{{e}}, which {where}.One.socket maps already"
    )


def test_undecorated_override() -> None:
    """An override without a mapping of its own is an error, rather than a route that silently is gone."""

    class Parent:
        @websocket_mapping("/ws")
        async def socket(self, session: Session) -> None: ...

    @rest_controller
    class Child(Parent):
        async def socket(self, session: Session) -> None: ...

    (text,) = problems_of(Child)
    assert "Child.socket overrides a mapped method without a mapping of its own" in text
    assert "decorate it too, or set socket = None" in text


def test_mappings_outside_of_controllers() -> None:
    """A mapped method of a bean that is no controller is an error, rather than silently ignored."""

    @service
    class Plain:
        @get_mapping()
        async def show(self) -> None: ...

    @controller_advice
    class Advice:
        @get_mapping()
        async def show(self) -> None: ...

    plain, advice = problems_of(Plain, Advice)
    assert "Plain.show is mapped, but the bean plain is no controller" in plain
    assert "Advice.show is mapped, but the bean advice is no controller" in advice


def test_two_handlers_for_one_exception() -> None:
    """Two methods of one class that handle the same exception are an error."""

    @controller_advice
    class Advice:
        @exception_handler(KeyError)
        async def one(self) -> str: ...

        @exception_handler(ValueError, KeyError)
        async def two(self) -> str: ...

    (text,) = problems_of(Advice)
    assert "Advice.two handles KeyError, which one does already" in text


T = TypeVar("T")
K = TypeVar("K")


class Page(BaseModel, Generic[T]):
    items: list[T]


class Crud(Generic[K, T]):
    @get_mapping()
    async def page(self, like: Body[Page[T]]) -> Page[T]:
        raise NotImplementedError

    @get_mapping("/{key}")
    async def show(self, key: K) -> T:
        raise NotImplementedError

    @post_mapping()
    async def create(self, items: Body[list[T]], one: QueryParam[T | None] = None) -> list[T]:
        raise NotImplementedError


def test_generic_base() -> None:
    """The methods of a generic base class are bound and serialised by the types that the controller gives it."""

    @rest_controller
    class Numbers(Crud[int, float]): ...

    page, show, create = found_in(Numbers).http
    assert [one.annotation for one in page.plan.parameters] == [Page[float]]
    assert [one.annotation for one in show.plan.parameters] == [int]
    assert [one.annotation for one in create.plan.parameters] == [list[float], float | None]
    with pytest.raises(PydanticSerializationError):
        create.serialize(["text"])


@pytest.mark.parametrize("wrap", [cache, partialmethod, property], ids=lambda wrap: wrap.__name__)
def test_mapped_object_that_is_no_method(wrap: Callable[[Any], Any]) -> None:
    """A mapping on what is no plain method is an error, not a route that is missing without a word."""

    @rest_controller
    class Odd:
        value = wrap(get_mapping("/value")(lambda self: 1))

    if wrap is partialmethod:
        get_mapping("/value")(vars(Odd)["value"])
    (problem,) = problems_of(Odd)
    assert "Odd.value is mapped but is a" in problem


def test_a_websocket_handler_returns_nothing() -> None:
    """A handler that says it returns something is told where that goes; one that returns None or never is fine."""

    @rest_controller
    class Returning:
        @websocket_mapping("/a")
        async def text(self, session: Session) -> str: ...

        @websocket_mapping("/b")
        async def nothing(self, session: Session) -> None: ...

        @websocket_mapping("/c")
        async def never(self, session: Session) -> NoReturn: ...

        @websocket_mapping("/d")
        async def unsaid(self, session: Session): ...  # type: ignore[no-untyped-def]

    found = found_in(Returning)

    assert [one.attribute for one in found.websocket] == ["nothing", "never", "unsaid"]
    (problem,) = found.problems
    assert "returns str, which goes nowhere; send it" in str(problem)


def test_a_method_without_self() -> None:
    """A mapped method that takes nothing at all is named at start."""

    @rest_controller
    class Selfless:
        @get_mapping("/a")
        async def nothing() -> None: ...  # type: ignore[misc]

    (problem,) = problems_of(Selfless)
    assert "Selfless.nothing" in problem
    assert "has no self" in problem


@session_scope
@service
class Visitor: ...


@request_scope
@service
class Caller: ...


@pytest.mark.parametrize(
    ("scope", "needed", "problem"),
    [
        ("singleton", Lazy[Visitor], None),
        ("request", Caller, None),
        ("prototype", Caller, None),
        ("request", Visitor, "needs mapped -> visitor, which lives in a session scope"),
        ("prototype", Visitor, "needs mapped -> visitor, which lives in a session scope"),
        ("session", Visitor, "needs mapped, which lives in a session scope"),
    ],
)
def test_a_mapping_needs_only_what_a_request_has(scope, needed, problem) -> None:
    """What lives in a scope that isn't open around a request can't be had there."""

    @rest_controller(scope=scope)
    class Mapped:
        def __init__(self, needed: needed) -> None: ...

        @get_mapping("/")
        async def show(self) -> None: ...

    found = problems_of(Visitor, Caller, Mapped)
    assert len(found) == (problem is not None)
    assert all(problem in one for one in found)


@pytest.mark.parametrize(("scope", "fits"), [("singleton", True), ("session", True), ("request", False)])
def test_a_connection_has_no_request(scope, fits) -> None:
    """A controller that lives as long as a request can't serve connections."""

    @controller(scope=scope)
    class Mapped:
        @websocket_mapping("/")
        async def serve(self, session: Session) -> None: ...

    assert bool(problems_of(Mapped)) is not fits


@pytest.mark.parametrize("scope", ["session", "request"])
def test_an_advice_lives_in_no_scope(scope) -> None:
    """It answers for requests, connections and unknown paths, and no scope is open around all of these."""

    @controller_advice(scope=scope)
    class Advice:
        @exception_handler(KeyError)
        async def key(self) -> str: ...

    (problem,) = problems_of(Advice)
    assert f"Advice.key needs advice, which lives in a {scope} scope" in problem
