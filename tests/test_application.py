"""The application as a whole, on the test client and as the ASGI callable that it is."""

import asyncio
import logging
import signal

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from cortado import ConfigurationError, Cortado, StartupError
from cortado.container import (
    Container,
    ContextReady,
    NoSuchBeanError,
    bean,
    configuration,
    event_listener,
    pre_destroy,
    rest_controller,
    service,
)
from cortado.settings import Settings as CortadoSettings
from cortado.testing import ConnectionClosed, HandshakeDenied, TestClient
from cortado.web import NotFound, QueryParam, exception_handler, get_mapping, request_mapping
from cortado.websocket import (
    SessionRegistry,
    WebSocketDisconnect,
    WebSocketSession,
    websocket_mapping,
)

happened: list[str] = []


@pytest.fixture(autouse=True)
def forget():
    """Begin every test with an empty record of what happened."""
    happened.clear()


class Teapot(Exception):
    """An error of the user's."""


@service
class Store:
    def __init__(self) -> None:
        happened.append("store built")

    @pre_destroy
    async def close(self) -> None:
        happened.append("store closed")


@rest_controller
@request_mapping("/api")
class Api:
    def __init__(self, store: Store, sessions: SessionRegistry) -> None:
        self._sessions = sessions

    @get_mapping("/live")
    async def live(self) -> dict[str, int]:
        return {"sessions": len(self._sessions)}

    @get_mapping("/tea")
    async def tea(self) -> None:
        raise Teapot("earl grey")

    @websocket_mapping("/echo")
    async def echo(self, session: WebSocketSession) -> None:
        await session.accept()
        async for text in session.iter_text():
            await session.send_text(text)

    @websocket_mapping("/tea")
    async def tea_socket(self, session: WebSocketSession, late: QueryParam[bool] = False) -> None:
        if late:
            await session.accept()
        raise Teapot("earl grey")

    @websocket_mapping("/rooms/lobby")
    async def lobby(self, session: WebSocketSession) -> None:
        raise NotFound("closed today")

    @websocket_mapping("/rooms/{number}")
    async def room(self, session: WebSocketSession, number: int, size: QueryParam[int] = 1) -> None:
        await session.accept()
        await session.send_json({"number": number, "size": size})

    @exception_handler(Teapot)
    async def teapot(self, error: Teapot) -> NotFound:
        return NotFound(str(error))

    async def on_disconnect(self, session: WebSocketSession) -> None:
        await asyncio.sleep(0.01)
        happened.append(f"left with {session.close_event.code}")


def make(*more, **options) -> Cortado:
    return Cortado(Store, Api, *more, **options)


async def test_http_and_websocket_share_everything():
    """A request and a session reach the same controller, which is built once, at the first of them."""
    app = make()
    async with TestClient(app) as client:
        assert happened == []
        async with client.websocket("/api/echo") as socket:
            await socket.send_text("hi")
            assert await socket.receive_text() == "hi"
            assert (await client.get("/api/live")).json() == {"sessions": 1}
        assert (await client.get("/api/live")).json() == {"sessions": 0}

    assert happened == ["store built", "left with 1000", "store closed"]


async def test_sessions_end_before_beans():
    """At shutdown every session is closed with 1012, its hook runs to its end, and only then beans are destroyed."""
    client = TestClient(make())
    async with client:
        socket = await client.websocket("/api/echo").__aenter__()
        await socket.send_text("x")
        await socket.receive_text()

    assert happened[1:] == ["left with 1012", "store closed"]
    with pytest.raises(ConnectionClosed) as closed:
        await socket.receive()
    assert closed.value.code == 1012
    await socket.__aexit__(None, None, None)


async def test_it_can_be_run_again():
    """The same application starts and stops any number of times; its beans are built anew."""
    app = make()
    for _ in range(2):
        async with TestClient(app) as client:
            assert (await client.get("/api/live")).status_code == 200

    assert happened == ["store built", "store closed"] * 2


async def test_one_exception_handler_serves_both_worlds():
    """The controller's exception handler answers a request, refuses a handshake and closes an accepted session."""
    async with TestClient(make()) as client:
        response = await client.get("/api/tea")
        with pytest.raises(HandshakeDenied) as denied:
            async with client.websocket("/api/tea"):
                pass
        async with client.websocket("/api/tea?late=true") as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.receive()

    assert (response.status_code, response.json()["detail"]) == (404, "earl grey")
    assert (denied.value.status, denied.value.json()["detail"]) == (404, "earl grey")
    assert (closed.value.code, closed.value.reason) == (4404, "Not Found")


