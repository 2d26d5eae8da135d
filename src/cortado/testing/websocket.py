"""The client's end of a WebSocket, held by a test."""

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp, Scope

from cortado.head import Headers
from cortado.testing.errors import (
    ConnectionClosed,
    HandshakeDenied,
    UnexpectedMessage,
    WaitTimeoutError,
    surface,
)
from cortado.testing.records import Acceptance, CloseFrame
from cortado.testing.waiting import settle, within
from cortado.testing.wire import ClientDisconnected, Wire, check_close

__all__ = ["TestWebSocket"]


class TestWebSocket:
    """A WebSocket to an application, which runs in a task of its own on the test's loop.

    Entering it completes the handshake. Leaving it closes with 1000 what is still open, waits until the application
    has dealt with it, and raises the first unexpected exception of the application. `TestClient.websocket` makes it.
    """

    __test__ = False

    def __init__(self, app: ASGIApp, scope: Scope, *, timeout: float, raise_server_exceptions: bool) -> None:
        self._app, self._scope = app, scope
        self._path: str = scope["path"]
        self._timeout, self._raise = timeout, raise_server_exceptions
        self._wire = Wire()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the connection.

        Raises:
            HandshakeDenied: The application refused it.
            WaitTimeoutError: The application neither accepted nor refused it in time.
            Exception: What the application raised.
        """
        wire = self._wire
        self._task = asyncio.create_task(self._run(), name=f"websocket {self._path}")
        self._task.add_done_callback(lambda _: wire.hang_up())
        try:
            await self._until("an answer to the handshake", None, lambda: wire.accepted or wire.denied)
            if denied := wire.denied:
                raise HandshakeDenied(denied.status, denied.headers, denied.body)
        except BaseException as error:
            await self._finish(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open and wait for the application.

        Raises:
            Exception: The first unexpected exception of the application. If the test itself fails with an error that
                is no mere consequence (`ConnectionClosed`, `HandshakeDenied`, `WaitTimeoutError`), that one goes on.
            WaitTimeoutError: The application did not end in time, and was cancelled.
        """
        await self._finish(error)

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol that the application chose."""
        return self._acceptance.subprotocol

    @property
    def headers(self) -> Headers:
        """The header fields with which the application accepted."""
        return self._acceptance.headers

    @property
    def closed(self) -> CloseFrame | None:
        """The close frame that the application sent; None if it has sent none."""
        return self._wire.closed

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """Receive the next message.

        Raises:
            ConnectionClosed: There is none left, and the connection has ended: with the code of the close frame, or
                with 1006 if there was none.
            WaitTimeoutError: None came in `timeout` seconds; the client's limit counts where none is given.
        """
        wire = self._wire
        await self._until("a message", timeout, lambda: wire.frames or wire.ended)
        if wire.frames:
            return wire.frames.popleft()
        assert wire.ended is not None
        raise ConnectionClosed(wire.ended.code, wire.ended.reason)

    async def receive_text(self, timeout: float | None = None) -> str:
        """Receive the next message, which must be a text.

        Raises:
            UnexpectedMessage: It is binary; otherwise as `receive`.
        """
        message = await self.receive(timeout)
        if isinstance(message, bytes):
            raise UnexpectedMessage("text", message)
        return message

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Receive the next message, which must be binary.

        Raises:
            UnexpectedMessage: It is a text; otherwise as `receive`.
        """
        message = await self.receive(timeout)
        if isinstance(message, str):
            raise UnexpectedMessage("binary", message)
        return message

    async def receive_json(self, timeout: float | None = None) -> Any:
        """Receive the next message, text or binary, and read it as JSON. Raises as `receive`, and ValueError."""
        return json.loads(await self.receive(timeout))

    async def wait_closed(self, timeout: float | None = None) -> CloseFrame:
        """Wait for the application's close frame, passing over messages that are not received yet.

        Raises:
            ConnectionClosed: The connection ended without one.
            WaitTimeoutError: None came in time.
        """
        wire = self._wire
        await self._until("the close frame", timeout, lambda: wire.ended)
        if wire.closed is None:
            assert wire.ended is not None
            raise ConnectionClosed(wire.ended.code, wire.ended.reason)
        return wire.closed

    async def send_text(self, data: str) -> None:
        """Send a text. Raises `ConnectionClosed` after the end of the connection."""
        self._send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message. Raises `ConnectionClosed` after the end of the connection."""
        self._send(data)

    async def send_json(self, data: Any) -> None:
        """Send a value as JSON in a text. Raises `ConnectionClosed` after the end of the connection."""
        self._send(json.dumps(data, separators=(",", ":"), ensure_ascii=False))

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close the connection; None sends a close frame without a code. Nothing if it has ended.

        Raises:
            ValueError: A close frame can't carry the code or the reason.
        """
        if code is None:
            self._wire.leave(1005, "")
        else:
            check_close(code, reason)
            self._wire.leave(code, reason)

    def drop(self) -> None:
        """Lose the connection without a farewell, as when a cable is cut."""
        self._wire.abort()

    def stall(self) -> None:
        """Stop reading: whatever the application sends waits, as on a full socket."""
        self._wire.stall()

    def resume(self) -> None:
        """Read again after `stall()`."""
        self._wire.resume()

    @property
    def _acceptance(self) -> Acceptance:
        if self._wire.accepted is None:
            raise RuntimeError("the WebSocket isn't open: use it inside `async with client.websocket(…)`")
        return self._wire.accepted

    def _send(self, data: str | bytes) -> None:
        if ended := self._wire.ended:
            raise ConnectionClosed(ended.code, ended.reason)
        self._wire.feed(data)

    async def _until(self, awaited: str, timeout: float | None, condition: Callable[[], object]) -> None:
        awaited = f"{awaited} from {self._path}"
        await within(
            self._timeout if timeout is None else timeout, self._wire.changes.until(condition), awaited
        )

    async def _run(self) -> None:
        await self._app(self._scope, self._wire.receive, self._wire.send)

    async def _finish(self, error: BaseException | None) -> None:
        assert self._task is not None
        self._wire.leave(1000, "")
        late: WaitTimeoutError | None = None
        try:
            await settle(self._task, self._timeout, f"the end of the endpoint at {self._path}")
        except WaitTimeoutError as timeout:
            late = timeout
        failure = self._server_exception(self._task)
        if self._raise and failure:
            surface(failure, error, (ConnectionClosed, HandshakeDenied, WaitTimeoutError))
        elif late:
            surface(late, error, (ConnectionClosed, HandshakeDenied))

    def _server_exception(self, task: asyncio.Task[None]) -> BaseException | None:
        reported: list[BaseException] = self._scope["extensions"]["cortado.exceptions"]
        raised = None if task.cancelled() else task.exception()
        if reported:
            return reported[0]
        return None if isinstance(raised, ClientDisconnected) else raised
