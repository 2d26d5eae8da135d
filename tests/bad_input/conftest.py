"""Real servers, also those that refuse to start."""

from tests.support.fixtures import event_log, start_client, start_server, ws_implementation

__all__ = ["event_log", "start_client", "start_server", "ws_implementation"]
