"""Beans of a request and of a connection, from their first use to the very end of what they serve."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator

import pytest

from cortado import Cortado
from cortado.container import (
    Container,
    Lazy,
    ScopeClosedError,
    ScopeCloseError,
    bean,
    component,
    configuration,
    controller,
    pre_destroy,
    prototype,
    request_scope,
    rest_controller,
    service,
    session_scope,
)
from cortado.testing import HandshakeDenied, IncompleteResponse, TestClient
from cortado.web import QueryParam, Request, StreamingResponse, get_mapping
from cortado.websocket import WebSocketSession, websocket_mapping


class Life:
    """What was created and ended, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def say(self, event: str) -> None:
        self.events.append(event)

    def count(self, event: str) -> int:
        return self.events.count(event)


class Basket:
    """A bean of one request, or one connection."""

    def __init__(self) -> None:
        self.ended = False


def baskets(scope: str) -> type:
    """Return a configuration of one async resource."""

    @configuration
    class Baskets:
        def __init__(self, life: Life) -> None:
            self.life = life

        @bean(scope=scope)
        async def basket(self) -> AsyncIterator[Basket]:
            await asyncio.sleep(0)
            self.life.say("created")
            basket = Basket()
            yield basket
            await asyncio.sleep(0)
            basket.ended = True
            self.life.say("ended")

    return Baskets


@pytest.fixture
def life() -> Life:
    return Life()


def app(life: Life, *sources: type, **settings: object) -> Cortado:
    container = Container(*sources, settings={"drain_jitter": 0, **settings}, close_timeout=5)
    container.register_instance(life)
    return Cortado(container)


