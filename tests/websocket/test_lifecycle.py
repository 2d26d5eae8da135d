"""How sessions end: the pipeline on a memory transport."""

import asyncio
import contextlib
import logging

import anyio
import pytest

from cortado.problems import NotFound
from cortado.websocket import (
    CloseEvent,
    Initiator,
    SessionState,
    SessionStateError,
    WebSocketDisconnect,
)

HOOKED = ["on_disconnect", "on_disconnect done"]


async def test_handler_that_returns_closes_with_1000(connect):
    """A handler that returns closes the session with 1000; its hook runs once, to its end."""

    async def handle(session):
        await session.accept()
        await session.send_text("hello")

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.sent == ["hello"]
    assert (wire.transport.closed.code, wire.transport.closed.reason) == (1000, "")
    assert wire.events == HOOKED
    assert wire.session.close_event == CloseEvent(1000)
    assert wire.session.state is SessionState.CLOSED
    assert wire.registry.counters.closed == {Initiator.SERVER: 1}


async def test_handler_that_raises_closes_with_1011_and_says_nothing(connect):
    """A handler that raises closes the session with 1011; the exception's text stays on the server."""

    async def handle(session):
        await session.accept()
        raise KeyError("secret")

    wire = connect(handle)
    await wire.ended()

    assert (wire.transport.closed.code, wire.transport.closed.reason) == (1011, "internal error")
    assert wire.session.close_event.initiator is Initiator.ERROR
    assert isinstance(wire.session.close_event.error, KeyError)
    assert wire.events == HOOKED


async def test_debug_shows_the_exception(connect):
    """With debug the close reason is the exception."""

    async def handle(session):
        await session.accept()
        await asyncio.sleep(0)
        raise KeyError("detail")

    wire = connect(handle)
    wire.debug = True
    await wire.ended()

    assert wire.transport.closed.reason == "KeyError: 'detail'"


async def test_mapped_error_closes_with_4000_and_its_status(connect):
    """An error with an HTTP status closes with 4000 + status and the problem's title."""

    async def handle(session):
        await session.accept()
        raise NotFound("no such room")

    wire = connect(handle)
    await wire.ended()

    assert (wire.transport.closed.code, wire.transport.closed.reason) == (4404, "Not Found")
    assert wire.reported == []


async def test_return_before_accept_denies_with_403(connect):
    """A handler that returns without accepting refuses the handshake with 403, and on_disconnect doesn't run."""

    async def handle(session):
        session.on_ended(lambda: wire.events.append("on_ended"))

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.denied.status == 403
    assert wire.events == ["on_ended"]


async def test_raise_before_accept_denies_with_the_mapped_status(connect):
    """An error before accept refuses the handshake with its status and a problem document."""

    async def handle(session):
        raise NotFound("no such room")

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.denied.status == 404
    assert b'"detail":"no such room"' in wire.transport.denied.body
    assert wire.session.close_event.code == 4404


async def test_crash_before_accept_denies_with_500(connect):
    """An unexpected exception before accept refuses the handshake with 500 and tells nothing."""

    async def handle(session):
        raise KeyError("secret")

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.denied.status == 500
    assert b"secret" not in wire.transport.denied.body


async def test_peer_that_closes(connect):
    """The peer's code and reason are in the close event; the loop that receives simply ends."""
    wire = connect()
    wire.transport.feed("one")
    assert await wire.transport.next_sent() == "one"
    wire.transport.depart(4123, "bye")
    await wire.ended()

    assert wire.session.close_event == CloseEvent(4123, "bye", True, Initiator.CLIENT)
    assert wire.transport.closed is None
    assert wire.events == HOOKED


