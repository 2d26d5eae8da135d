"""What an application has left behind when it has stopped."""

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any

from cortado.testing.errors import LeakError

__all__ = ["check_leaks"]

PATIENCE = 1.0
"""How many seconds a task may take to end once the application has stopped."""


async def check_leaks(app: object, before: AbstractSet["asyncio.Task[Any]"]) -> None:
    """Check that no task is left but those of before and the caller's, and no session in `app.sessions`.

    Raises:
        LeakError: Something is left; the tasks among it were cancelled, so that they can't disturb another test.
    """
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    pending: set[asyncio.Task[Any]] = set()
    if left:
        _, pending = await asyncio.wait(left, timeout=PATIENCE)
    leaks = sorted(_name(task) for task in pending) + [_label(one) for one in _sessions(app)]
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending, timeout=PATIENCE)
    if leaks:
        raise LeakError(leaks)


def _sessions(app: object) -> list[Any]:
    sessions = getattr(app, "sessions", None)
    return [] if sessions is None else list(sessions)


def _name(task: "asyncio.Task[Any]") -> str:
    stack = task.get_stack(limit=1)
    where = f" at {stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else ""
    what = getattr(task.get_coro(), "__qualname__", repr(task.get_coro()))
    return f"task {task.get_name()!r} still runs {what}{where}"


def _label(session: Any) -> str:
    where = getattr(session, "path", "")
    return f"session {getattr(session, 'id', session)} {where}".rstrip()
