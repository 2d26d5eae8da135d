import asyncio
import gc
import logging
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from cortado import Cortado
from cortado.adapters import departure
from cortado.container import bean, configuration, rest_controller
from cortado.web import (
    Body,
    Disconnected,
    PlainTextResponse,
    Request,
    Response,
    StreamingResponse,
    exception_handler,
    get_mapping,
    post_mapping,
    put_mapping,
)

LENGTH = {"content-length": "1", "content-type": "application/json"}
LIMIT = 5.0


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "TICK", 0.005)


class Client:
    """One request, and a client that sees to it that the server's `receive()` is used as it must be."""

    def __init__(
        self, app: Any, method: str, path: str, *pieces: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.sent: list[Any] = []
        self.misuse: list[str] = []
        self._arrived: deque[Any] = deque()
        self._changed = asyncio.Event()
        self._gone = self._over = self._pending = False
        self.answered: Callable[[], Awaitable[None]] | None = None
        if not pieces:
            self.arrive(b"", more=False)
        for number, piece in enumerate(pieces, 1):
            self.arrive(piece, more=number < len(pieces))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "asgi": {"spec_version": "2.3"},
        }
        self.task = asyncio.create_task(self._run(app, scope))

    def arrive(self, piece: bytes, *, more: bool) -> None:
        self._arrived.append({"type": "http.request", "body": piece, "more_body": more})
        self._changed.set()

    def leave(self) -> None:
        self._gone = True
        self._changed.set()

    async def end(self) -> str:
        """Wait for the end of the application's call, and return the body of its answer."""
        async with asyncio.timeout(LIMIT):
            await self.task
        assert self.misuse == []
        return b"".join(event.get("body", b"") for event in self.sent).decode()

    async def _run(self, app: Any, scope: Any) -> None:
        await app(scope, self._receive, self._send)
        self._over = True
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    async def _receive(self) -> Any:
        if self._pending:
            self.misuse.append("two at a time")
        self._pending = True
        try:
            while not self._arrived and not self._gone:
                self._changed.clear()
                await self._changed.wait()
        except asyncio.CancelledError:
            if not self._over and not self.sent:
                self.misuse.append("cancelled while the request lives")
            raise
        finally:
            self._pending = False
        return self._arrived.popleft() if self._arrived else {"type": "http.disconnect"}

    async def _send(self, event: Any) -> None:
        self.sent.append(event)
        if self.answered is not None and event["type"] == "http.response.body":
            await self.answered()


class Ticket:
    pass