async def until(condition) -> None:
    """Let everybody get on until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


class TestRequests:
    """Beans that live as long as one HTTP request."""

    async def test_each_request_has_its_own(self, life):
        """Two requests at once get different beans, and everyone within one of them the same."""
        both = asyncio.Barrier(2)

        @service
        class Till:
            def __init__(self, basket: Lazy[Basket]) -> None:
                self.basket = basket

        @rest_controller
        class Shop:
            def __init__(self, basket: Lazy[Basket], till: Till) -> None:
                self.basket, self.till = basket, till

            @get_mapping("/")
            async def ask(self) -> int:
                mine = await self.basket.aget()
                await both.wait()
                assert self.basket.get() is await self.till.basket.aget() is mine
                assert not mine.ended
                return id(mine)

        async with TestClient(app(life, baskets("request"), Till, Shop)) as client:
            answers = await asyncio.gather(client.get("/"), client.get("/"))
            assert len({one.json() for one in answers}) == 2
            assert life.events == ["created", "created", "ended", "ended"]

    async def test_a_controller_may_live_as_long_as_the_request(self, life):
        """It is made for each request, gets the request's beans and the request, and ends with it."""

        @request_scope
        @rest_controller
        class Shop:
            def __init__(self, basket: Basket, request: Request) -> None:
                self.basket, self.request = basket, request

            @get_mapping("/{name}")
            async def ask(self, name: str) -> str:
                assert self.request.path_params["name"] == name
                return f"{self.request.url.path} {self.basket.ended}"

            @pre_destroy
            def end(self) -> None:
                assert not self.basket.ended
                life.say("controller ended")

        async with TestClient(app(life, baskets("request"), Shop)) as client:
            for path in ("/a", "/b"):
                assert (await client.get(path)).text == f"{path} False"
        assert life.events == ["created", "controller ended", "ended"] * 2

    @pytest.mark.parametrize("scope", ["prototype", "singleton"])
    async def test_the_request_is_there_though_no_bean_lives_in_its_scope(self, life, scope):
        """A prototype may hold the request, and a singleton a `Lazy` of it; that is enough for a scope to open."""
        wanted = Request if scope == "prototype" else Lazy[Request]

        @rest_controller(scope=scope)
        class Shop:
            def __init__(self, request: wanted) -> None:
                self.request = request

            @get_mapping("/here")
            async def ask(self) -> str:
                request = self.request if scope == "prototype" else self.request.get()
                return request.url.path

        async with TestClient(app(life, Shop)) as client:
            assert (await client.get("/here")).text == "/here"

    async def test_handlers_in_threads_find_them(self, life):
        """A `def` handler runs in a thread, in the scope of its request."""

        @request_scope
        @component
        class Thread:
            def __init__(self) -> None:
                self.name = threading.current_thread().name

        @rest_controller
        class Shop:
            def __init__(self, thread: Lazy[Thread]) -> None:
                self.thread = thread

            @get_mapping("/")
            def ask(self) -> bool:
                return self.thread.get() is self.thread.get()

        async with TestClient(app(life, Thread, Shop)) as client:
            assert (await client.get("/")).json() is True

    @pytest.mark.parametrize("leaves", [False, True])
    async def test_they_live_until_the_stream_ends(self, life, leaves):
        """A response that is sent piece by piece has its beans until the last one, or until the client goes."""

        @rest_controller
        class Shop:
            def __init__(self, basket: Lazy[Basket]) -> None:
                self.basket = basket

            @get_mapping("/")
            async def ask(self) -> StreamingResponse:
                basket = await self.basket.aget()

                async def pieces() -> AsyncIterator[str]:
                    number = 0
                    while leaves or number < 3:
                        number += 1
                        await asyncio.sleep(0)
                        assert self.basket.get() is basket
                        assert not basket.ended
                        yield "piece "

                return StreamingResponse(pieces())

        async with TestClient(app(life, baskets("request"), Shop)) as client:
            async with client.stream("GET", "/") as response:
                async for piece in response.aiter_text():
                    assert "piece" in piece
                    if leaves:
                        break
            await until(lambda: life.count("ended") == 1)
        assert life.events == ["created", "ended"]

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_they_end_when_the_handler_fails(self, life, streamed):
        """Whatever the handler raises, and after whatever was sent."""

        @rest_controller
        class Shop:
            def __init__(self, basket: Lazy[Basket]) -> None:
                self.basket = basket

            @get_mapping("/")
            async def ask(self) -> AsyncIterator[str]:
                await self.basket.aget()
                if not streamed:
                    raise KeyError("no")

                async def pieces() -> AsyncIterator[str]:
                    yield "piece"
                    raise KeyError("no")

                return pieces()

        Shop.ask.__annotations__.pop("return")
        async with TestClient(app(life, baskets("request"), Shop), raise_server_exceptions=False) as client:
            if streamed:
                with pytest.raises(IncompleteResponse, match="without completing"):
                    await client.get("/")
            else:
                assert (await client.get("/")).status_code == 500
        assert life.events == ["created", "ended"]

    @pytest.mark.parametrize("times", [1, 3])
    async def test_they_end_once_and_wholly_when_the_request_is_cancelled(self, life, times):
        """However often the server cancels, during the finalisers too; then the cancellation goes on."""
        waiting, ending, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

        @request_scope
        @component
        class Slow:
            @pre_destroy
            async def end(self) -> None:
                ending.set()
                await go.wait()
                life.say("slow ended")

        @rest_controller
        class Shop:
            def __init__(self, basket: Lazy[Basket], slow: Lazy[Slow]) -> None:
                self.basket, self.slow = basket, slow

            @get_mapping("/")
            async def ask(self) -> str:
                await self.basket.aget()
                self.slow.get()
                waiting.set()
                await asyncio.Event().wait()

        cortado = app(life, baskets("request"), Slow, Shop)
        await cortado.start()
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        request = asyncio.create_task(cortado(scope, asyncio.Event().wait, None))
        await waiting.wait()
        request.cancel()
        await ending.wait()
        for _ in range(times - 1):
            request.cancel()
            await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert life.events == ["created", "slow ended", "ended"]
        await cortado.stop()

    async def test_a_failing_end_leaves_the_response_as_it_is(self, life, caplog):
        """The answer is whole, the other beans end, and the failure is logged once."""

        @request_scope
        @component
        class Bad:
            def __init__(self, basket: Basket) -> None: ...

            @pre_destroy
            async def end(self) -> None:
                raise RuntimeError("no end")

        @rest_controller
        class Shop:
            def __init__(self, bad: Lazy[Bad]) -> None:
                self.bad = bad

            @get_mapping("/")
            async def ask(self) -> str:
                await self.bad.aget()
                return "fine"

        cortado = app(life, baskets("request"), Bad, Shop)
        async with TestClient(cortado, raise_server_exceptions=False) as client:
            answer = await client.get("/")
            assert (answer.status_code, answer.text) == (200, "fine")
        assert life.events == ["created", "ended"]
        assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1

    async def test_a_failing_end_is_raised_in_a_test(self, life):
        """The test client raises what only the log would tell otherwise."""

        @request_scope
        @rest_controller
        class Shop:
            @get_mapping("/")
            async def ask(self) -> None: ...

            @pre_destroy
            def end(self) -> None:
                raise RuntimeError("no end")

        async with TestClient(app(life, Shop)) as client:
            with pytest.raises(ScopeCloseError):
                await client.get("/")

    async def test_a_creation_that_fails_is_an_answer_of_500(self, life):
        """The beans that were there already end; the next request tries again."""
        failing = [True]

        @request_scope
        @rest_controller
        class Shop:
            def __init__(self, basket: Basket) -> None:
                if failing.pop():
                    failing.append(False)
                    raise ValueError("no")

            @get_mapping("/")
            async def ask(self) -> str:
                return "fine"

        async with TestClient(app(life, baskets("request"), Shop), raise_server_exceptions=False) as client:
            assert (await client.get("/")).status_code == 500
            assert (await client.get("/")).status_code == 200
        assert life.events == ["created", "ended"] * 2

    async def test_a_task_that_outlives_its_request_gets_an_error(self, life):
        """It doesn't bring the request's beans back."""
        go, tasks = asyncio.Event(), []

        @rest_controller
        class Shop:
            def __init__(self, basket: Lazy[Basket]) -> None:
                self.basket = basket

            @get_mapping("/")
            async def ask(self) -> None:
                async def late() -> None:
                    await go.wait()
                    await self.basket.aget()

                tasks.append(asyncio.create_task(late()))

        async with TestClient(app(life, baskets("request"), Shop)) as client:
            await client.get("/")
            go.set()
            with pytest.raises(ScopeClosedError):
                await tasks[0]
        assert life.events == []


