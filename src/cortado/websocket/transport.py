"""The port between a session and whatever carries it: a server's ASGI socket, or a test's memory."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cortado.head import Head

__all__ = ["Departure", "Handshake", "Transport"]

Handshake = Head
"""What the peer said when it asked for the connection."""

RawHeaders = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Departure:
    """The peer is gone: what `Transport.receive` returns last."""

    code: int
    """The peer's close code; 1006 for an abrupt loss, 1005 for a close frame without code."""
    reason: str = ""
    """The peer's close reason."""
    was_clean: bool = True
    """Whether the peer said goodbye."""


class Transport(Protocol):
    """One connection as a session sees it.

    Any call may raise `OSError` or another exception when the connection is gone; the session takes every exception
    of a transport, other than cancellation, for the loss of the peer. Nothing is called after `close`, `deny` or
    `abort`, nor after a departure was received, except `abort`.
    """

    handshake: Handshake

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> Awaitable[None]:
        """Complete the handshake."""
        ...

    def receive(self) -> Awaitable[str | bytes | Departure]:
        """Wait for the next message, or for the peer's departure. One call at a time; never cancelled."""
        ...

    def send_text(self, data: str) -> Awaitable[None]:
        """Send a text frame; returns when the transport has taken it. One call at a time."""
        ...

    def send_bytes(self, data: bytes) -> Awaitable[None]:
        """Send a binary frame; returns when the transport has taken it. One call at a time."""
        ...

    def close(self, code: int, reason: str) -> Awaitable[None]:
        """Send the close frame. The code is legal on the wire, the reason fits."""
        ...

    def deny(self, status: int, headers: RawHeaders, body: bytes) -> Awaitable[None]:
        """Refuse the handshake with an HTTP response, or with what comes nearest to it."""
        ...

    def abort(self) -> bool:
        """Cut the connection at once, without farewell; False where the transport has no way to do that."""
        ...