class Diary:
    """What happened, in order; handlers wait here."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.changed = asyncio.Event()
        self.go = asyncio.Event()
        self.go_thread = threading.Event()
        self.kept: Any = None

    def note(self, entry: str) -> None:
        self.entries.append(entry)
        self.changed.set()

    async def until(self, entry: str) -> None:
        async with asyncio.timeout(LIMIT):
            while entry not in self.entries:
                self.changed.clear()
                await self.changed.wait()


@configuration
class Wiring:
    @bean
    def diary(self) -> Diary:
        return Diary()

    @bean(scope="request")
    async def ticket(self, diary: Diary) -> AsyncIterator[Ticket]:
        yield Ticket()
        diary.note("bean closing")
        await asyncio.sleep(0)
        diary.note("bean closed")

    @bean(scope="request")
    def told(self, disconnected: Disconnected) -> "Told":
        return Told(disconnected)


class Told:
    def __init__(self, disconnected: Disconnected) -> None:
        self.disconnected = disconnected


async def wait(diary: Diary) -> str:
    diary.note("at work")
    try:
        await diary.go.wait()
    except asyncio.CancelledError:
        diary.note("cancelled")
        raise
    finally:
        await asyncio.sleep(0)
        diary.note("cleaned up")
    return "answer"


@rest_controller
class Work:
    def __init__(self, diary: Diary) -> None:
        self.diary = diary

    @get_mapping("/quick")
    async def quick(self) -> str:
        return "quick"

    @get_mapping("/work")
    async def work(self, ticket: Ticket) -> str:
        return await wait(self.diary)

    @get_mapping("/finish", on_client_disconnect="finish")
    async def finish(self, ticket: Ticket, disconnected: Disconnected) -> str:
        self.diary.note("at work")
        await disconnected.wait()
        return await wait(self.diary)

    @post_mapping("/work")
    async def post(self, body: Body[int], disconnected: Disconnected) -> str:
        await disconnected.wait()
        return await wait(self.diary)

    @put_mapping("/work", on_client_disconnect="cancel")
    async def put(self, body: Body[int]) -> str:
        return await wait(self.diary)

    @get_mapping("/read")
    async def read(self, request: Request) -> str:
        await wait(self.diary)
        return (await request.body()).decode()

    @get_mapping("/poll")
    async def poll(self, request: Request) -> str:
        self.diary.note("at work")
        while not await request.is_disconnected():
            await asyncio.sleep(0)
        self.diary.note("told")
        return "told"

    @get_mapping("/kept")
    async def kept(self, request: Request, disconnected: Disconnected) -> str:
        self.diary.kept = weakref.ref(request)
        await request.body()
        return str(await request.is_disconnected())

    @get_mapping("/kept-stream")
    async def kept_stream(self, request: Request) -> AsyncIterator[str]:
        self.diary.kept = weakref.ref(request)
        yield str(await request.is_disconnected())

    @get_mapping("/asked")
    async def asked(self, disconnected: Disconnected) -> str:
        self.diary.kept = disconnected
        return "answer"

    @post_mapping("/unread")
    async def unread(self) -> AsyncIterator[str]:
        yield "a"
        await wait(self.diary)

    @post_mapping("/duplex")
    async def duplex(self, request: Request) -> AsyncIterator[str]:
        yield "began "
        await wait(self.diary)
        async for piece in request.stream():
            yield piece.decode()

    @get_mapping("/stubborn")
    async def stubborn(self, ticket: Ticket) -> str:
        self.diary.note("at work")
        while not self.diary.go.is_set():
            try:
                await self.diary.go.wait()
            except asyncio.CancelledError:
                self.diary.note("swallowed")
        return "answer"

    @get_mapping("/raises")
    async def raises(self) -> str:
        try:
            return await wait(self.diary)
        except asyncio.CancelledError:
            raise KeyError("in the end") from None

    @exception_handler(KeyError)
    async def missing(self, disconnected: Disconnected) -> str:
        self.diary.note(f"explained: {disconnected.is_set()}")
        return "explained"

    @get_mapping("/thread")
    def thread(self, told: Told) -> str:
        self.diary.note("at work")
        self.diary.go_thread.wait(LIMIT)
        self.diary.note(f"told: {told.disconnected.is_set()}")
        return "answer"

    @post_mapping("/stream")
    async def posted_stream(self, body: Body[int]) -> AsyncIterator[str]:
        async for piece in self._pieces():
            yield piece

    @get_mapping("/stream")
    async def stream(self, ticket: Ticket) -> AsyncIterator[str]:
        try:
            yield "a"
            await wait(self.diary)
        finally:
            await asyncio.sleep(0)
            self.diary.note("stream closed")

    @get_mapping("/flood")
    async def flood(self) -> AsyncIterator[str]:
        try:
            while True:
                yield "a"
                self.diary.note("at work")
        finally:
            await asyncio.sleep(0)
            self.diary.note("stream closed")

    @get_mapping("/late-stream")
    async def late_stream(self) -> AsyncIterator[str]:
        try:
            await wait(self.diary)
            yield "a"
        finally:
            self.diary.note("stream closed")

    @get_mapping("/own-stream")
    async def own_stream(self) -> Response:
        return StreamingResponse(self._pieces())

    @get_mapping("/background")
    async def background(self) -> Response:
        return PlainTextResponse("sent", background=BackgroundTask(wait, self.diary))

    async def _pieces(self) -> AsyncIterator[str]:
        yield "a"
        await wait(self.diary)


@asynccontextmanager
async def running(grace: float = 0.0, **options: Any) -> AsyncIterator[tuple[Cortado, Diary]]:
    http = {"disconnect_grace_period": grace, "cancel_timeout": options.pop("cancel_timeout", 10.0)}
    app = Cortado(Wiring, Work, settings={"http": http}, **options)
    async with app.lifespan():
        yield app, await app.container.aget(Diary)


async def left(app: Cortado, diary: Diary, method: str, path: str, *pieces: bytes, **headers: Any) -> Client:
    """Return a client that has left while the handler was at work."""
    client = Client(app, method, path, *pieces, **headers)
    await diary.until("at work")
    client.leave()
    return client


async def test_quick_answer_is_not_listened_to() -> None:
    """A request that is answered at once costs no task, and nobody asks the server for anything."""

    async def receive() -> Any:
        raise AssertionError("nobody needs to know")

    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append((event, asyncio.all_tasks()))

    async with running() as (app, _):
        before = asyncio.all_tasks()
        await app({"type": "http", "method": "GET", "path": "/quick", "headers": []}, receive, send)
        assert [event.get("body") for event, _ in sent] == [None, b"quick"]
        assert [tasks for _, tasks in sent] == [before, before]


async def test_handler_is_cancelled_after_the_grace_period() -> None:
    """The handler is cancelled once, cleans up to its end, and then its beans are closed; middleware sees a 499."""
    async with running() as (app, diary):
        client = await left(app, diary, "GET", "/work")
        assert await client.end() == ""
    assert client.sent[0]["status"] == 499
    assert diary.entries == ["at work", "cancelled", "cleaned up", "bean closing", "bean closed"]


async def test_handler_may_finish_within_the_grace_period() -> None:
    """A handler that ends in time isn't cancelled."""
    async with running(grace=60) as (app, diary):
        client = await left(app, diary, "GET", "/poll")
        assert await client.end() == "told"
    assert diary.entries == ["at work", "told"]


