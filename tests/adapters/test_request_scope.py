"""The scope of a request: opened for whoever asks for a bean of it, and ended once, however the request ends."""

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from cortado.adapters.errors import ErrorResponder
from cortado.adapters.http import HTTP_CONTEXT, _Exchange, http_routes
from cortado.adapters.router import Router
from cortado.container import Container, Lazy, ScopeClosedError, pre_destroy, request_scope, rest_controller
from cortado.routing.discovery import discover
from cortado.settings import HttpSettings
from cortado.web import Request, Response, StreamingResponse, get_mapping
from cortado.web.rendering import RESPONSES
from tests.adapters.asking import ask


class Told:
    """What happened, in order, and how far the test lets it go."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.left: list[asyncio.Task[object]] = []


@request_scope
class Unit:
    def __init__(self, told: Told, request: Request) -> None:
        self.told = told
        self.path = request.url.path
        told.events.append("begin")

    @pre_destroy
    async def end(self) -> None:
        if self.path == "/slow-end":
            self.told.entered.set()
            await self.told.go.wait()
        self.told.events.append("end")


@rest_controller
class Units:
    def __init__(self, told: Told, unit: Lazy[Unit]) -> None:
        self.told, self.unit = told, unit

    @get_mapping("/ok")
    async def ok(self) -> str:
        return (await self.unit.aget()).path

    @get_mapping("/slow-end")
    async def slow_end(self) -> str:
        return (await self.unit.aget()).path

    @get_mapping("/thread")
    def thread(self) -> str:
        return self.unit.get().path

    @get_mapping("/none")
    async def none(self) -> str:
        return "none"

    @get_mapping("/fails")
    async def fails(self) -> str:
        await self.unit.aget()
        raise RuntimeError("no")

    @get_mapping("/waits")
    async def waits(self) -> str:
        await self.unit.aget()
        self.told.entered.set()
        await asyncio.Event().wait()
        return "never"

    @get_mapping("/streams")
    async def streams(self) -> AsyncIterator[str]:
        for _ in range(3):
            yield (await self.unit.aget()).path
            self.told.events.append("piece")

    @get_mapping("/streams-late")
    async def streams_late(self) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield (await self.unit.aget()).path
            self.told.events.append("piece")

        return StreamingResponse(pieces())

    @get_mapping("/leaves")
    async def leaves(self) -> str:
        async def late() -> object:
            await self.told.go.wait()
            return await self.unit.aget()

        self.told.left.append(asyncio.create_task(late()))
        return (await self.unit.aget()).path


@pytest.fixture
async def told():
    return Told()


@pytest.fixture
async def app(told):
    container = Container(Unit, Units)
    container.register_instance(told)
    container.register_given("request", Request)
    async with container:
        found = discover(container, http_context=HTTP_CONTEXT, responses=RESPONSES)
        assert not found.problems
        errors = ErrorResponder(container, found.advice)
        routes = http_routes(found.http, container=container, errors=errors, settings=HttpSettings())
        yield Router(routes, errors=errors)
        assert not container.lifetime._children


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/ok", "/thread"])
async def test_ends_after_the_answer(app, told, method, path):
    """The beans of a request end when it is answered, wherever the handler runs."""
    answer = await ask(app, method, path)
    assert answer.status == 200
    assert answer.body == (path.encode() if method == "GET" else b"")
    assert told.events == ["begin", "end"]


async def test_opens_for_whoever_asks(app, told):
    """A request that needs none of its beans creates none."""
    assert (await ask(app, "GET", "/none")).body == b"none"
    assert told.events == []


async def test_ends_after_a_failure(app, told):
    """A handler that raises is answered for, and then the beans end."""
    assert (await ask(app, "GET", "/fails")).status == 500
    assert told.events == ["begin", "end"]


@pytest.mark.parametrize("path", ["/streams", "/streams-late"])
async def test_ends_after_a_stream(app, told, path):
    """The beans live until the last piece is sent."""
    answer = await ask(app, "GET", path)
    pieces = 3 if path == "/streams" else 1
    assert answer.body == path.encode() * pieces
    assert told.events == ["begin", *["piece"] * pieces, "end"]


async def test_ends_when_cancelled(app, told):
    """A request that is cancelled while it is handled ends its beans, and the cancellation goes on."""
    asking = asyncio.create_task(ask(app, "GET", "/waits"))
    await told.entered.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert told.events == ["begin", "end"]


async def test_ends_wholly_when_cancelled_at_its_end(app, told):
    """A cancellation during the end goes on after it."""
    asking = asyncio.create_task(ask(app, "GET", "/slow-end"))
    await told.entered.wait()
    asking.cancel()
    await asyncio.sleep(0)
    asking.cancel()
    told.go.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert told.events == ["begin", "end"]


async def test_nothing_comes_after_the_end(app, told):
    """A task that a handler leaves behind gets no bean of a request that is over."""
    assert (await ask(app, "GET", "/leaves")).body == b"/leaves"
    told.go.set()
    with pytest.raises(ScopeClosedError):
        await told.left[0]
    assert told.events == ["begin", "end"]


async def test_a_thread_asks_as_the_request_ends():
    """A scope that a thread opens at that moment ends with the request, too."""
    moved = threading.Event()
    got: list[object] = []

    class Exchange(_Exchange):
        """A request that is about to end when the thread has seen that it isn't over."""

        is_over = False

        @property
        def over(self) -> bool:
            seen = self.is_over
            if threading.current_thread() is asking:
                ending.start()
                moved.wait(10)
            return seen

        @over.setter
        def over(self, over: bool) -> None:
            self.is_over = over

    class Lock:
        """The container's lock, which tells when the end comes to it."""

        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __enter__(self) -> None:
            if threading.current_thread() is ending:
                moved.set()
            self.lock.acquire()

        def __exit__(self, *error: object) -> None:
            self.lock.release()

    def end() -> None:
        got.append(exchange.close())
        moved.set()

    async with Container() as container:
        container.lifetime.shared.lock = Lock()  # type: ignore[assignment]
        endpoint: Any = SimpleNamespace(container=container, cancels=False)
        exchange = Exchange({}, no_event, no_event, endpoint, asyncio.current_task())
        asking = threading.Thread(target=lambda: got.append(exchange.opened()), daemon=True)
        ending = threading.Thread(target=end, daemon=True)
        asking.start()
        for thread in (asking, ending):
            await asyncio.to_thread(thread.join, 10)
        one, other = got
        assert one is other


async def no_event(*_: object) -> dict[str, object]:
    raise AssertionError("nothing is sent here")
