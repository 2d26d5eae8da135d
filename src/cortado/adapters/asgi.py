"""The transport of a session on ASGI's raw `receive` and `send`."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from cortado.websocket.transport import Departure, Handshake, RawHeaders

__all__ = ["RAW_SEND", "AsgiTransport"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

RAW_SEND = "cortado.send"
"""The key under which the application leaves the server's own `send` in the scope, past any middleware."""


class AsgiTransport:
    """A WebSocket as an ASGI server offers it.

    What differs from server to server is levelled here: an abrupt loss is 1006, a refusal falls back to what the
    server can do, and a connection is cut where the server lets us.
    """

    __slots__ = ("_reading", "_receive", "_scope", "_send", "handshake")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.handshake = Handshake.of(scope)
        """What the peer said when it asked for the connection."""
        self._scope, self._receive, self._send = scope, receive, send
        self._reading: Awaitable[Event] | None = None

    async def asked(self) -> bool:
        """Take the server's first event; False when the client is gone before anything could be done."""
        event = await self._receive()
        return bool(event["type"] == "websocket.connect")

    def accept(self, subprotocol: str | None, headers: RawHeaders) -> Awaitable[None]:
        """Complete the handshake."""
        return self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(headers)})

    async def receive(self) -> str | bytes | Departure:
        """Wait for the next message, or for the peer's departure."""
        self._reading = reading = self._receive()
        event = await reading
        if event["type"] == "websocket.receive":
            text: str | None = event.get("text")
            data: bytes | None = event.get("bytes")
            return text if text is not None else (data or b"")
        return _departure(event)

    def send_text(self, data: str) -> Awaitable[None]:
        """Send a text frame."""
        return self._send({"type": "websocket.send", "text": data})

    def send_bytes(self, data: bytes) -> Awaitable[None]:
        """Send a binary frame."""
        return self._send({"type": "websocket.send", "bytes": data})

    def close(self, code: int, reason: str) -> Awaitable[None]:
        """Send the close frame; a pending `receive()` may come to nothing."""
        self._stop_reading()  # granian sends no close frame as long as it receives
        return self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def deny(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Refuse the handshake with a response; without the server's extension for that, by a close: 403."""
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        length = (b"content-length", str(len(body)).encode())
        start = {"type": "websocket.http.response.start", "status": status, "headers": [*headers, length]}
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": body})
        await asyncio.sleep(
            0
        )  # uvicorn learns in the next turn that the handshake is over; before, it would complain

    def abort(self) -> bool:
        """Cut the connection without farewell; False where the server gives no way to.

        Over HTTP/2 other streams share the connection, so it stays.
        """
        if self._scope.get("http_version") == "2":
            return False
        transport = _transport(self._scope.get(RAW_SEND, self._send))
        abort = getattr(transport, "abort", None)
        if not callable(abort):
            self._let_go()
            return False
        abort()
        return True

    def _let_go(self) -> None:
        """Keep nothing of the server's: granian closes a socket when its last object is gone."""
        self._scope.pop(RAW_SEND, None)
        self._send = self._receive = _cut_off
        self._stop_reading()

    def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        cancel = getattr(reading, "cancel", None)  # granian's has one; a coroutine has not
        if cancel is not None:
            cancel()


async def _cut_off(*_: object) -> Any:
    raise ConnectionAbortedError("the connection was cut")


def _transport(send: object) -> object:
    """Find the event loop's transport behind a server's `send`, or None. All of it is private to the servers."""
    owner = getattr(send, "__self__", None)
    found = getattr(owner, "transport", None)  # uvicorn, gunicorn
    if found is not None:
        return found
    for _ in range(2):  # hypercorn: from the stream to its protocol, from there to the connection
        owner = getattr(getattr(owner, "send", None), "__self__", None)
    return getattr(getattr(owner, "writer", None), "transport", None)


def _departure(event: Event) -> Departure:
    """Read a `websocket.disconnect`; servers report an abrupt loss as 1006, or as 1005 without a `reason` key."""
    code: int = event.get("code") or 1005
    if code == 1006 or (code == 1005 and "reason" not in event):
        return Departure(1006, was_clean=False)
    return Departure(code, event.get("reason") or "")
