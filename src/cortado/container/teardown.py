"""Ending what was created: in order, each by itself, within its time, and to the end."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context
from types import CoroutineType
from typing import Any, Final

import anyio

from cortado.container.errors import ScopeCloseError
from cortado.tasks import Starter, settle

__all__ = ["Finaliser", "ending_here", "noted", "raise_all", "report", "uninterrupted", "within"]

logger = logging.getLogger("cortado.container")

GRACE = 1.0
"""How long a finaliser that ran out of time may take to end when cancelled, in seconds."""


class Finaliser:
    """What has to be done at a bean's end, or a scope's; the steps run in the context in which the bean was created.

    Args:
        subject: What ends, for messages.
        context: In which the steps run.
        steps: What to do, each by itself.
    """

    __slots__ = ("context", "steps", "subject")

    def __init__(self, subject: object, context: Context, steps: tuple[Callable[[], object], ...]) -> None:
        self.subject, self.context, self.steps = subject, context, steps

    async def run(self, timeout: float, starter: Starter, whose: object) -> list[BaseException]:
        """Run every step, each for at most `timeout` seconds, and return what failed.

        Args:
            timeout: How long each step may take, in seconds.
            starter: Starts the tasks.
            whose: What ends, and waits for the steps.
        """
        failures: list[BaseException] = []
        if not self._is_free():
            await self._freed(timeout)
        for step in self.steps:
            try:
                result = self.context.run(step)
                if isinstance(result, CoroutineType) or inspect.isawaitable(result):
                    await within(result, self.context, timeout, starter, whose)
            except BaseException as error:  # noqa: BLE001 - collected, so that the other steps run
                failures.append(self._named(error, step))
        return failures

    def run_sync(self) -> list[BaseException]:
        """Run every step that needs no event loop, and return what failed."""
        failures: list[BaseException] = []
        for step in self.steps:
            try:
                result = self.context.run(step)
                if inspect.isawaitable(result):
                    _dismiss(result)
                    raise RuntimeError("it has to be awaited, and the bean was created without an event loop")
            except BaseException as error:  # noqa: BLE001 - collected, so that the other steps run
                failures.append(self._named(error, step))
        return failures

    def _is_free(self) -> bool:
        """Whether nobody is in the context; another loop's thread still is as soon as it has created the bean."""
        try:
            self.context.run(_nothing)
        except RuntimeError:
            return False
        return True

    async def _freed(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not self._is_free() and loop.time() < deadline:
            with suppress(asyncio.CancelledError):  # of the task that ends everything: the steps still run
                await asyncio.sleep(0)

    def _named(self, error: BaseException, step: Callable[[], object]) -> BaseException:
        return noted(error, f"while destroying {self.subject} with {getattr(step, '__name__', 'close')}()")


def _nothing() -> None:
    pass


def noted(error: BaseException, note: str) -> BaseException:
    """Return what failed at an end, with a note; a cancellation, which was nobody's wish, as an error."""
    if isinstance(error, asyncio.CancelledError):
        cause, error = error, RuntimeError("what should have run to its end was cancelled")
        error.__cause__ = cause
    error.add_note(note)
    return error


async def uninterrupted(task: "asyncio.Future[Any]") -> None:
    """Wait for a task to its end; a cancellation meanwhile goes on only then, in place of the task's outcome."""
    cancelled: asyncio.CancelledError | None = None
    if not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = await _absorbed(task, error)
    if cancelled is None:
        task.result()
        return
    if not task.cancelled() and task.exception() is not None:
        logger.error("failed while being cancelled", exc_info=task.exception())
    raise cancelled


async def _absorbed(task: "asyncio.Future[Any]", cancelled: asyncio.CancelledError) -> asyncio.CancelledError:
    """Wait on, however often that is cancelled; return the last cancellation.

    The shield is for callers in a scope of anyio, whose cancellation comes back at every await.
    """
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
    return cancelled


def raise_all(failures: Iterable[BaseException], what: str) -> None:
    """Raise what finalisers raised, as one group; what isn't an Exception goes first, by itself."""
    failures = tuple(failures)
    for one in failures:
        if not isinstance(one, Exception):
            raise one
    ordinary = [one for one in failures if isinstance(one, Exception)]
    if ordinary:
        raise ScopeCloseError(what, ordinary)


def report(failures: Iterable[BaseException]) -> None:
    """Log what failed at an end that nobody waits for."""
    for failure in failures:
        logger.error("a bean could not be destroyed", exc_info=failure)


async def within(
    result: Awaitable[object],
    context: Context,
    timeout: float,
    starter: Starter | None = None,
    whose: object = None,
) -> None:
    """Wait for something in a task and context of its own; what isn't done in time is cancelled.

    Raises:
        TimeoutError: It took longer than `timeout` seconds.
    """
    errors: list[BaseException] = []
    task = (starter or Starter()).begin(_awaited(result, errors, whose), "finaliser", context)
    if task is not None and not await settle(task, timeout):
        task.cancel()
        if not await settle(task, GRACE):
            task.add_done_callback(_forget)
        raise TimeoutError(f"not done after {timeout:g} seconds")
    if errors:
        raise errors[0]


def ending_here() -> object:
    """Return what ends and waits for the running task, one of its finalisers; None where there is no such thing."""
    return ENDING.get(asyncio.current_task())


ENDING: Final[dict[asyncio.Task[Any] | None, object]] = {}
"""What ends, by the task in which one of its finalisers runs."""


async def _awaited(result: Awaitable[object], errors: list[BaseException], whose: object) -> None:
    task = asyncio.current_task()
    ENDING[task] = whose
    try:
        await result
    except BaseException as error:  # noqa: BLE001 - whoever waits raises it
        errors.append(error)
    finally:
        del ENDING[task]


def _forget(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _dismiss(result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()
