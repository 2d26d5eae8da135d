"""Waiting that no cancellation cuts short, for tasks that must come to their end."""

import asyncio
import sys
from collections.abc import Collection, Coroutine
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["settle", "settle_all", "start", "was_cancelled"]

Waited = TypeVar("Waited", bound="asyncio.Future[Any]")

if sys.version_info >= (3, 12):

    def start(
        work: Coroutine[Any, Any, None], name: str, context: Context | None = None
    ) -> asyncio.Task[None]:
        """Return a task for some work, begun at once where the interpreter can; past any task factory."""
        loop = asyncio.get_running_loop()
        eager = context is None
        return asyncio.Task(work, loop=loop, name=name, context=context, eager_start=eager)
else:

    def start(
        work: Coroutine[Any, Any, None], name: str, context: Context | None = None
    ) -> asyncio.Task[None]:
        """Return a task for some work, past any task factory."""
        return asyncio.Task(work, loop=asyncio.get_running_loop(), name=name, context=context)


async def settle(task: "asyncio.Future[Any]", timeout: float) -> bool:
    """Wait until a task is done, at most `timeout` seconds; False when the time is up and it still runs.

    Neither the task's outcome nor a cancellation of the waiter is raised: the wait goes on to its end, and the
    caller that has to pass a cancellation on counts on `Task.cancelling()`.
    """
    return task.done() or not await settle_all((task,), timeout)


async def settle_all(tasks: "Collection[Waited]", timeout: float) -> "set[Waited]":
    """Wait as `settle()` does, for several tasks at once; return those that still run."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while running := {task for task in tasks if not task.done()}:
        left = deadline - loop.time()
        if left <= 0:
            break
        try:
            await asyncio.wait(running, timeout=left)
        except asyncio.CancelledError:
            continue
    return running


def was_cancelled() -> bool:
    """Tell whether somebody has cancelled the running task, rather than something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
