"""uvicorn's reloader: a changed file and Ctrl-C end every session, also those that would never notice."""

import os
import signal

import pytest

from tests.support.processes import poll

pytestmark = pytest.mark.server

PATHS = {"receives": "/ws/echo", "sleeps": "/ws/sleep", "only sends": "/ws/push", "floods": "/ws/flood"}


@pytest.fixture
def source(tmp_path):
    """The module that is watched."""
    path = tmp_path / "watched" / "reloaded.py"
    path.parent.mkdir()
    path.write_text("from tests.endings.app import app\n")
    return path


@pytest.fixture
def server(start_server, source):
    """The reloader, with the process that serves."""
    folder = str(source.parent)
    return start_server("reloaded:app", arguments=["--reload", "--reload-dir", folder, "--app-dir", folder])


@pytest.fixture
def clients(server, start_client, event_log):
    """A client of each kind of handler; the one that is flooded doesn't read."""
    clients = {name: start_client() for name in PATHS}
    for name, client in clients.items():
        client.connect(server.url(PATHS[name]), receive_buffer=4096)
    clients.pop("floods").mute()
    event_log.wait_for_name("accepted", len(PATHS))
    return clients


def test_changed_file(server, source, clients, start_client, event_log):
    """When a file changes, every peer sees 1012, every hook runs before the beans go, and the new process serves."""
    source.write_text("from tests.endings.app import app\n\nchanged = True\n")

    assert {client.closed().code for client in clients.values()} == {1012}
    event_log.wait_for_name("bean destroyed")
    names = event_log.names()
    assert names.count("on_destroy done") == len(PATHS)
    assert names[-1] == "bean destroyed"
    client = start_client()
    client.connect(server.url("/ws/return"))
    assert client.closed().code == 1000


def test_interrupt(server, clients, event_log):
    """Ctrl-C, which reaches both processes, ends them with every hook run."""
    os.killpg(server.pid, signal.SIGINT)

    assert {client.closed().code for client in clients.values()} == {1012}
    server.wait(10)
    poll(lambda: not server.group(), 10, lambda: "the end of all processes")
    names = event_log.names()
    assert names.count("on_destroy done") == len(PATHS)
    assert names[-1] == "bean destroyed"
