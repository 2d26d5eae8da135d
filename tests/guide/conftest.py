"""A real server with the guide's examples, on each of uvicorn's WebSocket implementations."""

import pytest

from tests.support.fixtures import event_log, start_server, ws_implementation

__all__ = ["event_log", "server", "start_server", "ws_implementation"]


@pytest.fixture
def server(start_server, ws_implementation):
    """The guide's examples on a real uvicorn."""
    return start_server("tests.guide.app:app", ws=ws_implementation)