async def test_peer_that_vanishes(connect):
    """An abrupt loss is 1006, not clean, by the network."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.vanish()
    await wire.ended()

    assert wire.session.close_event == CloseEvent(1006, "", False, Initiator.NETWORK)
    assert wire.events == HOOKED


async def test_departure_is_noticed_while_the_handler_sleeps(connect):
    """A handler that never receives is cancelled after the grace period; then its hook runs."""

    async def handle(session):
        await session.accept()
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            wire.events.append("cleaned up")

    wire = connect(handle, disconnect_grace_period=0.05)
    await wire.transport.until(lambda: wire.transport.accepted)
    wire.transport.vanish()
    await wire.ended()

    assert wire.events == ["cleaned up", *HOOKED]
    assert wire.session.close_event.code == 1006


async def test_push_only_handler_learns_of_the_departure(connect):
    """A handler that only sends gets WebSocketDisconnect when the peer is gone, and may let it pass."""

    async def handle(session):
        await session.accept()
        while True:
            await session.send_text("tick")
            await asyncio.sleep(0)

    wire = connect(handle)
    assert await wire.transport.next_sent() == "tick"
    wire.transport.vanish()
    await wire.ended()

    assert wire.reported == []
    assert wire.events == HOOKED


@pytest.mark.parametrize("times", [1, 2, 40])
async def test_cancelled_server_task(connect, times):
    """However often the server cancels, the peer gets 1012, the hook runs to its end, and then it is re-raised."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.receiving)
    for _ in range(times):
        wire.task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await wire.ended()

    assert wire.transport.closed.code == 1012
    assert wire.session.close_event.initiator is Initiator.SHUTDOWN
    assert wire.events == HOOKED


async def test_cancel_before_the_handler_has_begun(connect):
    """A connection cancelled in its first moment is refused; nothing hangs."""
    wire = connect()
    await asyncio.sleep(0)
    wire.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wire.ended()

    assert wire.session.state is SessionState.CLOSED


async def test_anyio_cancellation_lets_hooks_await(connect):
    """Under a cancelled anyio scope, where every await fails, the hook still runs to its end."""
    wire = connect()
    inner = type(wire)(wire.handle, wire.registry, {})
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        await inner.serve()

    assert scope.cancelled_caught
    assert inner.events == HOOKED
    assert inner.session.close_event.code == 1012


async def test_handler_that_swallows_the_cancellation_is_left_behind(connect, caplog):
    """A handler that swallows its cancellation is logged and left; the hooks run all the same."""
    release = asyncio.Event()

    async def handle(session):
        await session.accept()
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    wire = connect(handle, disconnect_grace_period=0.02, hook_timeout=0.05)
    await wire.transport.until(lambda: wire.transport.accepted)
    wire.transport.vanish()
    await wire.ended()
    release.set()

    assert wire.events == HOOKED
    assert "swallowed its cancellation" in caplog.text


async def test_order_of_an_end(connect):
    """The handler first, then on_disconnect, on_ended in order, on_hard_close, on_destroy."""

    async def handle(session):
        session.on_destroy(lambda: wire.events.append("destroy"))
        session.on_ended(lambda: wire.events.append("ended 1"))
        session.on_hard_close(lambda ended: wire.events.append(f"hard {ended.close_event.code}"))
        session.on_ended(lambda: wire.events.append("ended 2"))
        await session.accept()
        await session.close(hard=True)
        wire.events.append("handler goes on")

    wire = connect(handle)
    await wire.ended()

    assert wire.events == [
        "handler goes on",
        *HOOKED,
        "ended 1",
        "ended 2",
        "on_hard_close",
        "hard 4001",
        "destroy",
    ]


async def test_hooks_see_live_state_and_a_hard_end_clears_it(connect):
    """Hooks read the session's attributes; after a hard end they are gone, after a soft one they stay."""

    async def handle(session):
        session.attributes["user"] = "ann"
        session.on_ended(lambda: seen.append(dict(session.attributes)))
        session.on_hard_close(lambda: seen.append(dict(session.attributes)))
        await session.accept()
        await session.close(hard=await session.receive_text() == "hard")

    seen = []
    hard, soft = connect(handle), connect(handle)
    hard.transport.feed("hard")
    soft.transport.feed("soft")
    await hard.ended()
    await soft.ended()

    assert seen == [{"user": "ann"}] * 3
    assert hard.session.attributes == {}
    assert soft.session.attributes == {"user": "ann"}


@pytest.mark.parametrize(
    ("message", "text"),
    [("thanks", "thanks"), ("", ""), (None, "bye all")],
    ids=["own", "empty", "application's"],
)
async def test_hard_close_is_announced(connect, message, text):
    """A hard close sends one notice with the call's text, else the application's, and closes with 4001."""

    async def handle(session):
        await session.accept()
        await session.close(1000, "ignored", hard=True, message=message)

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.sent == [f'{{"type":"hardDisconnectConfig","data":{{"message":"{text}"}}}}']
    assert (wire.transport.closed.code, wire.transport.closed.reason) == (4001, "cortado-hard-disconnect")
    assert wire.session.close_event.hard


