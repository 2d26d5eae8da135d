"""WebSocket endpoints and the sessions behind them."""

from cortado.websocket.close import CloseEvent, Initiator
from cortado.websocket.errors import InvalidFrame, InvalidMessage, SessionStateError, WebSocketDisconnect
from cortado.websocket.events import SessionClosed, SessionOpened
from cortado.websocket.handler import WebSocketHandler
from cortado.websocket.mapping import websocket_mapping
from cortado.websocket.registry import SessionCounters, SessionRegistry
from cortado.websocket.session import SessionState, WebSocketSession

__all__ = [
    "CloseEvent",
    "Initiator",
    "InvalidFrame",
    "InvalidMessage",
    "SessionClosed",
    "SessionCounters",
    "SessionOpened",
    "SessionRegistry",
    "SessionState",
    "SessionStateError",
    "WebSocketDisconnect",
    "WebSocketHandler",
    "WebSocketSession",
    "websocket_mapping",
]
