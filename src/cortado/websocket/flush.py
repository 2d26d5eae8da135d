"""The flush of a session: what is told before and after its queued messages leave."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from cortado.websocket.hooks import FlushCallbacks

__all__ = ["Flush"]


class Flush:
    """Calls the `on_flush` callbacks, has what is queued written, and calls the `on_flushed` callbacks."""

    __slots__ = ("_turn", "after", "before")

    def __init__(self) -> None:
        self.before = FlushCallbacks("on_flush")
        self.after = FlushCallbacks("on_flushed")
        self._turn = asyncio.Lock()

    async def run(
        self,
        call: Callable[[str, Callable[..., object]], Awaitable[None]],
        write: Callable[[], Awaitable[None]],
    ) -> None:
        """Carry out one flush; several at once come one after another. Does nothing when called by its own callbacks.

        Args:
            call: Calls one callback, isolated and within its limit.
            write: Writes what is queued, if anything is.
        """
        if self in _running.get():
            return
        token = _running.set((*_running.get(), self))
        try:
            async with self._turn:
                for callback in self.before.turn():
                    await call(self.before.kind, callback)
                await write()
                for callback in self.after.turn():
                    await call(self.after.kind, callback)
                await write()
        finally:
            _running.reset(token)


_running: ContextVar[tuple[Flush, ...]] = ContextVar("cortado_flushes", default=())
"""The flushes that the running code is part of."""
