"""Work that a scope does again and again."""

import asyncio
import inspect
import logging
import math
from collections.abc import Callable

from cortado.tasks import was_cancelled

__all__ = ["Repetition"]

logger = logging.getLogger("cortado.websocket")


class Repetition:
    """Calls a function at a fixed rate, never while its last call still runs. Turns that were missed are left out."""

    __slots__ = ("_call", "_is_end", "_name", "_resting", "_seconds", "_stopped", "_task")

    def __init__(
        self,
        seconds: float,
        call: Callable[[], object],
        name: str,
        is_end: Callable[[BaseException], bool],
    ) -> None:
        """Prepare the work.

        Args:
            seconds: From one turn to the next.
            call: What to do; sync or async.
            name: Whose work it is, for the log.
            is_end: Tells of an error whether it only says that the session has ended, so that no turn is worth while.

        Raises:
            ValueError: So many seconds can't be waited for.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"every() takes seconds, 0 or more, not {seconds!r}")
        self._seconds, self._call, self._name, self._is_end = seconds, call, name, is_end
        self._task: asyncio.Task[None] | None = None
        self._resting = self._stopped = False

    def stop(self) -> None:
        """Let there be no further turn; one that is under way runs to its end."""
        self._stopped = True
        if self._resting and self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Work until stopped, or cancelled. What a turn raises is logged, and the next turn comes."""
        self._task = asyncio.current_task()
        try:
            await self._repeat()
        finally:
            self._task, self._call = None, _nothing  # whoever could have stopped it keeps nothing alive

    async def _repeat(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopped:
            due = max(due + self._seconds, loop.time())
            self._resting = True
            try:
                await asyncio.sleep(due - loop.time())
            finally:
                self._resting = False
            await self._turn()
            if was_cancelled():  # a turn that swallows it isn't followed by another one
                raise asyncio.CancelledError

    async def _turn(self) -> None:
        try:
            outcome = self._call()
            if inspect.isawaitable(outcome):
                await outcome
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and was_cancelled():
                raise
            if self._is_end(error):
                self._stopped = True
            else:
                logger.exception("every(%g) of %s failed", self._seconds, self._name)


def _nothing() -> None: ...
