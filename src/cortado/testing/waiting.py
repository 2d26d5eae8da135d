"""Waiting with a limit, for conditions rather than for time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cortado.testing.errors import WaitTimeoutError

__all__ = ["DEFAULT_TIMEOUT", "Changes", "settle", "within"]

DEFAULT_TIMEOUT = 5.0
"""How many seconds a wait may take where the test says nothing else."""

T = TypeVar("T")


async def within(seconds: float, awaitable: Awaitable[T], awaited: str) -> T:
    """Return what the awaitable returns.

    Raises:
        WaitTimeoutError: It took longer than `seconds`, and was cancelled; `awaited` says what it was.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if limit.expired():
            raise WaitTimeoutError(awaited, seconds) from None
        raise


async def settle(task: asyncio.Task[None], seconds: float, awaited: str) -> None:
    """Return when the task has ended, whatever its outcome.

    Raises:
        WaitTimeoutError: It had not ended in time, and was cancelled; it is given as long again to go.
    """
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        late = task.cancel()
    if late:
        await asyncio.wait([task], timeout=seconds)
        raise WaitTimeoutError(awaited, seconds)


class Changes:
    """A place where those who change something wake those who wait for a condition on it."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Let every waiting task look at its condition again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return as soon as the condition holds; it is looked at now, and after every change."""
        while not condition():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)
