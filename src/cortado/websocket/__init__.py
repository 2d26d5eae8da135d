"""WebSocket endpoints and the sessions behind them."""

from cortado.websocket.close import CloseEvent, Initiator
from cortado.websocket.errors import (
    DestroyedScopeError,
    InvalidFrame,
    InvalidMessage,
    SessionStateError,
    WebSocketDisconnect,
)
from cortado.websocket.events import SessionClosed, SessionOpened
from cortado.websocket.handler import WebSocketHandler
from cortado.websocket.mapping import websocket_mapping
from cortado.websocket.registry import SessionCounters, SessionRegistry
from cortado.websocket.scopes import SessionScope
from cortado.websocket.session import SessionState, WebSocketSession
from cortado.websocket.stub import StubWebSocketSession
from cortado.websocket.values import ScopedValue

__all__ = [
    "CloseEvent",
    "DestroyedScopeError",
    "Initiator",
    "InvalidFrame",
    "InvalidMessage",
    "ScopedValue",
    "SessionClosed",
    "SessionCounters",
    "SessionOpened",
    "SessionRegistry",
    "SessionScope",
    "SessionState",
    "SessionStateError",
    "StubWebSocketSession",
    "WebSocketDisconnect",
    "WebSocketHandler",
    "WebSocketSession",
    "websocket_mapping",
]
