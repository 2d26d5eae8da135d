"""Fixtures around real server and client processes; a conftest imports what it uses.

from tests.support.fixtures import event_log, start_client, start_server, ws_implementation
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.support.client import ClientProcess
from tests.support.events import EventLog
from tests.support.server import WS_IMPLEMENTATIONS, ServerProcess

__all__ = ["event_log", "start_client", "start_server", "ws_implementation"]


@pytest.fixture(params=WS_IMPLEMENTATIONS)
def ws_implementation(request: pytest.FixtureRequest) -> str:
    """Each of uvicorn's WebSocket implementations in turn."""
    return request.param


@pytest.fixture
def event_log(tmp_path: Path) -> EventLog:
    """The log that the servers of this test write their events into."""
    return EventLog(tmp_path / "events.jsonl")


@pytest.fixture
def start_server(tmp_path: Path, event_log: EventLog) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers with `start_server(target, ws=…, arguments=…, environment=…, command=…)`.

    Each is returned when it accepts connections, and ends with the test. What it wrote shows when the test fails.
    """
    numbers = count(1)
    with ExitStack() as stack:

        def start(target: str, **options) -> ServerProcess:
            environment = {**event_log.environment, **options.pop("environment", {})}
            output = tmp_path / f"server-{next(numbers)}.log"
            server = ServerProcess(target, output, environment=environment, **options)
            stack.callback(lambda: print(server.log()))
            stack.enter_context(server)
            server.wait_ready()
            return server

        yield start


@pytest.fixture
def start_client(tmp_path: Path) -> Iterator[Callable[[], ClientProcess]]:
    """Start client processes with `start_client()`; they end with the test."""
    numbers = count(1)
    with ExitStack() as stack:

        def start() -> ClientProcess:
            return stack.enter_context(ClientProcess(tmp_path / f"client-{next(numbers)}.log"))

        yield start
