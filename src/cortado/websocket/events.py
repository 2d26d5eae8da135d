"""The events of a session, for those who follow all of them without being their controller."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cortado.websocket.session import WebSocketSession

__all__ = ["SessionClosed", "SessionListeners", "SessionOpened"]


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Published when a handshake was accepted; `accept()` returns when the listeners are done."""

    session: WebSocketSession
    """The session."""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """Published exactly once for each session that was accepted, after its hooks and however it ended."""

    session: WebSocketSession
    """The session; its `close_event` tells how it ended, and all that it owns is still there."""


@dataclass(frozen=True, slots=True)
class SessionListeners:
    """Who is told of the events of sessions, in order."""

    opened: tuple[Callable[[SessionOpened], Awaitable[None]], ...] = ()
    closed: tuple[Callable[[SessionClosed], Awaitable[None]], ...] = ()
