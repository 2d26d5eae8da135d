"""The server process: starts, tells its port and sockets, takes signals, always ends."""

import signal
import socket

import pytest

from tests.support.processes import ProcessFailure
from tests.support.server import ServerProcess

pytestmark = pytest.mark.server
APP = "tests.support.bare_app:app"


def test_it_accepts_connections_when_it_is_returned(start_server, ws_implementation):
    """A started server listens on a free port of the loopback."""
    server = start_server(APP, ws=ws_implementation)

    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        server.until(lambda: server.connections() == 1, "the connection to be accepted")

    server.until(lambda: server.connections() == 0, "the connection to be gone")
    assert server.open_files() > 0
    assert server.close_waits() == 0


@pytest.mark.parametrize("stop", [ServerProcess.terminate, ServerProcess.interrupt])
def test_a_polite_signal_runs_the_shutdown(start_server, event_log, stop):
    """SIGTERM and SIGINT end the server with its lifespan complete."""
    server = start_server(APP)

    stop(server)

    assert server.wait() in {0, -signal.SIGTERM, -signal.SIGINT}
    assert event_log.names() == ["lifespan.startup", "lifespan.shutdown"]


def test_a_killed_server_says_nothing(start_server, event_log):
    """SIGKILL leaves no time for a shutdown."""
    server = start_server(APP)

    server.kill()

    assert server.wait() == -signal.SIGKILL
    assert event_log.names() == ["lifespan.startup"]


def test_a_server_that_cannot_start_shows_why(start_server):
    """The failure carries what the server wrote."""
    with pytest.raises(ProcessFailure, match="no_such_module"):
        start_server("no_such_module:app")


def test_leaving_the_context_kills_the_server(tmp_path):
    """Whatever happens in the test, the process is gone, and its output goes with the error."""
    with pytest.raises(LookupError) as failed, ServerProcess(APP, tmp_path / "log") as server:
        server.wait_ready()
        raise LookupError

    assert not server.alive
    assert "Uvicorn running" in failed.value.__notes__[0]


def test_a_stopped_server_can_go_on(start_server):
    """A paused server stands still until it is continued."""
    server = start_server(APP)
    server.pause()
    server.terminate()
    with pytest.raises(ProcessFailure, match="the process to end"):
        server.wait(0.1)

    server.unpause()

    server.wait()


def test_cortado_run_serves_too(start_server, start_client, event_log, ws_implementation):
    """The same harness runs `cortado run`; it ends with status 0."""
    server = start_server(APP, ws=ws_implementation, command="cortado")
    client = start_client()
    client.connect(server.url())
    client.send("hello")
    assert client.receive() == "hello"

    server.terminate()

    assert client.closed().code == 1012
    assert server.wait() == 0
    assert event_log.names()[-1] == "lifespan.shutdown"
