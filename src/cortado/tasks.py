"""Waiting that no cancellation cuts short, for tasks that must come to their end."""

import asyncio
import sys
from asyncio.tasks import _enter_task, _leave_task, _register_task, _unregister_task
from collections.abc import Collection, Coroutine, Generator
from contextvars import Context, copy_context
from sys import getrefcount
from typing import Any, TypeVar

__all__ = ["Starter", "settle", "settle_all", "start", "was_cancelled"]

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


class Starter:
    """Starts tasks whose first step is done at once, so that work which never waits costs no turn of the loop.

    Python 3.12 can do that by itself. Before, the first step borrows the identity of a task that is kept at hand, and
    becomes that task if it has to wait; most work hasn't, and leaves it for the next.
    """

    __slots__ = ("_spares",)

    def __init__(self) -> None:
        self._spares: list[_Spare] = []

    def begin(
        self, work: Coroutine[Any, Any, None], name: str, context: Context | None = None
    ) -> "asyncio.Task[None] | None":
        """Do the first step of some work now, and return the task that goes on with it; None where it is done.

        Args:
            work: What to do. From its first step on, it finds itself in the same task.
            name: The task's name.
            context: In which it is done; a copy of the caller's when left out.

        Raises:
            BaseException: What the first step raises.
        """
        loop = asyncio.get_running_loop()
        if sys.version_info >= (3, 12):
            task = asyncio.Task(work, loop=loop, name=name, context=context, eager_start=True)
            if not task.done():
                return task
            task.result()
            return None
        try:
            spare = self._spares.pop()
        except IndexError:
            spare = _Spare(loop)
        if spare.loop is not loop:
            spare = _Spare(loop)
        begun = spare.begin(work, copy_context() if context is None else context)
        if begun:
            spare.adopt(name)
            return spare.task
        if spare.is_known:
            spare.finish(name)
        elif len(self._spares) < SPARES:
            self._spares.append(spare)
        return None


SPARES = 4
"""How many tasks without work are kept: first steps may be nested."""


class _Spare:
    """A task without any work, until it goes on with some that has begun.

    Nobody sees it before that, and it goes with its last reference.

    Attributes:
        loop: The event loop of the task.
        task: The task itself.
        is_known: Whether some work that is done has left something behind that counts on this task: a timeout, a task
            group, a callback. The task is nobody else's then, and has to end.
    """

    __slots__ = ("_go", "_rest", "is_known", "loop", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_known = False
        self._go: asyncio.Future[None] = loop.create_future()
        self._rest = _Rest(self._go)
        self.task = asyncio.Task(self._rest, loop=loop)
        _unregister_task(self.task)
        self.task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio does with its own

    def begin(self, work: Coroutine[Any, Any, None], context: Context) -> bool:
        """Do the first step of some work in this task's name; False where that was all."""
        caller = asyncio.current_task(self.loop)
        if caller is not None:
            _leave_task(self.loop, caller)
        _enter_task(self.loop, self.task)
        references = getrefcount(self.task)
        try:
            awaited = context.run(work.send, None)
        except StopIteration:
            kept = getrefcount(self.task) != references
            self.is_known = kept or self.task.cancelling() > 0 or bool(self.task._callbacks)
            return False
        finally:
            _leave_task(self.loop, self.task)
            if caller is not None:
                _enter_task(self.loop, caller)
        self._rest.take(work, context, awaited)
        return True

    def adopt(self, name: str) -> None:
        """Go on with the work, as a task like any other."""
        _register_task(self.task)
        self.task._log_destroy_pending = True  # type: ignore[attr-defined]
        self._proceed(name)

    def finish(self, name: str) -> None:
        """Let the task end: its work is done."""
        self._rest.take(_done(), Context(), None)
        self._proceed(name)

    def _proceed(self, name: str) -> None:
        self.task.set_name(name)
        if not self._go.done():  # as it is when the first step has cancelled its own task
            self._go.set_result(None)


async def _done() -> None:
    pass


class _Rest(Coroutine[Any, Any, None]):
    """What is left of some work after its first step, as the coroutine of a task that had none before."""

    __slots__ = ("_awaited", "_begun", "_context", "_work")

    def __init__(self, go: "asyncio.Future[None]") -> None:
        self._begun = iter(go.__await__())
        self._work: Coroutine[Any, Any, None] | None = None
        self._context = Context()
        self._awaited: Any = None  # what the first step waits for, until the task does

    def take(self, work: Coroutine[Any, Any, None], context: Context, awaited: Any) -> None:
        """Have the work that has begun."""
        self._work, self._context, self._awaited = work, context, awaited
        if asyncio.isfuture(awaited):
            awaited._asyncio_future_blocking = False  # others may come to wait for it before our task does

    def send(self, value: Any) -> Any:
        """Go on with the work."""
        if self._work is None:
            return next(self._begun)
        if asyncio.isfuture(self._awaited):
            if not self._awaited.done():
                return self._waiting()
        elif self._awaited is not None:
            wrong, self._awaited = self._awaited, None
            return wrong  # nothing to wait for, as the task tells the work
        self._awaited = None
        return self._context.run(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        """Let the work have a cancellation, by way of what it waits for, as a task does."""
        if self._work is None:
            raise error[0]
        if asyncio.isfuture(self._awaited) and self._awaited.cancel():
            return self._waiting()
        self._awaited = None
        return self._context.run(self._work.throw, *error)

    def _waiting(self) -> Any:
        awaited, self._awaited = self._awaited, None
        awaited._asyncio_future_blocking = True
        return awaited

    def close(self) -> None:
        """Give the work up."""
        if self._work is not None:
            self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise RuntimeError("only its task waits for it")


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
