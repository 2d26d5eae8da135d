"""The server is told to stop while sessions live."""

import signal

import pytest

from tests.endings.conftest import APP
from tests.support.client import Closed

pytestmark = pytest.mark.server

HOOKS = ["on_disconnect", "on_ended 1", "on_ended 2", "SessionClosed", "on_destroy"]
BEFORE = ("SessionOpened", "accepted", "handler cleaned up")


@pytest.fixture(params=["uvicorn", "cortado"])
def server(request, start_server, ws_implementation):
    """The application on plain uvicorn, and on `cortado run`."""
    return start_server(APP, ws=ws_implementation, command=request.param)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("path", ["/ws/echo", "/ws/sleep", "/ws/push"])
def test_server_is_told_to_stop(server, start_client, event_log, path, number):
    """The peer sees 1012; hooks and listeners run to their end before any bean goes; the server ends in time."""
    clients = [start_client() for _ in range(2)]
    for client in clients:
        client.connect(server.url(path))
    event_log.wait_for_name("accepted", 2)

    server.signal(number)

    assert [client.closed().code for client in clients] == [1012, 1012]
    server.wait(10)
    events = event_log.read()
    names = [event.name for event in events if event.name not in BEFORE]
    assert sorted(names[:-1]) == sorted([*HOOKS, *(f"{hook} done" for hook in HOOKS)] * 2)
    assert names[-1] == "bean destroyed"
    told = {event.facts["close_event"]["initiator"] for event in events if event.name == "on_destroy"}
    assert told == {"shutdown"}


def test_mute_client_cannot_hold_up_the_end(start_server, start_client, event_log, ws_implementation):
    """`cortado run` ends in time although a client takes nothing any more."""
    server = start_server(APP, ws=ws_implementation, command="cortado")
    client = start_client()
    client.connect(server.url("/ws/flood"), receive_buffer=4096)
    client.mute()
    event_log.wait_for_name("accepted")

    server.terminate()
    server.wait(15)

    assert event_log.names().count("on_disconnect done") == 1
    assert event_log.names()[-1] == "bean destroyed"


def test_close_is_seen_before_the_hooks_are_done(start_server, start_client, event_log, ws_implementation):
    """A stopping `cortado run` says goodbye first: the client sees its close while hooks still run."""
    server = start_server(APP, ws=ws_implementation, command="cortado")
    client = start_client()
    client.connect(server.url("/ws/echo"))
    event_log.wait_for_name("accepted")
    server.terminate()

    assert client.closed() == Closed(1012, "")
    server.wait(10)
    assert event_log.names()[-1] == "bean destroyed"


def test_second_signal_is_not_kept_waiting(start_server, start_client, event_log):
    """While SIGTERM drains, a second one makes uvicorn act at once; the drain still comes to its end."""
    server = start_server(APP)
    client = start_client()
    client.connect(server.url("/ws/linger"))
    event_log.wait_for_name("accepted")

    server.terminate()
    assert client.closed().code == 1012
    assert "Shutting down" not in server.log()
    server.terminate()
    server.until(lambda: "Shutting down" in server.log(), "the server to act")
    assert "on_disconnect" not in event_log.names()

    server.wait(10)
    assert event_log.names()[-1] == "bean destroyed"
