"""Whatever is sent by whomever while the wire comes and goes leaves once, and in the order of the calls."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from cortado.testing import MemoryTransport
from cortado.websocket.outbox import Outbox

STEPS = st.lists(
    st.sampled_from(
        ["own text", "own bytes", "foreign text", "foreign bytes", "stall", "resume", "turn", "cancel"]
    ),
    max_size=40,
)


async def run(steps: list[str], policy: str) -> None:
    transport = MemoryTransport()
    outbox = Outbox(
        transport,
        max_frames=5,
        max_bytes=40,
        on_overflow=policy,
        lost=lambda: None,
        overflowed=lambda: outbox.seal(),
    )
    await transport.accept(None, [])
    outbox.open()
    called, refused, own = [], [], {}
    for number, step in enumerate(steps):
        who, _, kind = step.partition(" ")
        frame = f"{number:04}" if kind == "text" else f"{number:04}".encode()
        if who == "own":
            called.append(frame)
            own[frame] = asyncio.Task(outbox.write(frame), loop=asyncio.get_running_loop())
            await asyncio.sleep(0)
        elif who == "foreign":
            called.append(frame)
            if not outbox.offer(frame):
                refused.append(frame)
        elif step == "cancel" and own:
            own[max(own, key=called.index)].cancel()
            await asyncio.sleep(0)
        elif step == "turn":
            await asyncio.sleep(0)
        elif step in ("stall", "resume"):
            getattr(transport, step)()
    transport.resume()
    await asyncio.wait_for(outbox.drained(), 5)
    if own:
        await asyncio.wait(own.values(), timeout=5)

    untold = {frame for frame, task in own.items() if task.cancelled() or not task.result()}
    told = [frame for frame in called if frame in transport.sent]
    assert transport.violations == []
    assert transport.sent == told, "in the order of the calls, none twice"
    assert not set(refused) & set(transport.sent)
    missing = set(called) - set(told) - set(refused) - untold
    assert len(missing) == (outbox.dropped - len(refused) if policy == "drop_oldest" else 0)
    assert outbox.pending_bytes == 0
    assert len(outbox) == 0


@given(STEPS, st.sampled_from(["disconnect", "drop_oldest", "drop_newest"]))
def test_frames_leave_once_and_in_order(steps, policy):
    """Own and foreign frames, cancelled writers, a wire that stalls: what is taken leaves once, in order."""
    asyncio.run(run(steps, policy))
