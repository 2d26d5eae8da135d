"""One outstanding `receive()` that is handed from waiter to waiter and never cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from types import coroutine
from typing import Any, Generic, TypeVar

__all__ = ["Handover"]

Item = TypeVar("Item")


class Handover(Generic[Item]):
    """Reads from a source whose pending read must not be cancelled.

    Servers lose messages, or report a disconnect that never was, when a pending `receive()` is cancelled. So whoever
    reads here waits on this object instead of on the server's future: a cancellation wakes the waiter only, the read
    stays pending, and the next reader takes it up. That costs no task and no queue.

    To an `asyncio.Task` this object is a future: `_asyncio_future_blocking` is the protocol of `asyncio.isfuture`, and
    a task asks of a future only `get_loop`, `add_done_callback`, `cancel` and `result`.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_context",
        "_error",
        "_loop",
        "_pending",
        "_receive",
        "_steps",
        "_wakeup",
    )

    def __init__(self, receive: Callable[[], Awaitable[Item]]) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._asyncio_future_blocking = False
        self._steps: Generator[Any, None, Item] | None = None  # the pending read
        self._pending: Any = None  # the server's future that the pending read waits for
        self._wakeup: Callable[[Any], object] | None = None  # the waiting task's wake-up call
        self._context: Context | None = None
        self._error: BaseException | None = None  # what the waiter is to be woken with

    @coroutine
    def read(self) -> Generator[Any, None, Item]:
        """Wait for the next item. Cancelling is safe; one reader at a time."""
        steps = self._steps
        if steps is None:
            self._steps = steps = self._receive().__await__()
        while True:
            if self._pending is not None and not self._pending.done():
                self._asyncio_future_blocking = True
                yield self
                continue
            self._pending = None
            try:
                step = next(steps)
            except StopIteration as stop:
                self._steps = None
                item: Item = stop.value
                return item
            except BaseException:
                self._steps = None
                raise
            if step is None:
                yield
            else:
                step._asyncio_future_blocking = False
                self._pending = step

    def wake(self, error: BaseException) -> bool:
        """Raise an error in whoever is waiting; the read stays pending. False when nobody is."""
        wakeup = self._wakeup
        if wakeup is None or self._pending.done():
            return False
        self._wakeup, self._error = None, error
        self._pending.remove_done_callback(self._resume)
        self._loop.call_soon(wakeup, self, context=self._context)
        return True

    def close(self) -> None:
        """Give up the pending read for good."""
        steps, self._steps, self._pending = self._steps, None, None
        if steps is not None:
            steps.close()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """What a task asks of a future: the loop."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """What a task asks of a future: to be woken."""
        self._wakeup, self._context = callback, context
        self._pending.add_done_callback(self._resume, context=context)

    def cancel(self, msg: object = None) -> bool:
        """What a task asks of a future: to be woken by a cancellation; the read itself goes on."""
        return self.wake(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))

    def result(self) -> None:
        """What a task asks of a future: why it was woken."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _resume(self, _: object) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            wakeup(self)
