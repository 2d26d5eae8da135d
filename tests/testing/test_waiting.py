"""Waiting with a limit."""

import asyncio

import pytest

from cortado.testing import WaitTimeoutError
from cortado.testing.waiting import Changes, settle, within


async def test_a_result_in_time_is_returned():
    """Within the limit nothing is added or taken away."""
    assert await within(1, asyncio.sleep(0, "result"), "a result") == "result"


async def test_too_late_says_what_was_awaited():
    """The limit's error names what was waited for, and is a TimeoutError like any other."""
    with pytest.raises(TimeoutError) as late:
        await within(0.01, asyncio.Event().wait(), "the bus")

    assert isinstance(late.value, WaitTimeoutError)
    assert (late.value.awaited, late.value.seconds) == ("the bus", 0.01)
    assert str(late.value) == "waited 0.01 s in vain for the bus"


async def test_a_timeout_of_somebody_else_passes_through():
    """A TimeoutError that isn't the limit's own is not renamed."""

    async def fail():
        raise TimeoutError("theirs")

    with pytest.raises(TimeoutError, match="theirs") as failed:
        await within(1, fail(), "anything")

    assert not isinstance(failed.value, WaitTimeoutError)


async def test_a_task_that_ends_is_settled_whatever_its_outcome():
    """A task that raises is settled too; its exception is left to others."""

    async def fail():
        raise LookupError

    task = asyncio.create_task(fail())

    await settle(task, 1, "the end")

    assert isinstance(task.exception(), LookupError)


async def test_a_task_that_goes_on_is_cancelled():
    """A task that isn't over in time is cancelled before the error is raised."""
    task = asyncio.create_task(asyncio.Event().wait())

    with pytest.raises(WaitTimeoutError, match="the end"):
        await settle(task, 0.01, "the end")

    assert task.cancelled()


async def test_cancelling_the_wait_cancels_the_task():
    """A test that is cancelled leaves no task behind."""
    task = asyncio.create_task(asyncio.Event().wait())
    waiting = asyncio.create_task(settle(task, 5, "the end"))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait([waiting, task])

    assert task.cancelled()


async def test_everybody_who_waits_is_woken_by_a_change():
    """A change is looked at by all; who isn't satisfied goes on waiting."""
    changes, count = Changes(), 0
    first = asyncio.create_task(changes.until(lambda: count >= 1))
    second = asyncio.create_task(changes.until(lambda: count >= 2))
    await asyncio.sleep(0)

    count = 1
    changes.notify()
    await first
    assert not second.done()
    count = 2
    changes.notify()

    await second
