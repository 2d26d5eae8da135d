"""The one writer of a session."""

import asyncio

import pytest

from cortado.testing import MemoryTransport
from cortado.websocket.outbox import BUDGET, Outbox, Pace


class Box:
    """An outbox on a memory transport, with a record of what it reports."""

    made = []

    def __init__(self, **bounds):
        self.made.append(self)
        self.transport = MemoryTransport()
        self.lost = self.overflowed = 0
        given = {"max_frames": 3, "max_bytes": 100, "on_overflow": "disconnect"} | bounds
        self.outbox = Outbox(self.transport, lost=self._lose, overflowed=self._overflow, **given)

    def _lose(self):
        self.lost += 1

    def _overflow(self):
        self.overflowed += 1
        self.outbox.seal()

    async def open(self):
        await self.transport.accept(None, [])
        self.outbox.open()
        return self


@pytest.fixture(autouse=True)
async def discard_boxes():
    """Let the peers of the test's outboxes vanish at its end, so that nothing waits for them."""
    yield
    for box in Box.made:
        box.outbox.discard()
        box.transport.vanish()
        await drained(box.outbox)
    Box.made.clear()


async def drained(outbox):
    """Wait until everything has left, at most five seconds."""
    await asyncio.wait_for(outbox.drained(), 5)


async def test_a_free_wire_takes_a_frame_at_once():
    """A frame of somebody else is on the wire when offer() returns, without any task."""
    box = await Box().open()
    before = asyncio.all_tasks()

    assert box.outbox.offer("x")
    assert box.transport.sent == ["x"]
    assert asyncio.all_tasks() == before


async def test_frames_leave_in_the_order_of_the_calls():
    """Own and foreign frames, queued behind a full wire, leave in the order of the calls."""
    box = await Box().open()
    box.transport.stall()
    own = [asyncio.create_task(box.outbox.write(f"own {number}")) for number in range(2)]
    await box.transport.until(lambda: box.transport.sending)
    assert box.outbox.offer("foreign 1")
    own.append(asyncio.create_task(box.outbox.write("own 2")))
    await asyncio.sleep(0)
    assert box.outbox.offer(b"foreign 2")
    box.transport.resume()
    await drained(box.outbox)

    assert box.transport.sent == ["own 0", "own 1", "foreign 1", "own 2", b"foreign 2"]
    assert await asyncio.gather(*own) == [True, True, True]
    assert box.transport.violations == []
    assert box.outbox.pending_bytes == 0


async def test_a_write_begun_without_a_task_is_finished_by_one():
    """A foreign frame that finds the wire full is taken to its end by a task, once."""
    box = await Box().open()
    box.transport.stall()
    assert box.outbox.offer("x")
    assert box.outbox.busy
    box.transport.resume()
    await drained(box.outbox)

    assert box.transport.sent == ["x"]


@pytest.mark.parametrize(("frames", "size"), [(3, 1), (2, 50)], ids=["by frames", "by bytes"])
async def test_overflow_disconnects(frames, size):
    """One frame over the bound is refused, counted, and reported."""
    box = await Box().open()
    box.transport.stall()
    assert box.outbox.offer("on the wire")
    assert all(box.outbox.offer("x" * size) for _ in range(frames))

    assert not box.outbox.offer("x")
    assert (box.overflowed, box.outbox.dropped) == (1, 1)
    assert not box.outbox.offer("x")


@pytest.mark.parametrize(
    ("policy", "left"), [("drop_oldest", ["1", "2", "3"]), ("drop_newest", ["0", "1", "2"])]
)
async def test_overflow_drops(policy, left):
    """The policy says which frame is given up; each is counted, and the session lives on."""
    box = await Box(on_overflow=policy).open()
    box.transport.stall()
    assert box.outbox.offer("wire")
    taken = [box.outbox.offer(str(number)) for number in range(4)]
    box.transport.resume()
    await drained(box.outbox)

    assert taken == [True, True, True, policy == "drop_oldest"]
    assert box.transport.sent == ["wire", *left]
    assert (box.overflowed, box.outbox.dropped) == (0, 1)


async def test_frame_larger_than_the_bound_is_refused():
    """A frame that alone is over the bound is refused under every policy, and drops the queue at most."""
    box = await Box(on_overflow="drop_oldest").open()
    box.transport.stall()
    assert box.outbox.offer("wire")

    assert not box.outbox.offer("x" * 101)
    box.transport.resume()
    await drained(box.outbox)
    assert box.transport.sent == ["wire"]


async def test_cancelled_write_leaves_the_wire_usable():
    """Cancelling an own write frees the wire for the next frame."""
    box = await Box().open()
    box.transport.stall()
    own = asyncio.create_task(box.outbox.write("cancelled"))
    await box.transport.until(lambda: box.transport.sending)
    assert box.outbox.offer("next")
    own.cancel()
    await asyncio.wait([own])
    box.transport.resume()
    await drained(box.outbox)

    assert own.cancelled()
    assert box.transport.sent == ["next"]
    assert box.lost == 0


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("closed"), Exception("odd")])
async def test_failing_transport_is_a_lost_peer(error):
    """Whatever the transport raises, own and foreign frames return False and the loss is reported."""
    box = await Box().open()
    box.transport.fail_sends(error)

    assert not await box.outbox.write("own")
    assert not box.outbox.offer("foreign")
    assert box.lost == 1


