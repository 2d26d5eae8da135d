"""The registry of live sessions."""

import asyncio
import logging
import time

import pytest

from cortado.websocket import Initiator, SessionRegistry, SessionState


async def open_sessions(connect, count, **settings):
    wires = [connect(**settings) for _ in range(count)]
    for wire in wires:
        await wire.transport.until(lambda transport=wire.transport: transport.receiving)
    return wires


async def test_sessions_are_found_by_id_and_path(connect):
    """A live session is found by its id and its path, counted and iterated; an ended one isn't."""
    wires = await open_sessions(connect, 3)
    registry, session = wires[0].registry, wires[0].session

    assert len(registry) == 3
    assert set(registry) == {wire.session for wire in wires}
    assert registry.get(session.id) is session
    assert session in registry
    assert registry.at("/") == list(registry)
    assert registry.at("/other") == []
    await session.close()
    assert registry.get(session.id) is None
    assert session not in registry
    assert len(registry) == 2
    assert "other" not in registry


async def test_iteration_is_over_a_snapshot(connect):
    """Sessions may end while somebody iterates."""
    registry = (await open_sessions(connect, 5))[0].registry
    for session in registry:
        await session.close()

    assert len(registry) == 0
    assert registry.counters.opened == 5


async def test_close_all(connect):
    """close_all() closes everybody with code and reason and returns when all hooks have run."""
    wires = await open_sessions(connect, 4)
    await wires[0].registry.close_all(4000, "maintenance", within=0.01)

    assert {(wire.transport.closed.code, wire.transport.closed.reason) for wire in wires} == {
        (4000, "maintenance")
    }
    assert {wire.session.state for wire in wires} == {SessionState.CLOSED}
    assert wires[0].registry.counters.closed == {Initiator.SERVER: 4}
    with pytest.raises(ValueError, match="can't carry"):
        await wires[0].registry.close_all(1006)


async def test_cancelled_close_all_closes_all_the_same(connect):
    """Cancelling close_all() stops only the waiting."""
    wires = await open_sessions(connect, 4)
    closing = asyncio.create_task(wires[0].registry.close_all(within=0.05))
    await asyncio.sleep(0)
    closing.cancel()
    for wire in wires:
        await wire.ended()

    assert closing.cancelled()


async def test_drain_leaves_behind_what_does_not_end(connect, caplog):
    """A drain returns in its time although a session doesn't end; it says how many are left."""

    async def stubborn(session):
        await session.accept()
        await asyncio.sleep(30)

    wire = connect(stubborn, disconnect_grace_period=1.0)
    await wire.transport.until(lambda: wire.transport.accepted)
    with caplog.at_level(logging.ERROR):
        await wire.registry.drain(jitter=0, timeout=0.1)

    assert "1 sessions had not ended" in caplog.text
    await wire.ended()
    assert wire.transport.closed.code == 1012


async def test_counters_keep_what_the_bounds_have_cost(connect):
    """Frames that were dropped are counted on the session, and kept when it has ended."""
    wire = connect(outbox_frames=1, on_overflow="drop_newest")
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.stall()
    sent = [await wire.session.send_text(str(number)) for number in range(4)]
    wire.transport.resume()
    await wire.transport.until(lambda: len(wire.transport.sent) == 2)
    dropped = wire.session.dropped_frames
    await wire.session.close()

    assert sent == [True, True, False, False]
    assert dropped == wire.registry.counters.dropped_frames == 2


async def test_newcomers_during_a_drain_end_too(connect):
    """A session that comes while the registry drains is ended at once; after reopen() sessions are taken again."""
    wires = await open_sessions(connect, 3)
    registry = wires[0].registry
    draining = asyncio.create_task(registry.drain(jitter=0.1, timeout=5))
    await asyncio.sleep(0)
    late = connect()
    await asyncio.wait_for(draining, 5)

    assert late.transport.denied.status == 503
    assert len(registry) == 0
    registry.reopen()
    (again,) = await open_sessions(connect, 1)
    assert again.session.state is SessionState.OPEN


async def test_what_was_left_behind_does_not_hold_up_a_drain(connect):
    """A handler that swallowed its cancellation once is nobody's business any more."""
    release = asyncio.Event()

    async def stubborn(session):
        await session.accept()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    wire = connect(stubborn, disconnect_grace_period=0.01, hook_timeout=0.01)
    await wire.transport.until(lambda: wire.transport.accepted)
    wire.transport.vanish()
    await wire.ended()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await wire.registry.drain(jitter=0, timeout=5)
    took = loop.time() - begun
    release.set()

    assert took < 1


async def test_cancelled_drain_is_complete_and_then_cancelled(connect):
    """A drain that is cancelled still waits for every hook, and raises the cancellation at the end."""
    wires = await open_sessions(connect, 3)
    draining = asyncio.create_task(wires[0].registry.drain(jitter=0, timeout=5))
    await asyncio.sleep(0)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining

    assert len(wires[0].registry) == 0
    assert [wire.events for wire in wires] == [["on_disconnect", "on_disconnect done"]] * 3


async def test_closes_are_spread_in_time(connect):
    """Closing over some time takes that time, however many sessions there are."""
    wires = await open_sessions(connect, 200)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await wires[0].registry.close_all(within=0.2)

    assert 0.2 <= loop.time() - begun < 2


async def test_evicted_sessions_are_counted(connect):
    """Sessions that end because their peer doesn't read are counted."""
    (wire,) = await open_sessions(connect, 1, outbox_frames=1, close_timeout=0.05)
    wire.transport.stall()
    sent = [await wire.session.send_text("x") for _ in range(3)]
    await wire.ended()

    assert sent == [True, True, False]
    assert wire.session.close_event.code == 1013
    assert wire.registry.counters.evicted == 1


async def test_drain_gives_the_loop_its_turn():
    """An end that is done, but not yet let go of, doesn't keep the drain from letting the loop go on."""
    registry = SessionRegistry()
    ending = asyncio.create_task(asyncio.sleep(0))
    await asyncio.wait([ending])
    registry._held.add(ending)
    asyncio.get_running_loop().call_later(0.05, registry._held.discard, ending)

    begun = time.monotonic()
    await registry.drain(jitter=0, timeout=5)
    assert time.monotonic() - begun < 3
