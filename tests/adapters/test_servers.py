"""uvicorn as Cortado runs it: limits, the goodbye, and an end that always comes."""

import asyncio
import contextlib
import signal
import socket
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cortado.adapters import servers
from cortado.settings import Settings
from tests.adapters.running import READY, Running, Served, open_mute, start_request
from tests.adapters.served import DrainForEver, Draining, Plain, function

SIGNALS = [signal.SIGTERM, signal.SIGINT]
IMPLEMENTATIONS = ["websockets-sansio", "wsproto"]


@pytest.fixture
def serve():
    """Start servers that are gone when the test is."""
    started = []

    def start(name, *options, kind=Served):
        started.append(kind(f"tests.adapters.served:{name}", *options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def clients():
    """Open clients that are closed when the test ends, with or without a goodbye."""
    with contextlib.ExitStack() as opened:
        yield opened.enter_context


def closing_frame(websocket):
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            websocket.recv(10)
    frame = closed.value.rcvd
    return (frame.code, frame.reason) if frame else None


@pytest.mark.server
class TestServing:
    def test_serves_on_loopback(self, serve):
        """A server says where it listens, answers there, and is reachable at no other address."""
        server = serve("plain")

        status, headers, body = server.get()

        assert (status, body) == (200, "hello '127.0.0.1'")
        assert "server" not in {name.lower() for name in headers}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), timeout=5)

    def test_forwarded_headers_are_not_believed(self, serve):
        """The peer's address is the connection's, whatever a header claims."""
        server = serve("plain")

        assert server.get(headers={"X-Forwarded-For": "203.0.113.9"})[2] == "hello '127.0.0.1'"

    def test_forwarded_headers_on_request(self, serve):
        """With --proxy-headers a proxy on this machine is believed."""
        server = serve("plain", "--proxy-headers")

        assert server.get(headers={"X-Forwarded-For": "203.0.113.9"})[2] == "hello '203.0.113.9'"

    def test_any_application(self, serve):
        """An application without lifespan, settings and drain is served and ended all the same."""
        server = serve("function")

        assert server.get()[0] == 200
        server.send(signal.SIGTERM)
        assert server.exit_status() == 0

    def test_failed_start(self, serve):
        """A lifespan that fails ends the process with status 3 and its message."""
        server = serve("cannot_start")

        assert server.exit_status() == 3
        assert "two beans of one name" in server.output
        assert "Traceback" not in server.output

    def test_taken_port(self, serve):
        """A port that is taken ends the process with status 3 and one sentence."""
        first = serve("plain")
        second = serve("plain", "--port", str(first.port))

        assert second.exit_status() == 3
        assert "address already in use" in second.output
        assert "Traceback" not in second.output


@pytest.mark.server
@pytest.mark.parametrize("number", SIGNALS)
class TestEnding:
    def test_without_connections(self, serve, number):
        """A signal ends a server with status 0, after the lifespan."""
        server = serve("plain")
        server.wait_for(READY)

        server.send(number)

        assert server.exit_status() == 0
        assert "lifespan ended" in server.lines

    @pytest.mark.parametrize("ws", IMPLEMENTATIONS)
    def test_idle_session(self, serve, clients, number, ws):
        """An idle session of an application that can't drain is closed with 1012."""
        server = serve("plain", "--ws", ws)
        websocket = clients(connect(f"ws://127.0.0.1:{server.port}/idle"))
        server.wait_for("idle")

        server.send(number)

        assert closing_frame(websocket) == (1012, "")
        assert server.exit_status() == 0

    @pytest.mark.parametrize("ws", IMPLEMENTATIONS)
    def test_sleeping_session(self, serve, clients, number, ws):
        """A handler that never receives is cancelled, cleans up, and doesn't hold up the end."""
        server = serve("plain", "--ws", ws)
        clients(connect(f"ws://127.0.0.1:{server.port}/sleep", close_timeout=1))
        server.wait_for("sleeping")

        server.send(number)

        assert server.exit_status() == 0
        assert server.lines.index("cleaned up") < server.lines.index("lifespan ended")

    @pytest.mark.parametrize("ws", IMPLEMENTATIONS)
    def test_mute_peer(self, serve, clients, number, ws):
        """A peer that never reads is cut off and doesn't hold up the end."""
        server = serve("plain", "--ws", ws)
        clients(open_mute(server.port, "/mute"))
        server.wait_for("stuck")

        server.send(number)

        assert server.exit_status() == 0
        assert "lifespan ended" in server.lines

    def test_sleeping_request(self, serve, clients, number):
        """A request that never ends is cancelled and cleans up before the lifespan ends."""
        server = serve("plain")
        clients(start_request(server.port, "/sleep"))
        server.wait_for("sleeping")

        server.send(number)

        assert server.exit_status() == 0
        assert server.lines.index("cleaned up") < server.lines.index("lifespan ended")

    @pytest.mark.parametrize("ws", IMPLEMENTATIONS)
    def test_drain_comes_first(self, serve, clients, number, ws):
        """The application's own goodbye reaches the peer before the server cuts anything."""
        server = serve("draining", "--ws", ws)
        websocket = clients(connect(f"ws://127.0.0.1:{server.port}/"))
        server.wait_for("idle")

        server.send(number)

        assert closing_frame(websocket) == (4900, "drained")
        assert server.exit_status() == 0
        assert server.lines.index("draining") < server.lines.index("lifespan ended")