async def test_grace_period_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cancellation comes when the grace period has passed since the departure was noticed."""
    async with running(grace=0.05) as (app, diary):
        noticed: list[float] = []
        clock = asyncio.get_running_loop().time
        original = departure.Departure._noticed

        def note(self: Any) -> None:
            noticed.append(clock())
            original(self)

        monkeypatch.setattr(departure.Departure, "_noticed", note)
        client = await left(app, diary, "GET", "/work")
        await diary.until("cancelled")
        assert clock() - noticed[0] >= 0.045
        await client.end()


async def test_mapping_may_let_its_handler_finish() -> None:
    """With "finish", a handler learns of the departure and goes on."""
    async with running() as (app, diary):
        client = await left(app, diary, "GET", "/finish")
        diary.go.set()
        assert await client.end() == "answer"
    assert "cancelled" not in diary.entries


async def test_unsafe_methods_finish() -> None:
    """A POST goes on by default; its handler is told once the body has been read."""
    async with running() as (app, diary):
        client = Client(app, "POST", "/work", b"1", headers=LENGTH)
        client.leave()
        await diary.until("at work")
        diary.go.set()
        assert await client.end() == "answer"


async def test_unsafe_method_may_be_cancelled() -> None:
    """With "cancel", any handler is cancelled, once its body has been read."""
    async with running() as (app, diary):
        client = await left(app, diary, "PUT", "/work", b"1", headers=LENGTH)
        assert await client.end() == ""
    assert diary.entries == ["at work", "cancelled", "cleaned up"]


@pytest.mark.parametrize("headers", [{}, {"transfer-encoding": "chunked"}])
async def test_body_is_not_taken_away(headers: dict[str, str]) -> None:
    """A body that the handler reads late is whole, although somebody listened meanwhile."""
    async with running() as (app, diary):
        client = Client(app, "GET", "/read", b"a", b"b", b"c", headers=headers)
        await diary.until("at work")
        await swept()
        diary.go.set()
        assert await client.end() == "abc"


async def test_body_arrives_while_it_is_listened_to() -> None:
    """A reader takes over from whoever listens, without a second `receive()`."""
    async with running() as (app, diary):
        client = Client(app, "GET", "/read")
        client._arrived.clear()
        await diary.until("at work")
        await swept()
        diary.go.set()
        await diary.until("cleaned up")
        client.arrive(b"a", more=True)
        await asyncio.sleep(0)
        client.arrive(b"b", more=False)
        assert await client.end() == "ab"


async def test_asking_again_and_again_is_harmless() -> None:
    """`is_disconnected()` cancels no `receive()`, and tells of a departure as soon as it has happened."""
    async with running(grace=60) as (app, diary):
        client = Client(app, "GET", "/poll")
        await diary.until("at work")
        await swept()
        assert diary.entries == ["at work"]
        client.leave()
        assert await client.end() == "told"


async def test_stubborn_handler_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """What swallows its one cancellation is logged after a limit, and its beans are closed all the same, once."""
    async with running(cancel_timeout=0.01) as (app, diary):
        client = await left(app, diary, "GET", "/stubborn")
        await diary.until("bean closed")
        assert [record.message for record in caplog.records] == [
            "GET /stubborn swallowed its cancellation and was left behind"
        ]
        diary.go.set()
        await client.end()
    assert diary.entries == ["at work", "swallowed", "bean closing", "bean closed"]


async def test_exception_in_the_clean_up_is_explained() -> None:
    """What a cancelled handler raises goes its usual way, and its handler knows that nobody waits."""
    async with running() as (app, diary):
        client = await left(app, diary, "GET", "/raises")
        await client.end()
    assert diary.entries[-1] == "explained: True"


async def test_cancellation_of_the_server_is_passed_on() -> None:
    """A server that cancels the request gets its cancellation back, also when the client had left before."""
    async with running(grace=60) as (app, diary):
        client = await left(app, diary, "GET", "/work")
        await swept()
        client.task.cancel()
        await asyncio.wait({client.task}, timeout=LIMIT)
        assert client.task.cancelled()
    assert diary.entries[-1] == "bean closed"


async def test_both_cancellations_at_once() -> None:
    """The framework takes back its own cancellation only."""
    async with running() as (app, diary):
        client = await left(app, diary, "GET", "/work")
        await diary.until("cancelled")
        client.task.cancel()
        await asyncio.wait({client.task}, timeout=LIMIT)
        assert client.task.cancelled()
        assert client.task.cancelling() == 1


async def test_thread_finishes() -> None:
    """A handler in a thread can't be cancelled, but it can ask."""
    async with running() as (app, diary):
        client = await left(app, diary, "GET", "/thread")
        await swept()
        diary.go_thread.set()
        assert await client.end() == "answer"
    assert diary.entries == ["at work", "told: True"]


