"""Real servers and clients, and what must be back at its base when a session has ended."""

import http.client
import json
from dataclasses import dataclass

import pytest

from tests.support.events import Event, EventLog
from tests.support.fixtures import event_log, start_client, start_server, ws_implementation
from tests.support.processes import poll
from tests.support.server import ServerProcess

__all__ = ["event_log", "running", "start_client", "start_server", "ws_implementation"]

APP = "tests.endings.app:app"


@dataclass
class Running:
    """A server with the endings under test, its events, and what it held before anybody came."""

    server: ServerProcess
    log: EventLog
    base: dict[str, int]

    def counts(self) -> dict[str, int]:
        return counts(self.server)

    def url(self, path: str) -> str:
        return self.server.url(f"/ws{path}")

    def hooks(self) -> list[str]:
        """The events of hooks so far, in order."""
        return [event.name for event in self.events() if event.name.removesuffix(" done") in HOOKS]

    def events(self) -> list[Event]:
        return self.log.read()

    def wait_until_back_at_base(self, timeout: float = 10) -> None:
        """Wait until sessions, tasks and file descriptors are what they were before."""
        poll(
            lambda: self.counts() == self.base,
            timeout,
            lambda: f"the base {self.base}; there are {self.counts()}\n{self.server.log()}",
        )


HOOKS = {
    "on_disconnect",
    "on_ended 1",
    "on_ended 2",
    "on_hard_close",
    "registered on_hard_close",
    "on_destroy",
}


def counts(server: ServerProcess) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/counts", headers={"connection": "close"})
    found = json.loads(connection.getresponse().read())
    connection.close()
    return {**found, "descriptors": server.open_files() - server.connections()}


@pytest.fixture
def running(start_server, event_log, ws_implementation, request) -> Running:
    """A server with the endings, on each of uvicorn's WebSocket implementations."""
    options = getattr(request, "param", {})
    server = start_server(APP, ws=ws_implementation, **options)
    counts(server)
    return Running(server, event_log, counts(server))
