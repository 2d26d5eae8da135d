"""Scopes end with their session, on a real server: deepest first, and tasks before beans."""

import signal

import pytest

from tests.endings.conftest import Running, counts

pytestmark = pytest.mark.server

CALLBACKS = [
    "panel-chart-legend-callback",
    "panel-chart-callback",
    "panel_extra-callback",
    "panel-callback",
    "root",
]
BEANS = ["panel-chart-legend-bean", "panel-chart-bean", "panel_extra-bean", "panel-bean"]
TASKS = sorted(name.replace("bean", "task") for name in BEANS)


@pytest.fixture
def running(start_server, event_log, ws_implementation) -> Running:
    """A server with scopes in its sessions, on each of uvicorn's WebSocket implementations."""
    server = start_server("tests.endings.scopes_app:app", ws=ws_implementation, command="cortado")
    counts(server)
    return Running(server, event_log, counts(server))


def check_end(names: list[str]) -> None:
    assert names[:5] == CALLBACKS
    assert sorted(names[5:9]) == TASKS
    assert names[9:] == BEANS


def test_a_killed_client(running: Running, start_client):
    """All scopes of a client that is killed are destroyed in order, and nothing is left."""
    client = start_client()
    client.connect(running.server.url("/ws/panels"))
    running.log.wait_for_name("opened")
    client.kill()
    running.log.wait_for_name("panel-bean")
    running.wait_until_back_at_base()

    check_end(running.log.names()[1:])


def test_a_server_that_is_told_to_stop(running: Running, start_client):
    """A shutdown waits until all scopes are destroyed."""
    client = start_client()
    client.connect(running.server.url("/ws/panels"))
    running.log.wait_for_name("opened")
    running.server.signal(signal.SIGTERM)

    assert client.closed().code == 1012
    running.server.wait(10)
    check_end(running.log.names()[1:])


def test_a_scope_destroyed_on_the_way(running: Running, start_client):
    """What the handler destroys is gone before the session ends, and doesn't end again."""
    client = start_client()
    client.connect(running.server.url("/ws/panels"))
    client.send("panel")
    running.log.wait_for_name("destroyed")
    destroyed = running.log.names()
    client.kill()
    running.log.wait_for_name("panel_extra-bean")
    running.wait_until_back_at_base()
    ended = running.log.names()[len(destroyed) :]

    assert destroyed[1:4] == [name for name in CALLBACKS if name.startswith("panel-")]
    assert destroyed[7:] == [*(name for name in BEANS if name.startswith("panel-")), "destroyed"]
    assert ended == ["panel_extra-callback", "root", "panel_extra-task", "panel_extra-bean"]