@pytest.mark.parametrize(("method", "pieces"), [("GET", ()), ("POST", (b"1",))])
async def test_stream_is_closed_at_once(method: str, pieces: tuple[bytes, ...]) -> None:
    """A stream that has begun gets no grace, whatever the method; it may await while it cleans up."""
    async with running(grace=60) as (app, diary):
        client = await left(app, diary, method, "/stream", *pieces, headers=LENGTH if pieces else {})
        assert await client.end() == "a"
    assert diary.entries[:3] == ["at work", "cancelled", "cleaned up"]
    assert diary.entries[3:] in ([], ["stream closed", "bean closing", "bean closed"])


async def test_stream_that_never_waits() -> None:
    """A stream that only yields lets others have their turn, and is closed, too."""
    async with running(grace=60) as (app, diary):
        client = await left(app, diary, "GET", "/flood")
        await client.end()
    assert diary.entries[-1] == "stream closed"


async def test_stream_that_has_not_begun() -> None:
    """Until its first piece, a stream is a handler as any other: it has its grace, and then nothing is sent."""
    async with running(grace=60) as (app, diary):
        client = await left(app, diary, "GET", "/late-stream")
        await swept()
        diary.go.set()
        assert await client.end() == ""
    assert client.sent == []
    assert diary.entries == ["at work", "cleaned up", "stream closed"]


async def test_stream_beside_an_unread_body() -> None:
    """A body that no handler asked for doesn't hide that the client leaves its stream."""
    async with running(grace=60) as (app, diary):
        client = await left(app, diary, "POST", "/unread", b"1", b"2", b"3", headers=LENGTH)
        assert await client.end() == "a"
    assert diary.entries == ["at work", "cancelled", "cleaned up"]