async def test_soft_end_turns_hard_until_the_hard_step(connect):
    """close(hard=True) in a hook turns a soft end into a hard one; the client has seen the soft one."""

    async def handle(session):
        session.on_ended(lambda: session.close(hard=True))
        await session.accept()

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.closed.code == 1000
    assert wire.session.close_event.hard
    assert wire.events[-1] == "on_hard_close"


async def test_losing_the_client_is_never_hard(connect):
    """An abrupt loss runs no hook of a hard close."""
    wire = connect()
    wire.transport.vanish()
    await wire.ended()

    assert not wire.session.close_event.hard
    assert "on_hard_close" not in wire.events


async def test_hook_that_raises_is_isolated(connect, caplog):
    """A hook that raises, whatever it raises, is logged once and skips no other."""

    def fail(error):
        raise error

    async def handle(session):
        session.on_ended(lambda: fail(ValueError("first")))
        session.on_ended(lambda: fail(SystemExit(3)))
        session.on_ended(lambda: wire.events.append("last"))
        await session.accept()

    wire = connect(handle)
    await wire.ended()

    assert wire.events[-1] == "last"
    assert [type(error) for error in wire.reported] == [ValueError, SystemExit]
    assert caplog.text.count("ValueError: first") == 1
    assert wire.session.id in caplog.text


async def test_hook_that_hangs_is_cut(connect, caplog):
    """A hook that hangs is cut at hook_timeout; the next ones run."""

    async def hang():
        try:
            await asyncio.sleep(30)
        finally:
            wire.events.append("cut")

    async def handle(session):
        session.on_ended(hang)
        session.on_ended(lambda: wire.events.append("last"))
        await session.accept()

    wire = connect(handle, hook_timeout=0.05)
    await wire.ended()

    assert wire.events[-2:] == ["cut", "last"]
    assert "was cut after 0.05 s" in caplog.text


async def test_hook_registered_meanwhile_runs_and_too_late_is_an_error(connect):
    """An on_ended callback registered by another runs too; after their turn registering is an error."""

    async def handle(session):
        session.on_ended(lambda: session.on_ended(lambda: wire.events.append("late")))
        await session.accept()

    wire = connect(handle)
    await wire.ended()

    assert wire.events[-1] == "late"
    with pytest.raises(SessionStateError, match="on_ended"):
        wire.session.on_ended(lambda: None)


async def test_cancelled_registration_does_not_run(connect):
    """The function that a registration returns takes it back."""

    async def handle(session):
        cancel = session.on_ended(lambda: wire.events.append("no"))
        await session.accept()
        cancel()
        cancel()

    wire = connect(handle)
    await wire.ended()

    assert wire.events == HOOKED


async def test_close_from_elsewhere_waits_for_the_hooks(connect):
    """close() by somebody else returns, for every caller, when the session is closed."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.receiving)
    await asyncio.gather(wire.session.close(4000, "over"), wire.session.close(4999, "too late"))

    assert wire.session.state is SessionState.CLOSED
    assert wire.events == HOOKED
    assert (wire.transport.closed.code, wire.transport.closed.reason) == (4000, "over")
    await wire.session.close()


async def test_handler_is_not_torn_down_while_it_runs(connect):
    """After its own close() the handler goes on; its sends raise WebSocketDisconnect; then the hooks run."""

    async def handle(session):
        await session.accept()
        await session.close()
        with pytest.raises(WebSocketDisconnect) as ended:
            await session.send_text("x")
        with pytest.raises(WebSocketDisconnect):
            await session.receive()
        wire.events.append(f"ended with {ended.value.code}")

    wire = connect(handle)
    await wire.ended()

    assert wire.events == ["ended with 1000", *HOOKED]


async def test_close_before_accept_refuses_the_handshake(connect):
    """close() before accept() refuses the handshake with 403."""

    async def handle(session):
        await session.close(4403)

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.denied.status == 403
    assert wire.session.close_event.code == 4403
    assert wire.events == []


async def test_deny(connect):
    """deny() refuses the handshake with a status, a body and headers; on_disconnect doesn't run."""

    async def handle(session):
        await session.deny(429, "slow down", {"Retry-After": "3"})

    wire = connect(handle)
    await wire.ended()

    denied = wire.transport.denied
    assert (denied.status, denied.body, denied.headers["retry-after"]) == (429, b"slow down", "3")
    assert wire.events == []


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2000, 5000, True, "1000"])
async def test_illegal_close_code(connect, code):
    """A code that no frame may carry is a ValueError, and the session lives on."""
    wire = connect()
    with pytest.raises(ValueError, match="can't carry"):
        await wire.session.close(code)
    assert wire.session.close_event is None


