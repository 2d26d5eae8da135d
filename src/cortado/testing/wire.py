"""The server's part of one WebSocket: what uvicorn does between an application and a client, without a socket."""

from collections import deque

from starlette.types import Message

from cortado.head import Headers
from cortado.testing.records import Acceptance, CloseFrame, Denial
from cortado.testing.waiting import Changes

__all__ = ["ClientDisconnected", "Wire", "check_close"]

ABNORMAL = CloseFrame(1006)
"""What a client sees of a connection that ended without a close frame."""


class ClientDisconnected(OSError):
    """The application sent something to a client that is gone. No failure when it escapes the application."""


class Wire:
    """One WebSocket as an application sees it through `receive` and `send`, and as its client sees it.

    The rules are uvicorn's: a close before the handshake is a 403; an abrupt loss is a disconnect with code 1005
    and without a `reason`; sending to a client that is gone raises OSError; sending after one's own close, or
    anything out of order, raises RuntimeError. `send.__self__.transport.abort()` cuts the connection.
    """

    def __init__(self) -> None:
        self.changes = Changes()
        """Notified whenever anything below changes."""
        self.accepted: Acceptance | None = None
        """How the application completed the handshake."""
        self.denied: Denial | None = None
        """How the application refused it."""
        self.closed: CloseFrame | None = None
        """The close frame that the application sent."""
        self.ended: CloseFrame | None = None
        """How the connection ended, for its client; None while it is open."""
        self.frames: deque[str | bytes] = deque()
        """What the application sent and the client has not received yet."""
        self._events: deque[Message] = deque([{"type": "websocket.connect"}])
        self._stalled = False
        self._status = 0
        self._headers = Headers()
        self._body = b""

    # The application's side

    @property
    def transport(self) -> "Wire":
        """What can be aborted, where uvicorn's protocol has it."""
        return self

    def abort(self) -> None:
        """Cut the connection at once."""
        self._end(ABNORMAL, {"type": "websocket.disconnect", "code": 1005})

    async def receive(self) -> Message:
        """Return the next event; the last one is the disconnect."""
        if self.ended and not self._events:
            raise RuntimeError("receive() was called after websocket.disconnect had been received")
        await self.changes.until(lambda: self._events)
        return self._events.popleft()

    async def send(self, message: Message) -> None:
        """Take an event from the application."""
        if self.closed or self.denied:
            raise RuntimeError(f"{message['type']} was sent after the application had ended the connection")
        await self.changes.until(lambda: not self._stalled or self.ended)
        if self.ended:
            raise ClientDisconnected("the client is gone")
        if self.accepted:
            self._send_open(message)
        else:
            self._send_connecting(message)
        self.changes.notify()

    # The client's side

    def feed(self, data: str | bytes) -> None:
        """Send a message to the application."""
        kind = "text" if isinstance(data, str) else "bytes"
        self._events.append({"type": "websocket.receive", kind: data})
        self.changes.notify()

    def leave(self, code: int, reason: str) -> None:
        """Close as a client does; nothing if the connection has ended."""
        self._end(CloseFrame(code, reason), {"type": "websocket.disconnect", "code": code, "reason": reason})

    def stall(self) -> None:
        """Stop taking what the application sends."""
        self._stalled = True

    def resume(self) -> None:
        """Take again what the application sends."""
        self._stalled = False
        self.changes.notify()

    def hang_up(self) -> None:
        """End what an application left open that has returned or raised."""
        if self.accepted:
            self._end(ABNORMAL, {"type": "websocket.disconnect", "code": 1005})
        elif not self.denied:
            self._deny(500, Headers(), b"Internal Server Error")

    def _send_connecting(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                self.accepted = Acceptance(message.get("subprotocol"), Headers(message.get("headers", ())))
            case "websocket.close":
                self._deny(403, Headers(), b"")
            case "websocket.http.response.start" if not self._status:
                self._status, self._headers = message["status"], Headers(message.get("headers", ()))
            case "websocket.http.response.body" if self._status:
                self._body += message.get("body", b"")
                if not message.get("more_body", False):
                    self._deny(self._status, self._headers, self._body)
            case other:
                raise RuntimeError(f"{other} was sent during the handshake")

    def _send_open(self, message: Message) -> None:
        match message["type"]:
            case "websocket.send":
                text = message.get("text")
                self.frames.append(message["bytes"] if text is None else text)
            case "websocket.close":
                code, reason = message.get("code", 1000), message.get("reason") or ""
                check_close(code, reason)
                self.closed = CloseFrame(code, reason)
                self._end(self.closed, {"type": "websocket.disconnect", "code": code, "reason": reason})
            case other:
                raise RuntimeError(f"{other} was sent on an open connection")

    def _deny(self, status: int, headers: Headers, body: bytes) -> None:
        self.denied = Denial(status, headers, body)
        self._end(ABNORMAL, {"type": "websocket.disconnect", "code": 1006})

    def _end(self, frame: CloseFrame, event: Message) -> None:
        if self.ended:
            return
        self.ended = frame
        self._events.append(event)
        self.changes.notify()


def check_close(code: int, reason: str) -> None:
    """Check that a close frame may say this.

    Raises:
        ValueError: The code is none that may stand in a frame, or the reason is longer than 123 bytes.
    """
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ValueError(f"a close frame can't carry the code {code!r}")
    if len(reason.encode()) > 123:
        raise ValueError(f"a close reason has at most 123 bytes, not {len(reason.encode())}")