async def test_loss_frees_everyone_who_waits():
    """When the peer is lost, own writes that wait return False and queued frames are counted as dropped."""
    box = await Box().open()
    box.transport.stall()
    own = [asyncio.create_task(box.outbox.write(str(number))) for number in range(3)]
    await box.transport.until(lambda: box.transport.sending)
    assert box.outbox.offer("queued")
    box.transport.fail_sends(OSError("gone"))

    assert await asyncio.wait_for(asyncio.gather(*own), 5) == [False, False, False]
    assert box.lost == 1
    assert box.outbox.dropped == 1
    await drained(box.outbox)


async def test_text_that_is_no_unicode_is_the_callers_error():
    """A lone surrogate is an error of the caller, not the loss of the peer; the next frame leaves."""

    class Encoding(MemoryTransport):
        async def send_text(self, data):
            await super().send_text(data.encode().decode())

    box = Box()
    box.transport = Encoding()
    box.outbox._send_text = box.transport.send_text
    await box.open()

    with pytest.raises(UnicodeEncodeError):
        await box.outbox.write("\ud800")
    with pytest.raises(UnicodeEncodeError):
        box.outbox.offer("\ud800")
    assert await box.outbox.write("fine")
    assert box.transport.sent == ["fine"]
    assert box.lost == 0


async def test_sealed_outbox_sends_what_is_queued():
    """After seal() nothing more is taken, but what was queued leaves."""
    box = await Box().open()
    box.transport.stall()
    assert box.outbox.offer("one")
    assert box.outbox.offer("two")
    box.outbox.seal()

    assert not box.outbox.offer("three")
    assert not await box.outbox.write("four")
    box.transport.resume()
    await drained(box.outbox)
    assert box.transport.sent == ["one", "two"]


def test_pace_counts_frames_and_bytes():
    """It is time to yield after so many small frames, and at once after a large one."""
    pace = Pace()
    assert pace.spend(BUDGET)
    frames = next(number for number in range(1, 10_000) if pace.spend(10))
    assert 100 < frames < 500


async def test_queued_text_that_is_no_unicode_harms_nobody(caplog):
    """Queued behind others, such a text is the own caller's error; of somebody else it is dropped and logged."""

    class Encoding(MemoryTransport):
        async def send_text(self, data):
            await super().send_text(data.encode().decode())

    box = Box()
    box.transport = Encoding()
    box.outbox._send_text = box.transport.send_text
    await box.open()
    box.transport.stall()
    assert box.outbox.offer("first")
    own = asyncio.create_task(box.outbox.write("\ud800"))
    await asyncio.sleep(0)
    assert box.outbox.offer("\udfff")
    assert box.outbox.offer("last")
    box.transport.resume()
    await drained(box.outbox)

    with pytest.raises(UnicodeEncodeError):
        await own
    assert box.transport.sent == ["first", "last"]
    assert box.outbox.dropped == 1
    assert "no valid Unicode" in caplog.text
    assert box.lost == 0


async def test_write_that_only_yields_is_taken_to_its_end():
    """A transport that suspends for a turn, without waiting for anything, is served like any other."""

    class Yielding(MemoryTransport):
        async def send_bytes(self, data):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await super().send_bytes(data)

    box = Box()
    box.transport = Yielding()
    box.outbox._send_bytes = box.transport.send_bytes
    await box.open()

    assert box.outbox.offer(b"1")
    assert box.outbox.offer(b"2")
    await drained(box.outbox)
    assert box.transport.sent == [b"1", b"2"]


async def test_discarded_write_is_told_of_its_cancellation():
    """A begun write whose outbox is discarded is cancelled inside the transport, which may clean up."""
    cleaned = []

    class Cleaning(MemoryTransport):
        async def send_bytes(self, data):
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                cleaned.append(data)

    box = Box()
    box.transport = Cleaning()
    box.outbox._send_bytes = box.transport.send_bytes
    await box.open()
    assert box.outbox.offer(b"1")
    await asyncio.sleep(0)
    box.outbox.discard()
    await drained(box.outbox)

    assert cleaned == [b"1"]


@pytest.mark.parametrize("text", ["abc", "é" * 3, "😀"])
async def test_the_bound_counts_bytes(text):
    """The bound is in bytes of UTF-8, whatever the characters."""
    size = len(text.encode())
    box = await Box(max_bytes=2 * size, max_frames=100).open()
    box.transport.stall()
    assert box.outbox.offer(b"wire")

    assert [box.outbox.offer(text) for _ in range(3)] == [True, True, False]
    assert box.outbox.pending_bytes == 2 * size