@controller
class Rooms:
    """A handler for each way in which a session goes on; all ask for the basket first."""

    def __init__(self, basket: Lazy[Basket], life: Life) -> None:
        self.basket, self.life = basket, life

    async def enter(self, session: WebSocketSession) -> Basket:
        basket = await self.basket.aget()
        assert await session.aget(Basket) is basket
        assert await session.aget(WebSocketSession) is session

        def hook(name):
            def run() -> None:
                assert self.basket.get() is basket
                assert not basket.ended
                self.life.say(name)

            return run

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                hook("task")()

        session.create_task(work())
        session.on_ended(hook("on_ended"))
        session.on_destroy(hook("on_destroy"))
        return basket

    @websocket_mapping("/echo")
    async def echo(self, session: WebSocketSession) -> None:
        await self.enter(session)
        await session.accept()
        async for message in session:
            await session.send_text(str(message))

    @websocket_mapping("/push")
    async def push(self, session: WebSocketSession) -> None:
        await self.enter(session)
        await session.accept()
        await session.send_text("hello")
        await asyncio.Event().wait()

    @websocket_mapping("/return")
    async def returns(self, session: WebSocketSession) -> None:
        await self.enter(session)
        await session.accept()

    @websocket_mapping("/raise")
    async def raises(self, session: WebSocketSession) -> None:
        await self.enter(session)
        await session.accept()
        raise KeyError("secret")

    @websocket_mapping("/hard")
    async def hard(self, session: WebSocketSession) -> None:
        await self.enter(session)
        await session.accept()
        await session.close(hard=True)

    @websocket_mapping("/deny")
    async def denies(self, session: WebSocketSession) -> None:
        await self.enter(session)
        await session.deny(403)

    @websocket_mapping("/raise-early")
    async def raises_early(self, session: WebSocketSession) -> None:
        await self.enter(session)
        raise KeyError("secret")

    async def on_disconnect(self, session: WebSocketSession) -> None:
        basket = await session.aget(Basket)
        assert self.basket.get() is basket
        assert not basket.ended
        self.life.say("on_disconnect")


SHORT = {"websocket": {"disconnect_grace_period": 0.05, "close_timeout": 0.5}}
WHOLE_END = ["created", "on_disconnect", "on_ended", "on_destroy", "task", "ended"]
REFUSED = ["created", "on_ended", "on_destroy", "task", "ended"]


