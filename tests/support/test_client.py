"""The client process against a bare application on a real server: all that may happen to a connection."""

import pytest

from tests.support.client import Closed, ConnectionEnded, Denied
from tests.support.processes import ProcessFailure

pytestmark = pytest.mark.server
APP = "tests.support.bare_app:app"
PINGS = ("--ws-ping-interval", "0.5", "--ws-ping-timeout", "0.5")


@pytest.fixture
def server(start_server, ws_implementation):
    """A server with the bare application."""
    return start_server(APP, ws=ws_implementation)


def test_messages_go_both_ways(server, start_client):
    """Texts and bytes are echoed; the subprotocol is told."""
    client = start_client()

    opened = client.connect(server.url("/echo"), subprotocols=("a", "b"))
    client.send("über")
    client.send(b"\x00" * 100_000)

    assert opened.subprotocol == "a"
    assert opened.headers["upgrade"].lower() == "websocket"
    assert client.receive() == "über"
    assert client.receive() == b"\x00" * 100_000


def test_a_denial_is_raised(server, start_client):
    """A refused handshake tells its status, and the process can connect again."""
    client = start_client()

    with pytest.raises(Denied) as denied:
        client.connect(server.url("/deny"))

    assert denied.value.status == 403
    client.connect(server.url("/echo"))


def test_the_server_s_close_is_seen(server, start_client):
    """Code and reason of the server's close frame reach the test."""
    client = start_client()
    client.connect(server.url())
    client.send("close")

    with pytest.raises(ConnectionEnded) as ended:
        client.receive()

    assert ended.value.closed == Closed(4009, "enough")


def test_the_client_s_close_is_seen(server, start_client, event_log):
    """Code and reason of the client's close frame reach the application, and the echo the client."""
    client = start_client()
    client.connect(server.url())

    client.close(4001, "bye")

    assert client.closed().code == 4001
    (event,) = event_log.wait_for_name("disconnect")
    assert event.facts == {"code": 4001, "reason": "bye"}


@pytest.mark.parametrize("end", ["kill", "reset", "vanish"])
def test_an_abrupt_loss_is_seen(server, start_client, event_log, end):
    """A killed process, a reset and a bare FIN are losses without a reason."""
    client = start_client()
    client.connect(server.url())

    getattr(client, end)()

    (event,) = event_log.wait_for_name("disconnect")
    assert event.facts["reason"] in {None, ""}
    server.until(lambda: server.connections() == 0, "the socket to be gone")


def test_a_stopped_client_is_found_by_pings(start_server, start_client, event_log, ws_implementation):
    """A client that stands still answers no pings; one that only idles does."""
    server = start_server(APP, ws=ws_implementation, arguments=PINGS)
    idle, stopped = start_client(), start_client()
    for client in (idle, stopped):
        client.connect(server.url())

    stopped.pause()

    event_log.wait_for_name("disconnect")
    idle.send("still here")
    assert idle.receive() == "still here"


def test_a_mute_client_can_be_reset(server, start_client, event_log):
    """A client that stops reading, and is pushed to all the time, is gone for the application when it is reset."""
    client = start_client()
    client.connect(server.url("/push"), receive_buffer=4096)
    client.mute()
    event_log.wait_for_name("pushing")

    client.reset()

    event_log.wait_for_name("push ended")
    server.until(lambda: server.connections() == 0, "the socket to be gone")


def test_a_client_that_listens_again_gets_everything(server, start_client):
    """What was sent to a mute client is there when it reads again."""
    client = start_client()
    client.connect(server.url())
    client.mute()
    client.send("one")

    with pytest.raises(ProcessFailure, match="in vain"):
        client.receive(timeout=0.1)
    client.listen()

    assert client.receive() == "one"


def test_a_server_s_end_is_seen(server, start_client):
    """SIGTERM at the server closes with 1012."""
    client = start_client()
    client.connect(server.url())

    server.terminate()

    assert client.closed().code == 1012


def test_unexpected_events_fail_the_test(server, start_client):
    """An end where a message was expected by the program is shown, not skipped."""
    client = start_client()
    client.connect(server.url())
    client.kill()

    with pytest.raises(ProcessFailure, match="the client ended"):
        client.receive()
