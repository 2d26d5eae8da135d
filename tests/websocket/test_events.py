"""Who is told that a session opened and closed: exactly once, in order, and isolated."""

import asyncio
import logging

import pytest

from cortado.websocket import SessionClosed, SessionOpened, SessionState, WebSocketDisconnect
from cortado.websocket.events import SessionListeners


def listen(wire, *, opened=(), closed=()):
    """Put listeners on a wire: those that write down what happens first, then those given."""

    async def note_opened(event: SessionOpened) -> None:
        wire.events.append(f"opened {event.session.state}")

    async def note_closed(event: SessionClosed) -> None:
        wire.events.append(f"closed {event.session.close_event.code}")

    wire.listeners = SessionListeners((note_opened, *opened), (note_closed, *closed))
    return wire


def noting(wire, name):
    async def tell(event: object) -> None:
        wire.events.append(name)

    return tell


async def test_opened_before_accept_returns(connect):
    """Every listener is done, one after another, when `accept()` returns; the session is open to them."""

    async def handle(session):
        await session.accept()
        wire.events.append("accepted")

    async def slow(event: SessionOpened) -> None:
        await event.session.send_text("welcome")
        await asyncio.sleep(0)
        wire.events.append("slow")

    wire = connect(handle)
    listen(wire, opened=[slow, noting(wire, "last")])
    await wire.ended()

    assert wire.events[:4] == ["opened open", "slow", "last", "accepted"]
    assert wire.transport.sent == ["welcome"]


async def test_closed_after_the_hooks_and_before_what_is_destroyed(connect):
    """`SessionClosed` comes after every hook, a hard end's too, while the session still owns its things."""
    tasks = []

    async def handle(session):
        session.attributes["user"] = "Ada"
        session.on_ended(lambda: wire.events.append("on_ended"))
        session.on_hard_close(lambda: wire.events.append("registered on_hard_close"))
        session.on_destroy(lambda: wire.events.append("on_destroy"))
        tasks.append(session.create_task(asyncio.Event().wait()))
        await session.accept()
        await session.close(hard=True)

    async def check(event: SessionClosed) -> None:
        session = event.session
        assert session.state is SessionState.CLOSING
        assert session.attributes == {"user": "Ada"}
        assert session.close_event.hard
        assert not tasks[0].done()
        wire.events.append("checked")

    wire = connect(handle)
    listen(wire, closed=[check])
    await wire.ended()

    assert wire.events == [
        "opened open",
        "on_disconnect",
        "on_disconnect done",
        "on_ended",
        "on_hard_close",
        "registered on_hard_close",
        "closed 4001",
        "checked",
        "on_destroy",
    ]


ENDS = {
    "the peer leaves": (lambda wire: wire.transport.depart(4000), 4000),
    "the peer vanishes": (lambda wire: wire.transport.vanish(), 1006),
    "the server cancels": (lambda wire: wire.task.cancel(), 1012),
    "the server cancels twice": (lambda wire: (wire.task.cancel(), wire.task.cancel()), 1012),
}


@pytest.mark.parametrize("end", ENDS)
async def test_closed_once_whatever_the_end(connect, end):
    """`SessionClosed` is told exactly once, however the session ends."""
    act, code = ENDS[end]
    wire = listen(connect())
    await wire.transport.until(lambda: wire.transport.receiving)
    act(wire)
    await asyncio.wait([wire.task], timeout=5)

    assert [one for one in wire.events if one.startswith("closed")] == [f"closed {code}"]


async def test_closed_once_after_a_crash(connect):
    """The same holds for a handler that raises after `accept()`."""

    async def handle(session):
        await session.accept()
        raise KeyError("crash")

    wire = listen(connect(handle))
    await wire.ended()

    assert [one for one in wire.events if one.startswith("closed")] == ["closed 1011"]


async def test_not_accepted_is_not_told(connect):
    """Of a handshake that wasn't accepted, no listener hears."""

    async def handle(session):
        await session.deny(403)

    wire = listen(connect(handle))
    await wire.ended()

    assert wire.events == []


async def test_failing_listeners_of_opened(connect, caplog):
    """A listener that fails, hangs, or is cancelled elsewhere is logged and reported; the session goes on."""

    async def fails(event: SessionOpened) -> None:
        raise ValueError("broken")

    async def hangs(event: SessionOpened) -> None:
        await asyncio.Event().wait()

    async def awaits_what_was_cancelled(event: SessionOpened) -> None:
        raise asyncio.CancelledError

    async def finds_it_ended(event: SessionOpened) -> None:
        raise WebSocketDisconnect(1000)

    wire = connect(hook_timeout=0.05)
    listen(wire, opened=[fails, hangs, awaits_what_was_cancelled, finds_it_ended, noting(wire, "last")])
    wire.transport.feed("hello")
    with caplog.at_level(logging.ERROR, "cortado.websocket"):
        assert await wire.transport.next_sent() == "hello"
    wire.transport.depart()
    await wire.ended()

    assert wire.events[:2] == ["opened open", "last"]
    assert [type(one) for one in wire.reported] == [ValueError, TimeoutError, asyncio.CancelledError]
    assert [one.message for one in caplog.records] == [
        f"SessionOpened listener of session {wire.session.id} failed"
    ] * 3


async def test_failing_listeners_of_closed(connect, caplog):
    """A listener that fails or hangs is logged and reported, and skips neither the others nor what comes later."""

    async def handle(session):
        session.on_destroy(lambda: wire.events.append("on_destroy"))
        await session.accept()

    async def fails(event: SessionClosed) -> None:
        raise SystemExit("broken")

    async def hangs(event: SessionClosed) -> None:
        await asyncio.Event().wait()

    wire = connect(handle, hook_timeout=0.05)
    listen(wire, closed=[fails, hangs, noting(wire, "last")])
    with caplog.at_level(logging.ERROR, "cortado.websocket"):
        await wire.ended()

    assert wire.events[-3:] == ["closed 1000", "last", "on_destroy"]
    assert [type(one) for one in wire.reported] == [SystemExit, TimeoutError]
    assert len(caplog.records) == 2


async def test_session_that_a_listener_closes(connect):
    """Where a listener of `SessionOpened` closes the session, `accept()` tells the handler so."""

    async def handle(session):
        try:
            await session.accept()
        except WebSocketDisconnect as gone:
            wire.events.append(f"gone {gone.code}")
            raise

    async def close(event: SessionOpened) -> None:
        await event.session.close(4003, "full")

    wire = connect(handle)
    listen(wire, opened=[close])
    await wire.ended()

    assert wire.events[:2] == ["opened open", "gone 4003"]
    assert wire.events[-1] == "closed 4003"
    assert wire.session.accepted


async def test_closing_while_listeners_of_opened_run(connect):
    """When the peer leaves meanwhile, the listener is cancelled after the grace period, with the handler."""
    entered = asyncio.Event()

    async def hangs(event: SessionOpened) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            wire.events.append("cancelled")

    wire = connect(disconnect_grace_period=0.05)
    listen(wire, opened=[hangs])
    await entered.wait()
    await wire.session.close(4000)
    await wire.ended()

    assert wire.events == ["opened open", "cancelled", "on_disconnect", "on_disconnect done", "closed 4000"]


async def test_without_listeners_nothing_is_prepared(connect):
    """Where nobody listens, a session carries nothing for it."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.accepted)

    assert wire.session._opened is None
