"""A test kit: a client that runs the application on the test's own loop, and a transport in memory."""

from cortado.testing.client import TestClient
from cortado.testing.errors import (
    ConnectionClosed,
    HandshakeDenied,
    IncompleteResponse,
    LeakError,
    LifespanError,
    UnexpectedMessage,
    WaitTimeoutError,
)
from cortado.testing.memory import MemoryTransport
from cortado.testing.records import Acceptance, CloseFrame, Denial
from cortado.testing.requests import RequestOptions, Response, StreamedResponse
from cortado.testing.websocket import TestWebSocket

__all__ = [
    "Acceptance",
    "CloseFrame",
    "ConnectionClosed",
    "Denial",
    "HandshakeDenied",
    "IncompleteResponse",
    "LeakError",
    "LifespanError",
    "MemoryTransport",
    "RequestOptions",
    "Response",
    "StreamedResponse",
    "TestClient",
    "TestWebSocket",
    "UnexpectedMessage",
    "WaitTimeoutError",
]