async def test_handshakes_are_bound_like_requests():
    """Path and query values are converted before the handler runs; a bad one is a denial 422 that names it."""
    async with TestClient(make()) as client:
        async with client.websocket("/api/rooms/7?size=3") as socket:
            assert await socket.receive_json() == {"number": 7, "size": 3}
        with pytest.raises(HandshakeDenied) as denied:
            async with client.websocket("/api/rooms/x?size=y"):
                pass
        with pytest.raises(HandshakeDenied) as lobby:
            async with client.websocket("/api/rooms/lobby"):
                pass

    assert denied.value.status == 422
    assert [error["location"] for error in denied.value.json()["errors"]] == [
        ["path", "number"],
        ["query", "size"],
    ]
    assert (lobby.value.status, lobby.value.json()["detail"]) == (404, "closed today")


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://testserver", "testserver", True),
        ("https://testserver", "testserver", True),
        ("https://TestServer:443", "testserver", True),
        ("http://testserver:8000", "testserver:8000", True),
        (None, "testserver", True),
        ("http://evil.example", "testserver", False),
        ("http://testserver.evil.example", "testserver", False),
        ("http://testserver:8000", "testserver", False),
        ("http://testserver", "testserver:8000", False),
        ("null", "testserver", False),
        ("", "testserver", False),
        ("http://evil.example", "testserver@evil.example", False),
        ("http://[::1", "[::1", False),
    ],
)
async def test_foreign_pages_may_not_connect(origin, host, allowed):
    """A handshake of a page of another origin is refused with 403; one without Origin comes from no browser."""
    async with TestClient(make()) as client:
        socket = client.websocket("/api/echo", headers={"origin": origin, "host": host})
        if allowed:
            async with socket:
                pass
        else:
            with pytest.raises(HandshakeDenied) as denied:
                async with socket:
                    pass
            assert denied.value.status == 403
            assert happened == []


async def test_listed_origins_may_connect():
    """With a list of origins exactly those may connect, and the own one only if it is listed."""
    async with TestClient(make(settings={"websocket": {"origins": ["https://app.example"]}})) as client:
        async with client.websocket("/api/echo", headers={"origin": "https://app.example"}):
            pass
        for origin in ("http://testserver", "https://app.example:8443", "https://app.example.evil"):
            with pytest.raises(HandshakeDenied):
                async with client.websocket("/api/echo", headers={"origin": origin}):
                    pass


async def test_all_problems_come_at_once():
    """What is wrong with beans and with mappings is told in one StartupError, each with its cure."""

    class Missing: ...

    @rest_controller
    class Broken:
        def __init__(self, missing: Missing) -> None: ...

        @get_mapping("/x")
        async def one(self, what) -> None: ...

        @websocket_mapping("/y")
        async def two(self) -> None: ...

        @get_mapping("/{a}")
        async def three(self, a: str) -> None: ...

        @get_mapping("/{b}")
        async def four(self, b: str) -> None: ...

    app = Cortado(Broken)
    with pytest.raises(StartupError) as failed:
        await app.start()

    assert len(failed.value.problems) == 4
    assert sum(isinstance(problem, NoSuchBeanError) for problem in failed.value.problems) == 1
    text = str(failed.value)
    assert text.startswith("4 problems keep the application from starting:")
    for part in ("missing", "Broken.one", "'what'", "Broken.two", "Broken.four", "Broken.three"):
        assert part in text
    assert app.routes == []


async def test_start_failure_reaches_the_server():
    """The server is told of a failed start in words, and the exception follows."""
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(event):
        sent.append(event)

    @rest_controller
    class Broken:
        @get_mapping("/x")
        async def one(self, what) -> None: ...

    with pytest.raises(StartupError):
        await Cortado(Broken)({"type": "lifespan"}, receive, send)

    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "Broken.one" in sent[0]["message"]


