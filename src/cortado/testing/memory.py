"""A connection that exists in memory only, to test a session without any server."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from cortado.head import Headers
from cortado.testing.records import Acceptance, CloseFrame, Denial
from cortado.testing.waiting import DEFAULT_TIMEOUT, Changes, within
from cortado.websocket.transport import Departure, Handshake

__all__ = ["MemoryTransport"]

RawHeaders = Sequence[tuple[bytes, bytes]]


class MemoryTransport:
    """A `Transport` whose other end is the test.

    What the test feeds is never lost, even if a `receive` is cancelled. A call that the port forbids raises
    RuntimeError; as a session takes that for the loss of the peer, it is kept in `violations` too.

    Args:
        handshake: What the peer said; a bare head when left out.
        can_abort: False plays a server that can't cut a connection.
    """

    def __init__(self, handshake: Handshake | None = None, *, can_abort: bool = True) -> None:
        self.handshake: Handshake = Handshake(scheme="ws") if handshake is None else handshake
        self.accepted: Acceptance | None = None
        """How the handshake was completed."""
        self.denied: Denial | None = None
        """How the handshake was refused."""
        self.closed: CloseFrame | None = None
        """The close frame that the session sent."""
        self.aborted = False
        """Whether the session cut the connection."""
        self.sent: list[str | bytes] = []
        """Every frame that the transport took, in order."""
        self.violations: list[str] = []
        """Every call that the port forbids, in words."""
        self._can_abort = can_abort
        self._changes = Changes()
        self._incoming: deque[str | bytes | Departure] = deque()
        self._departed = self._departure_received = self._receiving = self._stalled = False
        self._failure: Exception | None = None
        self._seen = 0
        self._sending = 0

    # The test's side

    @property
    def receiving(self) -> bool:
        """Whether the session waits for a message."""
        return self._receiving

    @property
    def sending(self) -> int:
        """How many frames wait for a stalled peer."""
        return self._sending

    def feed(self, *messages: str | bytes) -> None:
        """Let the peer send messages."""
        if self._departed:
            raise RuntimeError("the peer has departed; feed its messages before depart()")
        self._incoming.extend(messages)
        self._changes.notify()

    def depart(self, code: int = 1000, reason: str = "", *, was_clean: bool = True) -> None:
        """Let the peer leave after what it has sent; whatever the session sends from now on is an `OSError`."""
        self._depart(Departure(code, reason, was_clean))

    def vanish(self) -> None:
        """Let the peer be lost without a farewell."""
        self._depart(Departure(1006, was_clean=False))

    def stall(self) -> None:
        """Let the peer stop reading: sends, and the close frame, wait as on a full socket."""
        self._stalled = True

    def resume(self) -> None:
        """Let the peer read again."""
        self._stalled = False
        self._changes.notify()

    def fail_sends(self, error: Exception | None) -> None:
        """Let every send raise this error from now on, those that wait included; None ends it."""
        self._failure = error
        self._changes.notify()

    async def next_sent(self, timeout: float = DEFAULT_TIMEOUT) -> str | bytes:
        """Return the first frame that was not returned before, waiting for it if need be.

        Raises:
            WaitTimeoutError: No frame was sent in time.
        """
        await self.until(lambda: len(self.sent) > self._seen, timeout, "a frame from the session")
        self._seen += 1
        return self.sent[self._seen - 1]

    async def until(
        self, condition: Callable[[], object], timeout: float = DEFAULT_TIMEOUT, awaited: str = "a condition"
    ) -> None:
        """Return as soon as a condition on this transport holds, such as `lambda: transport.closed`.

        Raises:
            WaitTimeoutError: It did not hold in time; the error says `awaited`.
        """
        await within(timeout, self._changes.until(condition), awaited)

    # The session's side: the port

    async def accept(self, subprotocol: str | None, headers: RawHeaders) -> None:
        """Complete the handshake."""
        if self.accepted:
            raise self._violation("accept() was called twice")
        await self._writable("accept()")
        self.accepted = Acceptance(subprotocol, Headers(headers))
        self._changes.notify()

    async def receive(self) -> str | bytes | Departure:
        """Wait for the next message that the test feeds, or for the departure."""
        self._check_open("receive()")
        if self._receiving:
            raise self._violation("receive() was called while another receive() waits")
        self._receiving = True
        self._changes.notify()
        try:
            await self._changes.until(lambda: self._incoming)
        except asyncio.CancelledError:
            if not self._departed:
                self.violations.append("receive() was cancelled")
            raise
        finally:
            self._receiving = False
        message = self._incoming.popleft()
        self._departure_received = isinstance(message, Departure)
        return message

    async def send_text(self, data: str) -> None:
        """Take a text frame."""
        await self._send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Take a binary frame."""
        await self._send(data)

    async def close(self, code: int, reason: str) -> None:
        """Take the close frame; the peer answers it at once."""
        await self._writable("close()")
        self.closed = CloseFrame(code, reason)
        self._depart(Departure(code, reason))

    async def deny(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Take the refusal of the handshake."""
        if self.accepted:
            raise self._violation("deny() was called after accept()")
        await self._writable("deny()")
        self.denied = Denial(status, Headers(headers), body)
        self._depart(Departure(1006, was_clean=False))

    def abort(self) -> bool:
        """Cut the connection; False, and nothing, for a transport that can't."""
        if not self._can_abort:
            return False
        self.aborted = True
        self._depart(Departure(1006, was_clean=False))
        return True

    async def _send(self, data: str | bytes) -> None:
        if not self.accepted:
            raise self._violation("a frame was sent before accept()")
        if self._sending:
            raise self._violation("a frame was sent while another one waits")
        await self._writable("a send")
        self.sent.append(data)
        self._changes.notify()

    async def _writable(self, call: str) -> None:
        self._check_open(call)
        self._sending += 1
        self._changes.notify()
        try:
            await self._changes.until(lambda: not self._stalled or self._failure or self._departed)
        finally:
            self._sending -= 1
        if self._failure is not None:
            raise self._failure
        if self._departed:
            raise ConnectionResetError("the peer is gone")

    def _depart(self, departure: Departure) -> None:
        if not self._departed:
            self._departed = True
            self._incoming.append(departure)
        self._changes.notify()

    def _check_open(self, call: str) -> None:
        for ended, by in (
            (self.closed, "close()"),
            (self.denied, "deny()"),
            (self.aborted, "abort()"),
            (self._departure_received, "the departure was received"),
        ):
            if ended:
                raise self._violation(f"{call} was called after {by}")

    def _violation(self, text: str) -> RuntimeError:
        self.violations.append(text)
        return RuntimeError(f"the transport's contract is broken: {text}")
