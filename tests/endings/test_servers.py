"""Each server's column in the table of docs/reference/servers.md: what the peer and the hooks see at each ending.

With CORTADO_WRITE=1 in the environment, what was seen is written into the page instead of compared with it.
"""

import http.client
import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.endings.conftest import APP, HOOKS, Running, counts
from tests.endings.endings import ENDINGS, Ending
from tests.support.client import ClientProcess, Denied
from tests.support.events import Event

pytestmark = pytest.mark.server

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "servers.md"
SERVERS = ("uvicorn", "gunicorn", "granian", "hypercorn")
STOPPED = {"receives": "/echo", "sleeps": "/sleep", "only sends": "/push"}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    """The name of each server that is installed."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed: pip install -e '.[servers]'")
    return request.param


@pytest.fixture
def running(server, start_server, start_client, event_log) -> Running:
    """The endings on a server that has served a session before."""
    process = start_server(APP, command=server, environment={"CORTADO_TEST_PAUSE": "0.01"})
    running = Running(process, event_log, {})
    client = start_client()
    client.connect(running.url("/return"))
    client.closed()
    event_log.wait_for_name("on_destroy done")
    client.end()
    counts(process)
    running.base = counts(process)
    return running


def seen_by_hooks(events: list[Event]) -> str:
    """Say what the hooks of one session saw, all the same thing."""
    (seen,) = {(one["code"], one["initiator"]) for one in (event.facts["close_event"] for event in events)}
    return f"{seen[0]} {seen[1]}"


def hooks_of(events: list[Event]) -> list[Event]:
    return [event for event in events if event.name.removesuffix(" done") in HOOKS]


def end(running: Running, ending: Ending, client: ClientProcess) -> str:
    """Let a connection end; return what its peer and its hooks saw. Each hook must have run once, in order."""
    before, peer = len(running.events()), "—"
    try:
        client.connect(running.url(ending.path), receive_buffer=4096)
    except Denied as denied:
        peer = f"HTTP {denied.status}"
    else:
        running.log.wait_for(lambda events: any(one.name == "accepted" for one in events[before:]))
        if ending.act is not None:
            ending.act(client)
        if ending.seen is not None:
            peer = str(client.closed().code)
    events = running.log.wait_for(
        lambda events: any(one.name == "on_destroy done" for one in events[before:])
    )
    if ending.seen is None:  # the connection may still be there
        client.end()

    hooks = hooks_of(events[before:])
    assert [one.name for one in hooks] == [step for hook in ending.hooks for step in (hook, f"{hook} done")]
    running.wait_until_back_at_base()
    return f"{peer} / {seen_by_hooks(hooks)}"


def end_each(running: Running, start_client: Callable[[], ClientProcess]) -> dict[str, str]:
    """Let connections end in all ways that need no option of the server."""
    seen, client = {}, start_client()
    for ending in ENDINGS:
        if not ending.server:
            client = client if client.alive else start_client()
            seen[ending.name] = end(running, ending, client)
    return seen


def stop(running: Running, start_client: Callable[[], ClientProcess]) -> dict[str, str]:
    """Tell the server to stop while sessions live; return what their peers and their hooks saw."""
    before = len(running.events())
    clients = {name: start_client() for name in STOPPED}
    for name, client in clients.items():
        client.connect(running.url(STOPPED[name]))
    running.log.wait_for(lambda events: len([one for one in events if one.name == "accepted"]) >= 3)

    running.server.terminate()

    peers = {name: str(client.closed().code) for name, client in clients.items()}
    running.server.wait(20)
    events = running.events()
    assert events[-1].name == "bean destroyed"
    assert events[-1].facts == {"present": 0}
    told = {}
    for name, path in STOPPED.items():
        hooks = [one for one in hooks_of(events[before:]) if one.facts["path"] == f"/ws{path}"]
        assert [one.name for one in hooks if one.name.endswith("done")] == [
            "on_disconnect done",
            "on_ended 1 done",
            "on_ended 2 done",
            "on_destroy done",
        ]
        told[f"SIGTERM, the handler {name}"] = f"{peers[name]} / {seen_by_hooks(hooks)}"
    return told


def documented(server: str) -> dict[str, str]:
    """Return a server's column of the table."""
    rows = [re.split(r" *\| *", line.strip("| \n")) for line in table_of(PAGE.read_text()).splitlines()]
    column = rows[0].index(server)
    return {row[0]: row[column] for row in rows[2:]}


def table_of(page: str) -> str:
    return page.partition("<!-- seen -->\n")[2].partition("<!-- end -->")[0].strip()


def write(server: str, seen: dict[str, str]) -> None:
    """Put a server's column into the table."""
    columns = {one: documented(one) if one in table_of(PAGE.read_text()) else {} for one in SERVERS}
    columns[server] = seen
    lines = [["ending", *SERVERS], ["---"] * (len(SERVERS) + 1)]
    lines += [[name, *(columns[one].get(name, "?") for one in SERVERS)] for name in seen]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    before, _, rest = PAGE.read_text().partition("<!-- seen -->\n")
    PAGE.write_text(f"{before}<!-- seen -->\n\n{text}\n\n<!-- end -->{rest.partition('<!-- end -->')[2]}")


def test_what_a_server_shows(server, running, start_client):
    """At each ending the peer and the hooks see what the page says, the hooks run once, and nothing is left."""
    seen = end_each(running, start_client) | stop(running, start_client)

    if os.environ.get("CORTADO_WRITE"):
        write(server, seen)
    assert seen == documented(server)


@pytest.mark.parametrize("server", SERVERS[:3], indirect=True)  # hypercorn leaves newcomers unanswered
def test_newcomers_while_a_server_drains(server, running, start_client):
    """Between SIGTERM and the server's own end, requests and handshakes are refused, and sessions end."""
    client, late = start_client(), start_client()
    client.connect(running.url("/linger"))
    running.log.wait_for_name("accepted", 2)

    running.server.terminate()
    assert client.closed().code == 1012

    with pytest.raises(Denied) as denied:
        late.connect(running.url("/echo"))
    assert denied.value.status == (403 if server == "gunicorn" else 503)
    assert get(running, "/late") == 503
    running.server.wait(20)
    assert running.log.names()[-1] == "bean destroyed"


def get(running: Running, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=10)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        return connection.getresponse().status
    finally:
        connection.close()
