"""What the sweeper finds."""

import asyncio

import pytest

from cortado.websocket import Initiator, SessionRegistry
from cortado.websocket.sweeper import _look_at, _Seen

HOOKED = ["on_disconnect", "on_disconnect done"]


async def test_own_send_that_is_stuck_ends_the_session(connect):
    """A handler's send to a peer that doesn't read ends the session after send_timeout, and frees the socket."""

    async def handle(session):
        await session.accept()
        wire.transport.stall()
        await session.send_text("never taken")

    wire = connect(handle, send_timeout=0.1)
    await wire.ended()

    assert wire.transport.aborted
    assert wire.session.close_event.initiator is Initiator.NETWORK
    assert wire.events == HOOKED


async def test_queued_frame_that_is_stuck_ends_the_session(connect):
    """A frame of somebody else that is stuck for send_timeout ends the session as well."""
    wire = connect(send_timeout=0.1)
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.stall()
    assert await wire.session.send_text("never taken")
    await wire.ended()

    assert wire.transport.aborted
    assert wire.session.close_event.code == 1006


async def test_slow_but_reading_peer_is_not_cut_off(connect):
    """A peer that takes each frame within send_timeout stays, however long it takes in all; the clock is the test's."""
    wire = connect(send_timeout=60)
    await wire.transport.until(lambda: wire.transport.receiving)
    seen = _Seen(0.0)
    for now in (0.0, 50.0, 100.0, 150.0):
        wire.transport.stall()
        assert await wire.session.send_text(f"at {now}")
        _look_at(wire.session, seen, now)
        _look_at(wire.session, seen, now + 49.0)
        wire.transport.resume()
        assert await wire.transport.next_sent() == f"at {now}"
    assert wire.session.close_event is None

    wire.transport.stall()
    assert await wire.session.send_text("never taken")
    _look_at(wire.session, seen, 200.0)
    _look_at(wire.session, seen, 261.0)
    assert wire.transport.aborted
    await wire.ended()


async def test_handshake_that_stays_open_is_refused(connect):
    """A handler that neither accepts nor denies within accept_timeout is ended: 503."""

    async def handle(session):
        await asyncio.sleep(30)

    wire = connect(handle, accept_timeout=0.1, disconnect_grace_period=0)
    await wire.ended()

    assert wire.transport.denied.status == 503


async def test_idle_session_ends_hard(connect):
    """A session that receives nothing for idle_timeout ends hard, with a text of its own; sends don't count."""

    async def handle(session):
        await session.accept()
        while True:
            await session.send_text("tick")
            await asyncio.sleep(0.05)

    wire = connect(handle, idle_timeout=0.3)
    await wire.ended()

    assert wire.transport.closed.code == 4001
    assert "nothing was received" in wire.transport.sent[-1]
    assert "on_hard_close" in wire.events


async def test_session_that_receives_is_not_idle(connect):
    """Messages keep a session alive beyond its idle_timeout; the clock is the test's."""
    wire = connect(idle_timeout=60)
    seen = _Seen(0.0)
    for now in (0.0, 50.0, 100.0, 150.0):
        wire.transport.feed("still here")
        await wire.transport.next_sent()
        _look_at(wire.session, seen, now)
    assert wire.session.close_event is None

    _look_at(wire.session, seen, 211.0)
    assert wire.session.close_event.hard
    await wire.ended()


@pytest.mark.parametrize("messages", [5, 40])
async def test_read_ahead_is_bounded_and_in_order(connect, messages):
    """What is read while the handler is busy is bounded by 16 messages, and delivered first and in order."""
    release = asyncio.Event()

    async def handle(session):
        await session.accept()
        await release.wait()
        async for message in session:
            wire.events.append(message)

    wire = connect(handle)
    sent = [str(number) for number in range(messages)]
    wire.transport.feed(*sent)
    await wire.transport.until(lambda: len(wire.session._inbox) == min(messages, 16))
    wire.transport.depart()
    release.set()
    await wire.ended()

    assert wire.events == [*sent, *HOOKED]


async def test_nothing_ticks_without_sessions(connect):
    """The sweeper's timer stops when the last session is gone."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.depart()
    await wire.ended()
    sweeper = wire.registry._sweeper
    for _ in range(100):
        if sweeper._timer is None:
            break
        await asyncio.sleep(0.01)

    assert isinstance(wire.registry, SessionRegistry)
    assert sweeper._timer is None
