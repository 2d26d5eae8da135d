"""Asking somebody else's provider, which may answer with a future of its own."""

import asyncio
import inspect
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["answer"]


async def answer(provider: Callable[[], object]) -> object:
    """Return what a provider returns, awaited where it has to be; a future may be others' too, so it is shielded.

    Raises:
        CancelledError: The caller is cancelled, or the factory behind the provider has raised it. dependency-injector
            lets the future pend for ever then, so the provider is reset, where it can be, for those who ask later.
    """
    with _begun_tasks() as begun:
        result = provider()
    if not asyncio.isfuture(result):
        return await result if inspect.isawaitable(result) else result
    lost = await _lost(result, begun)
    if lost is None:
        return await asyncio.shield(result)
    reset = getattr(provider, "reset", None)
    if reset is not None:
        reset()
    return await lost


async def _lost(result: "Future[Any]", begun: list["Task[Any]"]) -> "Task[Any] | None":
    """Wait for a future, and return None; or a cancelled one of its tasks, where nothing will complete it any more."""
    while not result.done():
        underway = [one for one in begun if not one.done()]
        if underway or not any(one.cancelled() for one in begun):
            await asyncio.wait([result, *underway], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # what is called when a task is done completes the future
        else:
            return next(one for one in begun if one.cancelled())
    return None


@contextmanager
def _begun_tasks() -> Iterator[list["Task[Any]"]]:
    """Collect the tasks that are begun by what is called within, which mustn't wait."""
    begun: list[Task[Any]] = []
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        yield begun
        return
    factory = loop.get_task_factory()

    def begin(loop: AbstractEventLoop, work: Any, **options: Any) -> Any:
        task: Any = Task(work, loop=loop, **options) if factory is None else factory(loop, work, **options)
        begun.append(task)
        return task

    loop.set_task_factory(begin)
    try:
        yield begun
    finally:
        loop.set_task_factory(factory)
