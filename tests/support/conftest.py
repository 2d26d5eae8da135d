"""The harness's own fixtures, tried on a bare application."""

from tests.support.fixtures import event_log, start_client, start_server, ws_implementation

__all__ = ["event_log", "start_client", "start_server", "ws_implementation"]
