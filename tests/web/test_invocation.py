import contextvars
import threading

import pytest

from cortado.binding import Arguments
from cortado.web.invocation import invoke

PLACE: contextvars.ContextVar[str] = contextvars.ContextVar("PLACE")


async def on_loop(a: int, *, b: int) -> tuple[int, int, bool]:
    return a, b, threading.current_thread() is threading.main_thread()


def in_thread(a: int, *, b: int) -> tuple[int, int, bool, str]:
    return a, b, threading.current_thread() is threading.main_thread(), PLACE.get()


async def test_coroutines_run_on_the_loop() -> None:
    """A coroutine runs where it is called."""
    assert await invoke(on_loop, Arguments([1], {"b": 2})) == (1, 2, True)


async def test_plain_functions_run_in_a_thread() -> None:
    """A plain function runs in a thread, with the caller's context variables."""
    PLACE.set("here")
    assert await invoke(in_thread, Arguments([1], {"b": 2})) == (1, 2, False, "here")


async def test_awaitable_results_are_awaited() -> None:
    """What a plain function returns is awaited on the loop, if it can be."""
    assert await invoke(lambda: on_loop(1, b=2), Arguments([], {})) == (1, 2, True)


async def test_exceptions_pass() -> None:
    """An exception of a thread is raised at the caller."""

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await invoke(fail, Arguments([], {}))