async def test_mounted_application_starts_itself():
    """Below a Mount, where no lifespan reaches it, the first of many concurrent requests starts it, once."""
    app = make()
    outer = Starlette(routes=[Mount("/below", app)])
    client = TestClient(outer)
    async with client:
        answers = await asyncio.gather(*(client.get("/below/api/live") for _ in range(20)))
        async with client.websocket("/below/api/rooms/7") as socket:
            assert await socket.receive_json() == {"number": 7, "size": 1}
    await app.stop()

    assert {answer.status_code for answer in answers} == {200}
    assert happened.count("store built") == 1
    assert happened[-1] == "store closed"


async def test_its_lifespan_serves_an_outer_application():
    """`app.lifespan` takes the place of an outer application's lifespan."""
    app = make()
    async with TestClient(Starlette(routes=[Mount("/", app)], lifespan=app.lifespan)) as client:
        assert (await client.get("/api/live")).status_code == 200

    assert happened == ["store built", "store closed"]


async def test_failed_start_is_tried_again(caplog):
    """A mounted application that can't start answers 500 and tries again at the next request."""
    container, attempts = Container(Store, Api), []

    class Flaky:
        def __init__(self) -> None:
            attempts.append(len(attempts))
            if len(attempts) == 1:
                raise OSError("database is down")

    container.register(Flaky, lazy=False)
    app = Cortado(container)
    async with TestClient(Starlette(routes=[Mount("/", app)])) as client:
        first = await client.get("/api/live")
        second = await client.get("/api/live")
    await app.stop()

    assert (first.status_code, second.status_code) == (500, 200)
    assert "database" not in first.text
    assert caplog.text.count("The application can't start") == 1


async def test_cancelled_first_request_does_not_cancel_the_start():
    """The client that started the application may leave; the start goes on for the others."""
    entered, release = asyncio.Event(), asyncio.Event()

    class Slow:
        pass

    async def slow() -> Slow:
        entered.set()
        await release.wait()
        happened.append("slow built")
        return Slow()

    container = Container(Store, Api)
    container.register(slow, lazy=False)
    app = Cortado(container)
    async with TestClient(Starlette(routes=[Mount("/", app)])) as client:
        first = asyncio.create_task(client.get("/api/live"))
        await entered.wait()
        first.cancel()
        await asyncio.wait([first])
        release.set()
        assert (await client.get("/api/live")).status_code == 200
    await app.stop()

    assert happened.count("slow built") == 1


async def test_draining_application_refuses_newcomers():
    """After drain() sessions are closed with 1012, and requests and handshakes get 503 with a problem."""
    app = make()
    async with TestClient(app) as client:
        async with client.websocket("/api/echo") as socket:
            await socket.send_text("x")
            await socket.receive_text()
            await asyncio.gather(app.drain(), app.drain())
            with pytest.raises(ConnectionClosed) as closed:
                await socket.receive()
        response = await client.get("/api/live")
        with pytest.raises(HandshakeDenied) as denied:
            async with client.websocket("/api/echo"):
                pass

    assert closed.value.code == 1012
    assert response.status_code == denied.value.status == 503
    assert response.headers["content-type"] == "application/problem+json"


async def test_readiness():
    """An application is ready from the end of its start until it drains, and again when it is started again."""
    app = make()
    assert not app.ready
    for _ in range(2):
        await app.start()
        assert app.ready
        await app.drain()
        assert not app.ready
        await app.stop()
        assert not app.ready


@pytest.mark.parametrize("wanted", [True, False])
async def test_sigterm_drains_first(wanted):
    """The lifespan stands before the server's handler of SIGTERM, unless the setting says otherwise."""
    heard, passed = [], asyncio.Event()

    def server(number, frame):
        heard.append(app.ready)
        passed.set()

    app = make(settings={"drain_on_sigterm": wanted})
    former = signal.signal(signal.SIGTERM, server)
    try:
        async with app.lifespan():
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                await passed.wait()
        assert signal.getsignal(signal.SIGTERM) is server
    finally:
        signal.signal(signal.SIGTERM, former)

    assert heard == [not wanted]


class Held:
    """A middleware that keeps handshakes back until it is told."""

    def __init__(self, app, arrived, release):
        self.app, self.arrived, self.release = app, arrived, release

    async def __call__(self, scope, receive, send):
        self.arrived.set()
        await self.release.wait()
        await self.app(scope, receive, send)


