"""What the peer sent and nobody has taken yet: read by whoever receives, or read ahead while nobody does."""

import asyncio
import logging
from collections.abc import Callable

from cortado.websocket.handover import Handover
from cortado.websocket.transport import Departure, Transport

__all__ = ["Inbox"]

logger = logging.getLogger("cortado.websocket")

AHEAD_MESSAGES = 16
AHEAD_BYTES = 1024 * 1024


class Inbox:
    """The incoming side of a session.

    A receiver reads from the transport itself: no task and no queue stand between. While the handler is busy with
    something else, `read_ahead()` goes on reading in a task, up to a bound, so that the peer's departure is noticed
    and its pongs are read. What was read ahead is delivered first, in order.
    """

    __slots__ = (
        "_ahead",
        "_ahead_bytes",
        "_arrival",
        "_departed",
        "_handover",
        "_over",
        "_reader",
        "arrived",
        "receiving",
    )

    def __init__(self, transport: Transport, departed: Callable[[Departure], None]) -> None:
        """Read from a transport; `departed` is told of the peer's departure, and must call `finish()`."""
        self._handover = Handover(transport.receive)
        self._departed = departed
        self._ahead: list[str | bytes] = []
        self._ahead_bytes = 0
        self._reader: asyncio.Task[None] | None = None
        self._arrival: asyncio.Future[None] | None = None  # what a receiver waits for while the reader runs
        self._over: Callable[[], BaseException] | None = None
        self.arrived = 0
        """How many messages have come from the peer; a sweeper sees by it whether the session is in use."""
        self.receiving = False
        """Whether somebody is waiting for a message right now."""

    def __len__(self) -> int:
        return len(self._ahead)

    async def get(self) -> str | bytes:
        """Return the next message; cancelling loses none. One caller at a time.

        Raises:
            BaseException: What `finish()` was given makes it, once everything that had arrived is delivered.
        """
        self.receiving = True
        try:
            while not self._ahead:
                if self._over is not None:
                    await asyncio.sleep(
                        0
                    )  # a handler that catches this and tries again must not stop the loop
                    raise self._over()
                if self._reader is not None:
                    await self._await_arrival()
                    continue
                try:
                    message = await self._handover.read()
                except Exception as error:  # noqa: BLE001 - servers raise all kinds of errors for a lost peer
                    message = _lost(error)
                if not isinstance(message, Departure):
                    self.arrived += 1
                    return message
                self._departed(message)
            return self._take()
        finally:
            self.receiving = False

    def read_ahead(self) -> None:
        """Go on reading although nobody receives, until a receiver takes over or the bound is reached."""
        if self._reader is None and self._over is None and not self.receiving and not self.full:
            # Past any task factory: an eager one would run it to its end before it has a name here.
            self._reader = asyncio.Task(
                self._fill(), loop=asyncio.get_running_loop(), name="cortado-read-ahead"
            )

    @property
    def full(self) -> bool:
        """Whether the bound of what is read ahead is reached."""
        return len(self._ahead) >= AHEAD_MESSAGES or self._ahead_bytes >= AHEAD_BYTES

    def finish(self, over: Callable[[], BaseException]) -> None:
        """Let receivers see the end from now on, after what has arrived; one that waits is woken.

        Args:
            over: Makes the exception that tells a receiver of the end.
        """
        if self._over is not None:
            return
        self._over = over
        if self._reader is not None:
            self._reader.cancel()
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        elif self.receiving:
            self._handover.wake(over())

    def close(self) -> None:
        """Give up the transport's pending read; what is undelivered is dropped."""
        self._ahead.clear()
        try:
            self._handover.close()
        except Exception as error:  # noqa: BLE001 - a server's or middleware's `receive` may object to being given up
            logger.debug("The pending read could not be given up: %r", error)

    def _take(self) -> str | bytes:
        message = self._ahead.pop(0)
        self._ahead_bytes -= len(message)
        return message

    async def _await_arrival(self) -> None:
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    async def _fill(self) -> None:
        try:
            while not self.full:
                try:
                    message = await self._handover.read()
                except Exception as error:  # noqa: BLE001 - servers raise all kinds of errors for a lost peer
                    message = _lost(error)
                if isinstance(message, Departure):
                    self._departed(message)
                    break
                self.arrived += 1
                self._ahead.append(message)
                self._ahead_bytes += len(message)
                if self._arrival is not None:
                    break  # the receiver reads for itself again
        finally:
            self._reader = None
            if self._arrival is not None and not self._arrival.done():
                self._arrival.set_result(None)


def _lost(error: Exception) -> Departure:
    logger.debug("The transport failed while reading: %r", error)
    return Departure(1006, was_clean=False)
