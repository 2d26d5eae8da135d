"""A session without a connection, for code that expects one."""

import asyncio
from typing import NoReturn

from typing_extensions import override

from cortado.settings import WebSocketSettings
from cortado.tasks import start
from cortado.websocket.close import CloseEvent, check_close_code, cut_reason
from cortado.websocket.errors import WebSocketDisconnect
from cortado.websocket.session import HeaderItems, SessionState, WebSocketSession
from cortado.websocket.transport import Departure, Handshake, RawHeaders

__all__ = ["StubWebSocketSession"]


class StubWebSocketSession(WebSocketSession):
    """Stands in for a session where there is none: code that expects one runs, and nobody hears of it.

    What is sent goes nowhere, and `send_text()` and the like say so by False. There is nothing to receive: `receive()`
    raises `WebSocketDisconnect`, and iteration ends at once. Values, tasks, callbacks and scopes work as they do in any
    session, and `close()` destroys them; hooks of an end don't run, as no connection has ended.

    To be made and used on a running event loop.
    """

    __slots__ = ()

    def __init__(self, handshake: Handshake | None = None, settings: WebSocketSettings | None = None) -> None:
        """Make a stand-in.

        Args:
            handshake: What the peer that isn't there has said; a bare head when left out.
            settings: Limits and times.
        """
        super().__init__(_Nowhere(handshake or Handshake(scheme="ws")), settings)

    def is_stub_session(self) -> bool:
        """Tell whether this is a stand-in without a connection: it is."""
        return True

    @override
    async def accept(self, subprotocol: str | None = None, headers: HeaderItems | None = None) -> None:
        """Go on as if there were a client."""
        if self._state is SessionState.CONNECTING:
            self._accepted, self._state = True, SessionState.OPEN

    @override
    async def deny(
        self, status: int = 403, body: str | bytes | None = None, headers: HeaderItems | None = None
    ) -> None:
        """End, as `close()` does."""
        await self.close()

    async def receive(self) -> str | bytes:
        """Raise `WebSocketDisconnect`, as nobody sends anything."""
        await self._nothing()

    async def receive_text(self) -> str:
        """Raise `WebSocketDisconnect`, as nobody sends anything."""
        await self._nothing()

    @override
    async def close(
        self, code: int = 1000, reason: str | None = None, *, hard: bool = False, message: str | None = None
    ) -> None:
        """End: destroy what the session and its scopes own. Idempotent; whoever comes second waits for the same end.

        Called by its own tasks and callbacks it doesn't wait.

        Raises:
            ValueError: The code is none that a close frame may carry.
        """
        if self._end(CloseEvent(check_close_code(code), cut_reason(reason), hard=hard)):
            self._wire_done = True
            self._carry_through()
        await self.wait_closed()

    def __repr__(self) -> str:
        return f"<StubWebSocketSession {self._id} {self.path} {self._state}>"

    def _carry_through(self, before: "asyncio.Task[None] | None" = None) -> None:
        if before is None or self._state is not SessionState.CLOSED:
            ending = start(self._to_the_end(), "cortado-ending of a stub", self._own_context())
            ending.add_done_callback(self._carry_through)
            self._keep(ending)

    async def _to_the_end(self) -> None:
        await self._destroyed()
        self._state = SessionState.CLOSED
        self._step_done()

    async def _nothing(self) -> NoReturn:
        await asyncio.sleep(0)  # who catches this and tries again must not stop the loop
        raise WebSocketDisconnect(session_id=self._id)

    @override
    async def _send(self, frame: str | bytes) -> bool:
        return False


class _Nowhere:
    """A transport without a peer."""

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake

    async def accept(self, subprotocol: str | None, headers: RawHeaders) -> None: ...

    async def receive(self) -> str | bytes | Departure:
        return Departure(1000)

    async def send_text(self, data: str) -> None: ...

    async def send_bytes(self, data: bytes) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    async def deny(self, status: int, headers: RawHeaders, body: bytes) -> None: ...

    def abort(self) -> bool:
        return True