@pytest.mark.server
@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
class TestSessions:
    @pytest.fixture
    def server(self, ws):
        server = Served("tests.adapters.served_sessions", "--ws", ws)
        yield server
        server.close()

    @pytest.mark.parametrize("number", SIGNALS)
    def test_hooks_run_before_the_server_stops(self, server, clients, number):
        """Every hook has run before the server cuts a socket, and a mute peer holds up nothing."""
        websocket = clients(connect(f"ws://127.0.0.1:{server.port}/ws/idle"))
        clients(open_mute(server.port, "/ws/mute"))
        server.wait_for("idle")
        server.wait_for("mute")

        server.send(number)

        assert closing_frame(websocket) == (1012, "")
        assert server.exit_status() == 0
        stopped = next(place for place, line in enumerate(server.lines) if line.endswith("Shutting down"))
        assert server.lines.index("hook of /ws/idle done") < stopped
        assert server.lines.index("hook of /ws/mute done") < stopped

    def test_too_large_a_message(self, server, clients):
        """A message over the application's own limit is answered by the session, not by the server."""
        websocket = clients(connect(f"ws://127.0.0.1:{server.port}/ws/idle"))

        websocket.send("x" * 1001)

        code, reason = closing_frame(websocket)
        assert code == 1009
        assert "max_message_size" in reason


@pytest.mark.server
class TestInsisting:
    def test_second_interrupt_while_draining(self, serve):
        """A second Ctrl-C during the drain kills the process at once."""
        server = serve("drain_for_ever")
        server.wait_for(READY)
        server.send(signal.SIGINT)
        server.wait_for("draining")

        server.send(signal.SIGINT)

        assert server.exit_status(within=2) == -signal.SIGINT

    def test_interrupt_after_terminate(self, serve):
        """A Ctrl-C during a drain that SIGTERM began kills the process at once."""
        server = serve("drain_for_ever")
        server.wait_for(READY)
        server.send(signal.SIGTERM)
        server.wait_for("draining")

        server.send(signal.SIGINT)

        assert server.exit_status(within=2) == -signal.SIGINT

    def test_failing_drain(self, serve):
        """A drain that raises is logged once, and the server ends in order."""
        server = serve("drain_fails")
        server.wait_for(READY)

        server.send(signal.SIGTERM)

        assert server.exit_status() == 0
        assert server.output.count("LookupError: no such drain") == 1
        assert "lifespan ended" in server.lines

    def test_interrupts_in_a_blocked_loop(self, serve, clients):
        """More than one Ctrl-C ends a process whose event loop is blocked."""
        server = serve("plain")
        clients(start_request(server.port, "/block"))
        server.wait_for("blocking")

        server.insist()

        assert server.exit_status(within=5) == -signal.SIGINT

    @pytest.mark.parametrize(
        ("app", "path", "says"), [("plain", "/block", "blocking"), ("stubborn", "/sleep", "sleeping")]
    )
    def test_last_resort(self, clients, app, path, says):
        """What holds up the end for good is shown with its stack, and ends with status 1."""
        server = Running(
            "-c",
            "import sys; from cortado.adapters import servers; from tests.adapters import served;"
            "servers.LAST_RESORT_SECONDS = 2.0;"
            f"sys.exit(servers.run(servers.configure(served.{app}, port=0)))",
        )
        try:
            clients(start_request(int(server.wait_for(READY)[1]), path))
            server.wait_for(says)

            server.send(signal.SIGTERM)

            assert server.exit_status() == 1
            assert "Timeout (0:00:02.5" in server.output
        finally:
            server.close()


class TestShutdown:
    async def test_in_another_thread(self):
        """Outside the main thread a server takes no signals, and ends when told by `should_exit`."""
        server = servers.Server(servers.configure(Plain(), port=0, log_level="critical"))
        before = signal.getsignal(signal.SIGINT)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            async with asyncio.timeout(10):
                while not server.started:
                    await asyncio.sleep(0.01)
        finally:
            server.should_exit = True
            await asyncio.to_thread(thread.join, 10)

        assert not thread.is_alive()
        assert before is signal.getsignal(signal.SIGINT)

    async def test_overrunning_drain(self, monkeypatch, caplog):
        """A drain that exceeds its own limit is left behind."""
        monkeypatch.setattr(servers, "TEARDOWN_SECONDS", 0.1)
        server = servers.Server(servers.configure(DrainForEver(), port=0, log_level="critical"))
        logged = []
        monkeypatch.setattr(servers.logger, "error", lambda text, *_, **__: logged.append(text))
        server.should_exit = True

        async with asyncio.timeout(5):
            serving = asyncio.ensure_future(server.serve())
            await serving

        assert logged == ["The drain exceeds its own limit and is left behind"]


class TestConfigure:
    def test_limits(self):
        """Limits follow the application's settings: our own refusal comes before the server's."""
        app = Draining()
        app.settings = Settings(websocket={"max_message_size": 100}, drain_timeout=7)

        config = servers.configure(app)

        assert 100 < config.ws_max_size <= 100 + 2**20
        assert config.timeout_graceful_shutdown > 7
        assert not config.ws_per_message_deflate
        assert not config.server_header
        assert not config.proxy_headers
        assert config.host == "127.0.0.1"

    def test_lifespan(self):
        """An application of ours must start; of any other it isn't known whether it has a lifespan."""
        assert servers.configure(Draining()).lifespan == "on"
        assert servers.configure(function).lifespan == "auto"

    def test_settings_of_anything(self):
        """An application without settings, or with settings of another kind, has the defaults."""
        assert Settings() == servers.settings_of(function)
        assert Settings() == servers.settings_of(type("Other", (), {"settings": {"debug": True}})())
