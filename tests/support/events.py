"""What happens in a server under test: its application writes events to a file, the test waits for them.

The application calls `record("on_disconnect", session)`; the test holds an `EventLog` whose `environment` it gave to
the server. Without a log, recording does nothing.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import poll

VARIABLE = "CORTADO_TEST_EVENTS"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    name: str
    """What happened, such as the name of a hook."""
    at: float
    """When, on the clock that all processes of the machine share."""
    session: str | None
    """The session's id."""
    facts: Mapping[str, Any]
    """What else was told: of a session its `state` and, once it is known, its `close_event`."""


def record(name: str, session: Any = None, **facts: Any) -> None:
    """Write an event, in the process of the server; one write, so that events never mix."""
    path = os.environ.get(VARIABLE)
    if path is None:
        return
    entry = {"name": name, "at": time.monotonic(), "session": None, "facts": facts}
    if session is not None:
        entry["session"] = session.id
        entry["facts"] = {**_describe(session), **facts}
    with Path(path).open("ab", buffering=0) as file:
        file.write(json.dumps(entry, default=str).encode() + b"\n")


def _describe(session: Any) -> dict[str, Any]:
    described = {"path": session.path, "state": session.state.name}
    event = session.close_event
    if event is not None:
        described["close_event"] = {
            "code": event.code,
            "reason": event.reason,
            "was_clean": event.was_clean,
            "initiator": getattr(event.initiator, "value", event.initiator),
            "hard": event.hard,
            "error": None if event.error is None else repr(event.error),
        }
    return described


class EventLog:
    """The events of a server under test, in the order in which they were written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a server write into this log."""
        return {VARIABLE: str(self.path)}

    def read(self) -> list[Event]:
        """Return what was written so far."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().rpartition("\n")[0].splitlines()
        return [Event(**json.loads(line)) for line in lines]

    def names(self) -> list[str]:
        """Return what happened so far, by name."""
        return [event.name for event in self.read()]

    def wait_for(self, condition: Callable[[list[Event]], object], timeout: float = 10) -> list[Event]:
        """Return the events as soon as the condition holds for them."""
        poll(lambda: condition(self.read()), timeout, lambda: f"the events; the last are {self.read()[-20:]}")
        return self.read()

    def wait_for_name(self, name: str, count: int = 1, timeout: float = 10) -> list[Event]:
        """Return the events of a name as soon as there are so many of them."""

        def named() -> list[Event]:
            return [event for event in self.read() if event.name == name]

        poll(
            lambda: len(named()) >= count,
            timeout,
            lambda: f"{count} x {name!r}; the last are {self.names()[-20:]}",
        )
        return named()