async def test_long_reason_is_cut_on_a_character_border(connect):
    """A reason is cut at 123 bytes of UTF-8, never within a character."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.receiving)
    await wire.session.close(1000, "é" * 100)

    assert wire.transport.closed.reason == "é" * 61


async def test_peer_that_takes_no_close_frame_is_cut_off(connect):
    """A peer that doesn't take the farewell within close_timeout is aborted; the hooks don't wait longer."""

    async def handle(session):
        await session.accept()
        wire.transport.stall()
        await session.close()

    wire = connect(handle, close_timeout=0.05)
    await wire.ended()

    assert wire.transport.aborted
    assert wire.session.close_event == CloseEvent(1000, was_clean=False)
    assert wire.events == HOOKED


async def test_task_group_whose_only_failure_is_the_disconnect(connect, caplog):
    """A TaskGroup that fails with nothing but this session's disconnect is a normal end without a log."""
    caplog.set_level(logging.INFO)

    async def handle(session):
        await session.accept()
        async with asyncio.TaskGroup() as group:
            group.create_task(session.receive())
            group.create_task(asyncio.sleep(30))

    wire = connect(handle)
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.depart(1001)
    await wire.ended()

    assert wire.reported == []
    assert caplog.text == ""
    assert wire.session.close_event.code == 1001


async def test_tasks_of_the_session_end_with_it(connect):
    """A task created by the session is cancelled after the hooks, and awaited."""

    async def work():
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            wire.events.append("task ended")

    async def handle(session):
        await session.accept()
        session.create_task(work())
        await asyncio.sleep(0)

    wire = connect(handle)
    await wire.ended()

    assert wire.events == [*HOOKED, "task ended"]
    late = work()
    with pytest.raises(SessionStateError):
        wire.session.create_task(late)


async def test_handler_crash_after_the_peer_left_is_reported(connect):
    """A handler that fails while it cleans up is reported, and the close event keeps telling of the peer."""

    async def handle(session):
        await session.accept()
        try:
            await session.receive()
        except WebSocketDisconnect:
            raise KeyError("while cleaning up") from None

    wire = connect(handle)
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.depart(1000)
    await wire.ended()

    assert [type(error) for error in wire.reported] == [KeyError]
    assert wire.session.close_event.initiator is Initiator.CLIENT
    assert wire.events == HOOKED


async def test_disconnect_of_another_session_is_a_crash_not_an_end(connect):
    """WebSocketDisconnect of another session is not taken for this session's own."""
    other = connect()
    await other.transport.until(lambda: other.transport.receiving)
    await other.session.close()

    async def handle(session):
        await session.accept()
        await other.session.receive()

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.closed.code == 1011
    assert isinstance(wire.reported[0], WebSocketDisconnect)


async def test_own_code_may_wait_for_the_end(connect):
    """A handler may park in wait_closed(): it gets on when the session ends, and is not cancelled."""

    async def handle(session):
        await session.accept()
        await session.wait_closed()
        wire.events.append("handler got on")

    wire = connect(handle)
    await wire.transport.until(lambda: wire.transport.accepted)
    wire.transport.vanish()
    await wire.ended()

    assert wire.events == ["handler got on", *HOOKED]


async def test_drain(connect):
    """A drain closes every session with 1012 and returns when all hooks have run."""
    wires = [connect() for _ in range(5)]
    for wire in wires:
        await wire.transport.until(lambda transport=wire.transport: transport.receiving)
    await wires[0].registry.drain(jitter=0.01, timeout=5)

    assert [wire.transport.closed.code for wire in wires] == [1012] * 5
    assert [wire.events for wire in wires] == [HOOKED] * 5
    assert {wire.session.close_event.initiator for wire in wires} == {Initiator.SHUTDOWN}