async def test_handshake_that_outlives_the_stop_is_refused():
    """What a middleware kept back until the application had stopped gets 503; nothing is started again."""
    arrived, release = asyncio.Event(), asyncio.Event()
    app = make(middleware=[Middleware(Held, arrived=arrived, release=release)])
    client = TestClient(Starlette(routes=[Mount("/", app)]))
    async with client:
        await app.start()
        knocking = asyncio.create_task(client.get("/api/live"))
        await arrived.wait()
        await app.stop()
        release.set()
        answer = await knocking

    assert answer.status_code == 503
    assert happened == []


async def test_stop_during_the_start_leaves_nothing_started():
    """An application that is stopped while its first request starts it ends stopped."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow() -> Teapot:
        entered.set()
        await release.wait()
        return Teapot()

    container = Container(Store, Api)
    container.register(slow, lazy=False)
    app = Cortado(container)
    client = TestClient(Starlette(routes=[Mount("/", app)]))
    async with client:
        knocking = asyncio.create_task(client.get("/api/live"))
        await entered.wait()
        stopping = asyncio.create_task(app.stop())
        await asyncio.sleep(0)
        release.set()
        await stopping
        answer = await knocking

    assert answer.status_code == 503
    assert app.routes == []


@pytest.mark.parametrize("call", ["start", "stop"])
async def test_listener_in_the_way_of_its_application(call):
    """A listener that the start waits for can't start or stop the application: that is an error, not a deadlock."""

    @service
    class Meddler:
        @event_listener(ContextReady)
        async def meddle(self) -> None:
            with pytest.raises(ConfigurationError, match="can't start or stop it"):
                await getattr(app, call)()
            happened.append("refused")

    app = Cortado(Meddler)
    await asyncio.wait_for(app.start(), 5)
    await app.stop()

    assert happened == ["refused"]


async def test_controller_that_cannot_be_built(caplog):
    """A controller whose bean can't be built refuses with 500, logs once with the path, and is tried again."""
    attempts = []

    @service
    class Database:
        def __init__(self) -> None:
            attempts.append(1)
            if len(attempts) == 1:
                raise OSError("no route to host")

    @rest_controller
    class Socket:
        def __init__(self, database: Database) -> None: ...

        @websocket_mapping("/socket")
        async def socket(self, session: WebSocketSession) -> None:
            await session.accept()
            await session.send_text("fine")

    async with TestClient(Cortado(Database, Socket), raise_server_exceptions=False) as client:
        with pytest.raises(HandshakeDenied) as denied:
            async with client.websocket("/socket"):
                pass
        async with client.websocket("/socket") as socket:
            assert await socket.receive_text() == "fine"

    assert denied.value.status == 500
    assert b"route" not in denied.value.body
    assert caplog.text.count("no route to host") >= 1
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1
    assert "database" in caplog.text


async def test_controllers_that_somebody_else_makes():
    """A controller made by a `@bean` method, or handed over as an object, is mapped like any other."""

    @rest_controller
    class Greeting:
        def __init__(self, word: str) -> None:
            self._word = word

        @get_mapping("/word")
        async def word(self) -> str:
            return self._word

    @configuration
    class Making:
        @bean
        def greeting(self) -> Greeting:
            return Greeting("made")

    container = Container()
    container.register_instance(Greeting("handed over"))
    for app, word in ((Cortado(Making), "made"), (Cortado(container), "handed over")):
        async with TestClient(app) as client:
            assert (await client.get("/word")).text == word


async def test_middleware_and_further_routes():
    """Starlette's middleware wraps everything, and Starlette's routes come after the mapped ones."""

    class Tag:
        def __init__(self, app, mark):
            self.app, self.mark = app, mark

        async def __call__(self, scope, receive, send):
            happened.append(f"{self.mark} {scope['type']}")
            await self.app(scope, receive, send)

    async def plain(request):
        return PlainTextResponse("plain")

    app = make(
        middleware=[Middleware(Tag, mark="outer"), Middleware(Tag, mark="inner")],
        routes=[Route("/plain", plain), Mount("/mounted", PlainTextResponse("mounted"))],
    )
    async with TestClient(app) as client:
        assert (await client.get("/plain")).text == "plain"
        assert (await client.get("/mounted/x")).text == "mounted"
        async with client.websocket("/api/echo"):
            pass
        assert [route.path for route in app.routes][-2:] == ["/plain", "/mounted"]

    assert happened[:4] == ["outer http", "inner http"] * 2
    assert "inner websocket" in happened


