"""The one writer of a session: its handler's frames go straight to the wire, everybody else's never wait."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any

from cortado.settings import OverflowPolicy
from cortado.websocket.transport import Transport

__all__ = ["Outbox", "Pace", "payload_size"]

logger = logging.getLogger("cortado.websocket")

_Queued = tuple[str | bytes, asyncio.Future[bool] | None]

BUDGET = 64 * 1024
FRAME_COST = 256


class Pace:
    """Lets the event loop breathe: after so many frames without a pause, the sender yields once.

    A send to a socket with room in its buffer never suspends, so that a tight loop of sends would starve every other
    task of the process. One pace is shared by all sessions of an application.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = BUDGET

    def spend(self, size: int) -> bool:
        """Count a frame of some bytes; True when it is time to yield."""
        self._left -= FRAME_COST + size
        if self._left > 0:
            return False
        self._left = BUDGET
        return True


class Outbox:
    """The outgoing side of a session; frames leave in the order of the calls.

    `write()` is for the session's own handler: it waits for the wire. `offer()` is for everybody else: it writes at
    once if the wire is free, queues if it isn't, and never waits. The queue is bounded by frames and by bytes.
    """

    __slots__ = (
        "_bytes",
        "_frames",
        "_idle",
        "_lost",
        "_max_bytes",
        "_max_frames",
        "_on_overflow",
        "_overflowed",
        "_pump",
        "_queue",
        "_sealed",
        "_send_bytes",
        "_send_text",
        "busy",
        "dropped",
        "writes",
    )

    def __init__(
        self,
        transport: Transport,
        *,
        max_frames: int,
        max_bytes: int,
        on_overflow: OverflowPolicy,
        lost: Callable[[], None],
        overflowed: Callable[[], None],
    ) -> None:
        self._send_text, self._send_bytes = transport.send_text, transport.send_bytes
        self._max_frames, self._max_bytes, self._on_overflow = max_frames, max_bytes, on_overflow
        self._lost, self._overflowed = lost, overflowed
        self._queue: deque[_Queued] | None = None  # made when first needed: most sessions never queue
        self._bytes = 0  # of the frames that others queued
        self._frames = 0
        self._pump: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._sealed = False
        self.busy = True
        """Whether something is on its way to the wire; from the start, until the handshake is accepted."""
        self.writes = 0
        """How many writes have begun; a sweeper sees by it whether one is stuck."""
        self.dropped = 0
        """How many frames the bound has cost."""

    def __len__(self) -> int:
        return len(self._queue or ())

    @property
    def pending_bytes(self) -> int:
        """The bytes that others have queued."""
        return self._bytes

    async def write(self, frame: str | bytes) -> bool:
        """Send a frame of the session's own handler; returns when the transport has taken it.

        False when the outbox was sealed, or the peer was lost, first. Cancelling may or may not have sent the frame.
        """
        if self._sealed:
            return False
        if self.busy or self._queue:
            return await self._enqueue(frame)
        self.busy = True
        self.writes += 1
        try:
            await (self._send_text(frame) if isinstance(frame, str) else self._send_bytes(frame))
        except UnicodeError:
            raise
        except Exception:  # noqa: BLE001 - servers raise all kinds of errors for a lost peer
            self._lose()
            return False
        finally:
            self._release()
        return True

    def offer(self, frame: str | bytes) -> bool:
        """Send a frame of somebody else's without ever waiting; False when it was not taken.

        A frame that the wire takes at once is written at once, without task or queue.
        """
        if self._sealed:
            return False
        if self.busy or self._queue:
            return self._queue_foreign(frame)
        self.busy = True
        self.writes += 1
        steps = self._send(frame).__await__()
        try:
            pending = next(steps)
        except StopIteration:
            self._release()
            return True
        except UnicodeError:
            self._release()
            raise
        except Exception:  # noqa: BLE001 - servers raise all kinds of errors for a lost peer
            self._release()
            self._lose()
            return False
        if pending is not None:
            pending._asyncio_future_blocking = False
        self._start_pump(_Resumed(steps, pending))
        return True

    def open(self) -> None:
        """Begin to write: the handshake is accepted."""
        self._release()

    def seal(self) -> None:
        """Take no frame any more; what is queued still leaves."""
        self._sealed = True

    def discard(self) -> None:
        """Take no frame any more and drop what is queued: there is nobody to send it to."""
        self._sealed = True
        self._fail_queue()
        if self._pump is not None:
            self._pump.cancel()

    async def drained(self) -> None:
        """Wait until everything queued has left and nothing is being written."""
        while self.busy or self._queue:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def _send(self, frame: str | bytes) -> Awaitable[None]:
        return self._send_text(frame) if isinstance(frame, str) else self._send_bytes(frame)

    async def _enqueue(self, frame: str | bytes) -> bool:
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._append(frame, taken)
        return await taken

    def _queue_foreign(self, frame: str | bytes) -> bool:
        size = payload_size(frame)
        while self._frames + 1 > self._max_frames or self._bytes + size > self._max_bytes:
            fits = size <= self._max_bytes
            if self._on_overflow != "drop_oldest" or not fits or not self._drop_oldest():
                self.dropped += 1
                if self._on_overflow == "disconnect":
                    self._overflowed()
                return False
        self._append(frame, None)
        self._frames += 1
        self._bytes += size
        return True

    def _append(self, frame: str | bytes, taken: asyncio.Future[bool] | None) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append((frame, taken))

    def _drop_oldest(self) -> bool:
        queue = self._queue or deque()
        for index, (frame, taken) in enumerate(queue):
            if taken is None:
                del queue[index]
                self._forget(frame)
                self.dropped += 1
                return True
        return False

    def _forget(self, frame: str | bytes) -> None:
        self._frames -= 1
        self._bytes -= payload_size(frame)

    def _release(self) -> None:
        self.busy = False
        if self._queue:
            self.busy = True
            self._start_pump(None)
        elif self._idle is not None:
            self._idle.set_result(None)
            self._idle = None

    def _start_pump(self, begun: "_Resumed | None") -> None:
        # Past any task factory: an eager one would run it to its end before it has a name here.
        self._pump = asyncio.Task(
            self._write_queue(begun), loop=asyncio.get_running_loop(), name="cortado-outbox"
        )

    async def _write_queue(self, begun: "_Resumed | None") -> None:
        try:
            if begun is not None:
                await begun.finish()
            while self._queue:
                frame, taken = self._queue.popleft()
                if taken is None:
                    self._forget(frame)
                await self._write_queued(frame, taken)
        except Exception:  # noqa: BLE001 - servers raise all kinds of errors for a lost peer
            self._lose()
        finally:
            self._pump = None
            self._release()

    async def _write_queued(self, frame: str | bytes, taken: asyncio.Future[bool] | None) -> None:
        self.writes += 1
        try:
            await self._send(frame)
        except UnicodeError as error:
            if taken is None:
                self.dropped += 1
                logger.error("A text frame that is no valid Unicode was dropped: %s", error)
            elif not taken.done():
                taken.set_exception(error)
            return
        except BaseException:
            if taken is not None and not taken.done():
                taken.set_result(False)
            raise
        if taken is not None and not taken.done():
            taken.set_result(True)

    def _fail_queue(self) -> None:
        while self._queue:
            frame, taken = self._queue.popleft()
            if taken is None:
                self._forget(frame)
                self.dropped += 1
            elif not taken.done():
                taken.set_result(False)

    def _lose(self) -> None:
        self._sealed = True
        self._fail_queue()
        self._lost()


def payload_size(frame: str | bytes) -> int:
    """Return how many bytes a frame's payload has."""
    if isinstance(frame, bytes) or frame.isascii():
        return len(frame)
    return len(frame.encode(errors="replace"))


class _Resumed:
    """A write that was begun without a task and found the wire full: a task takes it to its end."""

    __slots__ = ("_pending", "_steps")

    def __init__(self, steps: Generator[Any, None, Any], pending: Any) -> None:
        self._steps, self._pending = steps, pending

    @coroutine
    def finish(self) -> Generator[Any, Any, None]:
        """Wait for what the write waits for, then go on with it."""
        steps, pending = self._steps, self._pending
        while True:
            error: BaseException | None = None
            try:
                if pending is None:
                    yield
                elif not pending.done():
                    pending._asyncio_future_blocking = True
                    yield pending
            except BaseException as thrown:  # noqa: BLE001 - passed on to the write, which decides
                error = thrown
            try:
                pending = next(steps) if error is None else steps.throw(error)
            except StopIteration:
                return
            if pending is not None:
                pending._asyncio_future_blocking = False