async def test_stream_that_reads() -> None:
    """A stream may read the body while it answers: nothing of it is lost to whoever listens."""
    async with running() as (app, diary):
        client = Client(app, "POST", "/duplex", b"1", b"2", b"3", headers=LENGTH)
        await diary.until("at work")
        await swept()
        diary.go.set()
        assert await client.end() == "began 123"


@pytest.mark.parametrize("path", ["/flood", "/finish"])
async def test_server_that_raises_for_a_lost_client(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where `send()` raises an `OSError` because the client is gone, nothing is logged, and nothing raised."""

    async def lost() -> None:
        raise OSError("the client is gone")

    async with running() as (app, diary):
        client = Client(app, "GET", path)
        client.answered = lost
        await diary.until("at work") if path == "/finish" else None
        client.leave()
        diary.go.set()
        await client.end()
    assert caplog.records == []


async def test_end_of_the_answer_is_no_departure() -> None:
    """What a server calls a disconnect while the answer's last piece is sent is none."""

    async def server_says_so() -> None:
        client.leave()
        for _ in range(5):
            await asyncio.sleep(0)

    async with running() as (app, diary):
        client = Client(app, "GET", "/asked")
        client.answered = server_says_so
        assert await client.end() == "answer"
        assert not diary.kept.is_set()


async def test_stream_of_starlettes() -> None:
    """A response that streams by itself ends by itself, at once."""
    async with running(grace=60) as (app, diary):
        client = await left(app, diary, "GET", "/own-stream")
        assert await client.end() == "a"
    assert "cancelled" in diary.entries


async def test_what_follows_the_answer_is_not_cancelled() -> None:
    """After the answer, a server says that the client is gone; background tasks have nothing to do with that."""
    async with running() as (app, diary):
        client = await left(app, diary, "GET", "/background")
        await swept()
        diary.go.set()
        assert await client.end() == "sent"
    assert diary.entries == ["at work", "cleaned up"]


@pytest.mark.parametrize("path", ["/kept", "/kept-stream"])
async def test_nothing_is_left_for_the_collector(path: str) -> None:
    """A request that somebody looked at closely goes with its last reference."""
    async with running() as (app, diary):
        client = Client(app, "GET", path)
        gc.collect()
        gc.disable()
        try:
            assert await client.end() == "False"
            del client
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert diary.kept() is None
        finally:
            gc.enable()


async def test_clock_stands_when_nobody_is_there() -> None:
    """With the last request, the clock ends, too."""
    clock = departure.Departures(Cortado().settings.http)
    clock.wind(asyncio.get_running_loop())
    await until(lambda: clock.loop is None)
    assert not clock.live


async def test_server_that_never_tells() -> None:
    """A server whose `receive()` fails, or returns a body for ever, does no harm."""

    async def run(receive: Callable[[], Awaitable[Any]]) -> list[Any]:
        sent: list[Any] = []

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {"type": "http", "method": "GET", "path": "/work", "headers": []}
        async with running() as (app, diary):
            task = asyncio.create_task(app(scope, receive, send))
            await diary.until("at work")
            await swept()
            diary.go.set()
            await task
        return sent

    async def fails() -> Any:
        raise RuntimeError("no more")

    async def repeats() -> Any:
        return {"type": "http.request", "body": b""}

    assert (await run(fails))[1]["body"] == b"answer"
    assert (await run(repeats))[1]["body"] == b"answer"


async def test_behind_a_middleware_of_starlettes(caplog: pytest.LogCaptureFixture) -> None:
    """A middleware that runs the application in a task of its own sees the same end, and nothing is logged."""

    class Through(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    caplog.set_level(logging.INFO)
    async with running(middleware=[Middleware(Through)]) as (app, diary):
        client = await left(app, diary, "GET", "/work")
        await client.end()
    assert diary.entries == ["at work", "cancelled", "cleaned up", "bean closing", "bean closed"]
    assert caplog.records == []


async def swept() -> None:
    """Wait until the clock has had time to find every request twice."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    await until(lambda: loop.time() - since > 6 * departure.TICK)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.001)