class TestSessions:
    """Beans that live as long as one WebSocket connection."""

    async def test_each_connection_has_its_own(self, life):
        """The session is injectable into them, and they into the session's handler."""

        @session_scope
        @component
        class Visitor:
            def __init__(self, session: WebSocketSession, basket: Basket) -> None:
                self.session, self.basket = session, basket

        @controller
        class Hall:
            def __init__(self, visitor: Lazy[Visitor]) -> None:
                self.visitor = visitor

            @websocket_mapping("/")
            async def enter(self, session: WebSocketSession) -> None:
                await session.accept()
                async for _ in session:
                    visitor = await session.aget(Visitor)
                    assert visitor is await self.visitor.aget()
                    assert visitor.session is session
                    await session.send_text(str(id(visitor.basket)))

        async with TestClient(app(life, baskets("session"), Visitor, Hall)) as client:
            async with client.websocket("/") as one, client.websocket("/") as two:
                answers = []
                for socket in (one, two, one, two):
                    await socket.send_text("who?")
                    answers.append(await socket.receive_text())
        assert answers[:2] == answers[2:]
        assert len(set(answers)) == 2
        assert sorted(life.events) == ["created", "created", "ended", "ended"]

    @pytest.mark.parametrize(
        ("path", "leave"),
        [
            ("/echo", "close"),
            ("/echo", "drop"),
            ("/push", "close"),
            ("/push", "drop"),
            ("/return", "wait"),
            ("/raise", "wait"),
            ("/hard", "wait"),
            ("/echo", "stop"),
            ("/push", "stop"),
        ],
    )
    async def test_they_end_last_whatever_the_end(self, life, path, leave):
        """After every hook and task of the session, once."""
        cortado = app(life, baskets("session"), Rooms, **SHORT)
        async with TestClient(cortado, raise_server_exceptions=False) as client:
            async with client.websocket(path) as socket:
                if path == "/push":
                    await socket.receive_text()
                match leave:
                    case "close":
                        await socket.close()
                    case "drop":
                        socket.drop()
                    case "wait":
                        await socket.wait_closed()
                    case "stop":
                        await cortado.stop()
            await until(lambda: "ended" in life.events)
        assert life.events == WHOLE_END

    @pytest.mark.parametrize("path", ["/deny", "/raise-early"])
    async def test_they_end_after_a_refused_handshake_too(self, life, path):
        """What was created until then ends like the rest."""
        cortado = app(life, baskets("session"), Rooms, **SHORT)
        async with TestClient(cortado, raise_server_exceptions=False) as client:
            with pytest.raises(HandshakeDenied):
                async with client.websocket(path):
                    pytest.fail("it is open")
        assert life.events == REFUSED

    async def test_they_end_when_the_server_cancels(self, life):
        """However often; the cancellation is raised when the beans have ended."""
        cortado = app(life, baskets("session"), Rooms, **SHORT)
        await cortado.start()
        sent: list[dict[str, object]] = []
        events = asyncio.Queue()
        events.put_nowait({"type": "websocket.connect"})

        async def send(event) -> None:
            sent.append(event)

        scope = {
            "type": "websocket",
            "path": "/push",
            "headers": [],
            "query_string": b"",
            "subprotocols": [],
            "scheme": "ws",
        }
        serving = asyncio.create_task(cortado(scope, events.get, send))
        await until(lambda: len(sent) > 1)
        for _ in range(3):
            serving.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert life.events == WHOLE_END
        await cortado.stop()

    async def test_a_creation_that_fails_refuses_the_handshake(self, life):
        """With 500; what existed already ends, and the next one tries again."""
        failing = [True]

        @session_scope
        @controller
        class Hall:
            def __init__(self, basket: Basket) -> None:
                if failing:
                    raise ValueError(failing.pop())

            @websocket_mapping("/")
            async def enter(self, session: WebSocketSession) -> None:
                await session.accept()

        cortado = app(life, baskets("session"), Hall)
        async with TestClient(cortado, raise_server_exceptions=False) as client:
            with pytest.raises(HandshakeDenied) as denied:
                async with client.websocket("/"):
                    pytest.fail("it is open")
            assert denied.value.status == 500
            async with client.websocket("/") as socket:
                await socket.wait_closed()
        assert life.events == ["created", "ended"] * 2

    @pytest.mark.parametrize("scope", ["session", "prototype"])
    async def test_a_controller_may_be_the_connections_own(self, life, scope):
        """One for each connection, whose hooks are called on the same instance."""

        @controller(scope=scope)
        class Hall:
            def __init__(self, session: WebSocketSession) -> None:
                self.session, self.said = session, []

            @websocket_mapping("/")
            async def enter(self, session: WebSocketSession) -> None:
                assert self.session is session
                await session.accept()
                async for message in session:
                    self.said.append(message)
                    await session.send_json(self.said)

            async def on_disconnect(self, session: WebSocketSession) -> None:
                assert self.session is session
                life.say(" ".join(self.said))

        async with TestClient(app(life, Hall)) as client:
            async with client.websocket("/") as one, client.websocket("/") as two:
                await one.send_text("one")
                assert await one.receive_json() == ["one"]
                await two.send_text("two")
                assert await two.receive_json() == ["two"]
        assert sorted(life.events) == ["one", "two"]

    async def test_a_task_that_outlives_its_session_gets_an_error(self, life):
        """It doesn't bring the session's beans back."""
        go, tasks = asyncio.Event(), []

        @controller
        class Hall:
            def __init__(self, basket: Lazy[Basket]) -> None:
                self.basket = basket

            @websocket_mapping("/")
            async def enter(self, session: WebSocketSession) -> None:
                async def late() -> None:
                    await go.wait()
                    with pytest.raises(ScopeClosedError):
                        await session.aget(Basket)
                    await self.basket.aget()

                await self.basket.aget()
                tasks.append(asyncio.create_task(late()))
                await session.accept()

        async with TestClient(app(life, baskets("session"), Hall)) as client:
            async with client.websocket("/") as socket:
                await socket.wait_closed()
            await until(lambda: "ended" in life.events)
            go.set()
            with pytest.raises(ScopeClosedError):
                await tasks[0]
        assert life.events == ["created", "ended"]

    async def test_a_creation_under_way_ends_with_the_session(self, life):
        """A connection that is given up while its bean is being created leaves nothing behind."""
        begun = asyncio.Event()

        @configuration
        class Slow:
            @bean(scope="session")
            async def basket(self) -> AsyncIterator[Basket]:
                try:
                    begun.set()
                    await asyncio.Event().wait()
                    yield Basket()
                finally:
                    life.say("ended")

        limits = {"accept_timeout": 0.1, "disconnect_grace_period": 0}
        cortado = app(life, Slow, Rooms, websocket=limits)
        async with TestClient(cortado, raise_server_exceptions=False) as client:
            with pytest.raises(HandshakeDenied):
                async with client.websocket("/echo"):
                    pytest.fail("it is open")
            assert begun.is_set()
            await until(lambda: not len(cortado.sessions))
        assert life.events == ["ended"]

    @pytest.mark.parametrize("wait", ["close", "wait_closed"])
    async def test_a_bean_may_close_its_session_at_its_end(self, life, wait):
        """The session's end waits for the bean, so the bean doesn't wait for the session's end."""

        @session_scope
        @component
        class Tidy:
            def __init__(self, session: WebSocketSession) -> None:
                self.session = session

            @pre_destroy
            async def end(self) -> None:
                await getattr(self.session, wait)()
                life.say("ended")

        @controller
        class Hall:
            @websocket_mapping("/")
            async def enter(self, session: WebSocketSession) -> None:
                await session.aget(Tidy)
                await session.accept()

        cortado = app(life, Tidy, Hall)
        async with TestClient(cortado) as client, client.websocket("/") as socket:
            await socket.wait_closed()
            await until(lambda: not len(cortado.sessions))
        assert life.events == ["ended"]

    async def test_a_failing_end_is_told_once(self, life, caplog):
        """It is logged, and the others end."""

        @session_scope
        @component
        class Bad:
            def __init__(self, basket: Basket) -> None: ...

            @pre_destroy
            def end(self) -> None:
                raise RuntimeError("no end")

        @controller
        class Hall:
            @websocket_mapping("/")
            async def enter(self, session: WebSocketSession) -> None:
                await session.aget(Bad)
                await session.accept()

        cortado = app(life, baskets("session"), Bad, Hall)
        async with TestClient(cortado, raise_server_exceptions=False) as client:
            async with client.websocket("/") as socket:
                assert (await socket.wait_closed()).code == 1000
            await until(lambda: not len(cortado.sessions))
        assert life.events == ["created", "ended"]
        assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1


@prototype
@component
class Unused:
    """Makes sure that prototypes alone open no scope."""


async def test_no_scope_is_opened_where_nobody_asks_for_a_bean_of_it(life):
    """A scope opens for the first who asks, and only for the request, or session, in which it is asked for."""

    @rest_controller
    class Desk:
        def __init__(self, container: Container) -> None:
            self.container = container

        def scopes(self) -> list[str]:
            return [str(one.kind) for one in self.container.lifetime._children]

        @get_mapping("/scopes")
        async def request(self, ask: QueryParam[bool]) -> list[str]:
            if ask:
                await self.container.aget(Request)
            return self.scopes()

        @websocket_mapping("/scopes")
        async def session(self, session: WebSocketSession, ask: QueryParam[bool]) -> None:
            await session.accept()
            if ask:
                assert await session.aget(WebSocketSession) is session
            await session.send_json(self.scopes())

    async with TestClient(app(life, Unused, Desk)) as client:
        for ask, opened in (("false", []), ("true", ["request"])):
            assert (await client.get(f"/scopes?ask={ask}")).json() == opened
        for ask, opened in (("false", []), ("true", ["session"])):
            async with client.websocket(f"/scopes?ask={ask}") as ws:
                assert await ws.receive_json() == opened
