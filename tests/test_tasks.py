"""Waiting that no cancellation cuts short."""

import asyncio
import contextvars

import pytest

from cortado.tasks import settle, settle_all, start, was_cancelled


async def test_settle_waits_however_often_it_is_cancelled():
    """Cancelling the waiter neither ends the wait nor reaches the task, and is visible afterwards."""
    release = asyncio.Event()
    task = asyncio.create_task(release.wait())
    waiter = asyncio.create_task(settle(task, 5))
    for _ in range(3):
        await asyncio.sleep(0)
        waiter.cancel()
    await asyncio.sleep(0)
    assert not waiter.done()
    release.set()

    assert await waiter is True
    assert waiter.cancelling() == 3
    assert task.result() is True


async def test_settle_gives_up_in_time():
    """When the time is up the wait returns False, and the task runs on."""
    task = asyncio.create_task(asyncio.sleep(30))
    assert await settle(task, 0.01) is False
    assert not task.done()
    task.cancel()


async def test_settle_all_returns_who_still_runs():
    """Several tasks are waited for together."""
    quick, slow = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(30))
    assert await settle_all((quick, slow), 0.05) == {slow}
    slow.cancel()
    assert await settle_all((quick, slow), 5) == set()


async def test_outcomes_are_not_raised():
    """A task that fails is just done."""

    async def fail():
        raise KeyError

    task = asyncio.create_task(fail())
    assert await settle(task, 5)
    with pytest.raises(KeyError):
        task.result()


async def test_start_runs_in_the_given_context():
    """Work is started in the context it is given, past any task factory."""
    variable = contextvars.ContextVar("variable", default="outer")
    context = contextvars.copy_context()
    context.run(variable.set, "inner")
    seen = []

    async def work():
        seen.append(variable.get())

    await start(work(), "named", context)
    task = start(work(), "named")
    await task

    assert seen == ["inner", "outer"]
    assert task.get_name() == "named"


async def test_was_cancelled_tells_whose_cancellation_it_is():
    """A cancelled task knows it; one whose awaited future was cancelled isn't."""
    told = []

    async def wait(future):
        try:
            await future
        except asyncio.CancelledError:
            told.append(was_cancelled())

    loop = asyncio.get_running_loop()
    mine, foreign = loop.create_future(), loop.create_future()
    tasks = [asyncio.create_task(wait(mine)), asyncio.create_task(wait(foreign))]
    await asyncio.sleep(0)
    tasks[0].cancel()
    foreign.cancel()
    await asyncio.wait(tasks)

    assert told == [True, False]
