"""Beans of connections on a real server: created once, ended once, whoever is killed, closed or told to stop."""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.events import Event, EventLog
from tests.support.processes import ChildProcess, poll

pytestmark = pytest.mark.server

APP = "tests.endings.beans_app:app"
CROWD = 20
"""How many connections each process of clients has."""

EACH_LIFE = (
    "line created",
    "visitor created",
    "accepted",
    "on_disconnect",
    "visitor ended",
    "line ended",
)


class Crowd(ChildProcess):
    """A process with many connections."""

    def __init__(self, url: str, output: Path, count: int = CROWD) -> None:
        super().__init__(["-m", "tests.endings.crowd", url, str(count)], output, stdin=subprocess.PIPE)

    def leave(self) -> None:
        """Have all connections closed."""
        self.popen.stdin.write(b"leave\n")
        self.popen.stdin.flush()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that has to exist before the slow singleton is there."""
    return tmp_path / "gate"


@pytest.fixture
def start_crowd(tmp_path: Path) -> Iterator[Callable[..., Crowd]]:
    with ExitStack() as stack:

        def start(url: str, count: int = CROWD) -> Crowd:
            number = len(list(tmp_path.glob("crowd-*")))
            return stack.enter_context(Crowd(url, tmp_path / f"crowd-{number}.log", count))

        yield start


def served(start_server, ws_implementation: str, gate: Path):
    return start_server(APP, ws=ws_implementation, environment={"CORTADO_TEST_GATE": str(gate)})


def lives(log: EventLog) -> dict[str, list[str]]:
    """The events of each session, in order."""
    found: dict[str, list[str]] = {}
    for event in log.read():
        if event.session is not None:
            found.setdefault(event.session, []).append(event.name)
    return found


def count(events: list[Event], name: str) -> int:
    return Counter(event.name for event in events)[name]


def test_a_hundred_first_connections(
    start_server, event_log: EventLog, ws_implementation, gate: Path, start_crowd
):
    """All wait for one singleton and get it; each has its own beans; however they go, all ends once and in order."""
    server = served(start_server, ws_implementation, gate)
    crowds = [start_crowd(server.url("/ws/room")) for _ in range(5)]
    event_log.wait_for_name("database begun")
    server.until(lambda: server.connections() == 100, "all connections to wait for the singleton", 30)
    gate.touch()
    event_log.wait_for_name("accepted", 100, 30)

    crowds[0].kill()
    crowds[1].leave()
    crowds[2].kill()
    event_log.wait_for_name("line ended", 60, 30)
    server.terminate()
    server.wait(30)

    events = event_log.read()
    ends = ["database created", "controller created", "controller ended", "database ended", "members ended"]
    assert [event.name for event in events if event.name in ends] == ends
    assert [event.name for event in events[-3:]] == ends[-3:]
    assert set(map(tuple, lives(event_log).values())) == {EACH_LIFE}
    assert len(lives(event_log)) == 100
    assert "Traceback" not in server.log()


def test_the_first_connection_is_killed_while_the_singleton_is_created(
    start_server, event_log: EventLog, ws_implementation, gate: Path, start_client, start_crowd
):
    """The others get it, and its factory ran once; of who was killed nothing is left."""
    server = served(start_server, ws_implementation, gate)
    first = start_client()
    first.begin(server.url("/ws/room"))
    event_log.wait_for_name("database begun")
    others = start_crowd(server.url("/ws/room"))
    server.until(lambda: server.connections() == CROWD + 1, "the others to wait, too", 30)
    first.kill()
    server.until(lambda: server.connections() == CROWD, "the first to be gone")
    gate.touch()
    event_log.wait_for_name("accepted", CROWD, 30)
    others.leave()
    others.wait(20)
    poll(
        lambda: sum("line ended" in one for one in lives(event_log).values()) >= CROWD, 20, lambda: "all ends"
    )
    server.terminate()
    server.wait(20)

    events = event_log.read()
    for name in ("database begun", "database created", "controller created", "database ended"):
        assert count(events, name) == 1
    whole = [one for one in lives(event_log).values() if "on_disconnect" in one]
    assert set(map(tuple, whole)) >= {EACH_LIFE}
    assert len(whole) in (CROWD, CROWD + 1)
    for created, ended in (("line created", "line ended"), ("visitor created", "visitor ended")):
        assert count(events, created) == count(events, ended)