async def test_errors_of_a_middleware_are_problems(caplog):
    """What a middleware raises is a problem or a denial like any other error: mapped, or 500 and logged once."""

    class Gate:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if b"expected" in scope["query_string"]:
                raise NotFound("behind the gate")
            raise KeyError("secret")

    app = make(middleware=[Middleware(Gate)])
    async with TestClient(app, raise_server_exceptions=False) as client:
        expected, unexpected = await client.get("/api/live?expected"), await client.get("/api/live")
        denials = []
        for query in ("?expected", ""):
            with pytest.raises(HandshakeDenied) as denied:
                async with client.websocket(f"/api/echo{query}"):
                    pass
            denials.append(denied.value)

    assert [answer.status_code for answer in (expected, unexpected)] == [404, 500]
    assert [denial.status for denial in denials] == [404, 500]
    assert expected.json()["detail"] == denials[0].json()["detail"] == "behind the gate"
    assert "secret" not in unexpected.text
    assert caplog.text.count("KeyError: 'secret'") == 2


async def test_handler_that_waits_for_something_cancelled():
    """A handler whose awaited future was cancelled elsewhere has failed: 500, as a problem."""

    @rest_controller
    class Waiting:
        @get_mapping("/wait")
        async def wait(self) -> None:
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.cancel)
            await future

    async with TestClient(Cortado(Waiting), raise_server_exceptions=False) as client:
        response = await client.get("/wait")

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"


async def test_evicted_peer_is_aborted_behind_middleware():
    """Cutting a mute peer off reaches the server's transport although a middleware wraps send."""

    class Wrapping:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def wrapped(event):
                await send(event)

            await self.app(scope, receive, wrapped)

    @rest_controller
    class Push:
        @websocket_mapping("/push")
        async def push(self, session: WebSocketSession) -> None:
            await session.accept()
            with pytest.raises(WebSocketDisconnect):
                while True:
                    await session.send_text("x")

    app = Cortado(
        Push,
        middleware=[Middleware(Wrapping)],
        settings={"websocket": {"send_timeout": 0.1, "disconnect_grace_period": 0.5}},
    )
    async with TestClient(app) as client:
        async with client.websocket("/push") as socket:
            await socket.receive()
            socket.stall()
            with pytest.raises(ConnectionClosed) as closed:
                await socket.wait_closed()
        assert closed.value.code == 1006
        assert len(app.sessions) == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"websocket": {"max_mesage_size": 1}}, "did you mean 'max_message_size'"),
        ({"websocket": {"send_timeout": 0}}, "send_timeout"),
        ({"drain": 1}, "drain_timeout"),
        ({"drain_on_sigterm": "yes"}, "drain_on_sigterm must be True or False"),
        (7, "mapping"),
    ],
)
def test_bad_settings(settings, text):
    """A setting that is unknown or out of range is refused where it is given, with the nearest known one."""
    with pytest.raises(ConfigurationError, match=text):
        make(settings=settings)


async def test_unknown_protocol():
    """A protocol that isn't served is an error that names it."""
    with pytest.raises(RuntimeError, match="smtp"):
        await make()({"type": "smtp"}, None, None)


async def test_settings_of_the_users_own():
    """A bean of the user's may be called `settings`, and those of the application are still injected by their type."""

    class Settings: ...

    class Reader:
        def __init__(self, mine: Settings, limits: CortadoSettings) -> None:
            self.mine, self.limits = mine, limits

    app = Cortado(Settings, Reader, settings={"drain_timeout": 3})
    async with app.lifespan():
        reader = app.container.get(Reader)

    assert isinstance(reader.mine, Settings)
    assert app.settings is reader.limits
    assert reader.limits.drain_timeout == 3


def test_container_of_another_application():
    """Two applications can't share a container; the second one says so."""
    container = Container()
    Cortado(container)

    with pytest.raises(ConfigurationError, match="give each Cortado a Container of its own"):
        Cortado(container)


def test_container_beside_other_sources():
    """A container is the only source; the error says where the others go."""
    with pytest.raises(ConfigurationError, match=r"container\.register\(\.\.\.\)"):
        Cortado(Container(), SessionRegistry)


def test_settings_of_the_container():
    """The settings of a container that is handed over are the application's; others beside them are refused."""
    container = Container(settings={"drain_timeout": 3})

    assert container.settings is Cortado(container).settings
    with pytest.raises(ConfigurationError, match="give these to it"):
        Cortado(Container(), settings={})
