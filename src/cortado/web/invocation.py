"""Calling a handler: coroutines on the loop, plain functions in the thread pool."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import to_thread

from cortado.binding.plan import Arguments

__all__ = ["invoke", "runs_on_loop"]


def runs_on_loop(function: Callable[..., Any]) -> bool:
    """Whether calling the function gives a coroutine at once, without running any of its code."""
    return inspect.iscoroutinefunction(function)


async def invoke(function: Callable[..., Any], arguments: Arguments) -> Any:
    """Call a handler and return its result.

    A plain function runs in the thread pool, with the caller's context variables; if what it returns is awaitable
    (a coroutine behind a decorator), it is awaited on the loop.
    """
    if inspect.isasyncgenfunction(function):
        return function(*arguments.positional, **arguments.keywords)
    if runs_on_loop(function):
        return await function(*arguments.positional, **arguments.keywords)
    result = await to_thread.run_sync(partial(function, *arguments.positional, **arguments.keywords))
    return await result if inspect.isawaitable(result) else result
