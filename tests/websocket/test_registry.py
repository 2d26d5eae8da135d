"""The registry of live sessions."""

import asyncio
import logging

import pytest

from cortado.websocket import Initiator, SessionState


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