async def test_handler_that_tries_again_for_ever_does_not_stop_the_loop(connect):
    """A handler that catches everything and tries again is cancelled after the grace period like any other."""

    async def handle(session):
        await session.accept()
        while True:
            with contextlib.suppress(Exception):
                await (session.receive_json() if "receive" in wire.events else session.send_text("x"))

    for call in ("receive", "send"):
        wire = connect(handle, disconnect_grace_period=0.05)
        wire.events.append(call)
        await wire.transport.until(lambda transport=wire.transport: transport.accepted)
        wire.transport.vanish()
        await wire.ended()
        assert wire.events == [call, *HOOKED]


async def test_cancellation_that_is_not_the_handlers_own_is_a_crash(connect, caplog):
    """A handler that awaits something that was cancelled elsewhere has failed: 1011, logged once."""

    async def handle(session):
        await session.accept()
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.closed.code == 1011
    assert wire.events == HOOKED
    assert len(caplog.records) == 1


async def test_shutdown_before_accept_is_503(connect):
    """A handshake that the shutdown meets is refused with 503, not with 403."""

    async def handle(session):
        await asyncio.sleep(30)

    wire = connect(handle, disconnect_grace_period=0.02)
    await asyncio.sleep(0)
    await wire.registry.drain(jitter=0, timeout=5)

    assert wire.transport.denied.status == 503
    assert wire.session.close_event.code == 1012


async def test_hard_close_during_a_soft_farewell_keeps_the_code_that_is_sent(connect):
    """An end that turns hard while its close frame is on the way says what the peer sees."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.stall()
    soft = asyncio.create_task(wire.session.close(4000))
    await wire.transport.until(lambda: wire.transport.sending)
    hard = asyncio.create_task(wire.session.close(hard=True))
    await asyncio.sleep(0)
    wire.transport.resume()
    await asyncio.gather(soft, hard)

    assert wire.transport.closed.code == wire.session.close_event.code == 4000
    assert wire.session.close_event.hard
    assert wire.events[-1] == "on_hard_close"


async def test_end_that_could_not_be_told_is_not_clean(connect):
    """close() of a session whose peer is lost meanwhile is not clean."""
    wire = connect()
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.fail_sends(OSError("gone"))
    await wire.session.close(4000)

    assert wire.session.close_event == CloseEvent(4000, was_clean=False)


async def test_cancelled_accept_gives_the_connection_up(connect):
    """Cancelling accept() leaves a handshake in doubt: the connection is cut, and the session ends."""

    async def handle(session):
        wire.transport.stall()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.accept(), 0.02)
        wire.events.append(session.state)

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.aborted
    assert not wire.session.accepted
    assert wire.events == [SessionState.CLOSING]


async def test_farewell_with_a_lone_surrogate_arrives(connect):
    """A notice that is no valid Unicode is mended rather than lost."""

    async def handle(session):
        await session.accept()
        await session.close(hard=True, message="a\ud800")

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.closed.code == 4001
    assert '"a?"' in wire.transport.sent[0]


async def test_tasks_that_swallow_their_cancellation_are_waited_for_together(connect, caplog):
    """Ten stubborn tasks hold up the end for one hook_timeout, not for ten."""
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    async def handle(session):
        await session.accept()
        for _ in range(10):
            session.create_task(stubborn())
        await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    begun = loop.time()
    wire = connect(handle, hook_timeout=0.3)
    await wire.ended()
    took = loop.time() - begun
    release.set()

    assert took < 1.5
    assert caplog.text.count("left behind") == 10


async def test_callback_that_registers_itself_for_ever_ends(connect, caplog):
    """Callbacks that keep registering others are stopped after a thousand; the end goes on."""
    runs = []

    def again(session):
        runs.append(1)
        session.on_ended(again)

    async def handle(session):
        session.on_ended(again)
        session.on_destroy(lambda: wire.events.append("destroy"))
        await session.accept()

    wire = connect(handle)
    await wire.ended()

    assert 1000 <= len(runs) <= 1002
    assert wire.events[-1] == "destroy"
    assert "keep registering others" in caplog.text


async def test_peers_that_a_stopping_server_waits_for_are_cut(connect):
    """Where the server itself has said goodbye, a peer that doesn't take it is cut after a while; no other one is."""
    wires = {code: connect(close_timeout=0.01) for code in (1000, 1012)}
    for code, wire in wires.items():
        await wire.transport.until(lambda transport=wire.transport: transport.receiving)
        wire.transport.depart(code)
        await wire.ended()

    await asyncio.wait_for(wires[1012].transport.until(lambda: wires[1012].transport.aborted), 5)
    assert not wires[1000].transport.aborted
