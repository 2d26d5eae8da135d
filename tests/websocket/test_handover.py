"""The pending read that is handed from waiter to waiter."""

import asyncio

import pytest

from cortado.websocket.handover import Handover


class Source:
    """Something like a server's `receive`: a queue whose pending read must never be cancelled."""

    def __init__(self):
        self.queue = asyncio.Queue()
        self.cancelled = 0
        self.begun = 0

    async def receive(self):
        self.begun += 1
        try:
            return await self.queue.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def test_an_item_that_is_there_is_read_without_waiting():
    """Nothing suspends when the source has an item."""
    source = Source()
    source.queue.put_nowait(1)
    steps = Handover(source.receive).read()
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == 1


@pytest.mark.parametrize("turns", range(6))
async def test_cancelled_waiter_leaves_the_read_pending(turns):
    """Whenever a waiter is cancelled, the next one takes up the same read."""
    source = Source()
    handover = Handover(source.receive)

    async def wait():
        return await handover.read()

    waiter = asyncio.create_task(wait())
    for turn in range(turns):
        if turn == 2:
            source.queue.put_nowait("item")
        await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    if turns <= 2:
        source.queue.put_nowait("item")
    got = await asyncio.wait_for(wait(), 5) if waiter.cancelled() else waiter.result()

    assert got == "item"
    assert source.cancelled == 0
    assert source.begun == 1


async def test_two_cancellations_in_one_turn():
    """A second cancel() before the first has been delivered is no harm."""
    source = Source()
    handover = Handover(source.receive)

    async def wait():
        return await handover.read()

    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiter.cancel()
    waiter.cancel()
    await asyncio.wait([waiter])
    source.queue.put_nowait(1)

    assert waiter.cancelled()
    assert await asyncio.wait_for(wait(), 5) == 1


async def test_cancellation_carries_its_message():
    """The message of cancel() reaches the waiter."""
    handover = Handover(Source().receive)

    async def wait():
        with pytest.raises(asyncio.CancelledError, match="because"):
            await handover.read()

    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiter.cancel("because")
    await waiter


async def test_wake_raises_in_the_waiter():
    """wake() raises its error in whoever waits, and tells whether somebody did."""
    source = Source()
    handover = Handover(source.receive)

    async def wait():
        return await handover.read()

    assert not handover.wake(KeyError())
    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert handover.wake(KeyError("over"))
    with pytest.raises(KeyError, match="over"):
        await waiter
    source.queue.put_nowait(1)
    assert await wait() == 1


async def test_error_of_the_source_is_raised_once():
    """What the source raises reaches the reader, and the next read begins afresh."""
    results = iter([OSError("gone"), 2])

    async def receive():
        await asyncio.sleep(0)
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    handover = Handover(receive)

    async def wait():
        return await handover.read()

    with pytest.raises(OSError, match="gone"):
        await wait()
    assert await wait() == 2


async def test_close_gives_the_read_up():
    """close() ends the pending read for good, without a warning."""
    source = Source()
    handover = Handover(source.receive)

    async def wait():
        await handover.read()

    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    handover.close()
    handover.close()
    source.queue.put_nowait(1)
    await asyncio.sleep(0)

    assert source.queue.qsize() == 1
