"""The transport in memory keeps the port's promises, and notices who doesn't."""

import asyncio

import pytest

from cortado.head import Head
from cortado.testing import CloseFrame, MemoryTransport, WaitTimeoutError
from cortado.websocket.transport import Departure, Transport


async def accepted() -> MemoryTransport:
    transport = MemoryTransport()
    await transport.accept(None, ())
    return transport


async def test_it_is_a_transport():
    """The fake fits the port, handshake included."""
    handshake = Head("/ws", query_string=b"a=1")

    transport: Transport = MemoryTransport(handshake)

    assert handshake is transport.handshake


async def test_accept_is_recorded():
    """What the session chose for the handshake can be looked at."""
    transport = MemoryTransport()

    await transport.accept("chat", [(b"x-a", b"1")])

    assert transport.accepted is not None
    assert transport.accepted.subprotocol == "chat"
    assert transport.accepted.headers["X-A"] == "1"


async def test_messages_arrive_in_order_before_the_departure():
    """What was fed is received in order, and the departure last."""
    transport = await accepted()
    transport.feed("one", b"two")
    transport.depart(4000, "bye")

    received = [await transport.receive() for _ in range(3)]

    assert ["one", b"two", Departure(4000, "bye")] == received


async def test_a_waiting_receive_is_woken():
    """A receive that waits returns what is fed later."""
    transport = await accepted()
    waiting = asyncio.create_task(transport.receive())
    await transport.until(lambda: transport.receiving)

    transport.feed("late")

    assert await waiting == "late"


async def test_a_cancelled_receive_loses_nothing_and_is_noticed():
    """The port never cancels a receive: it is a violation, but the message is kept."""
    transport = await accepted()
    waiting = asyncio.create_task(transport.receive())
    await transport.until(lambda: transport.receiving)
    transport.feed("kept")
    waiting.cancel()
    await asyncio.wait([waiting])

    assert await transport.receive() == "kept"
    assert transport.violations == ["receive() was cancelled"]


async def test_a_lost_peer_is_1006_and_unclean():
    """A peer that vanishes departs with 1006, without a farewell, and can't be sent to."""
    transport = await accepted()
    transport.vanish()

    assert Departure(1006, was_clean=False) == await transport.receive()


async def test_sends_to_a_departed_peer_fail():
    """After the departure every send raises OSError, although it wasn't received yet."""
    transport = await accepted()
    transport.depart()

    with pytest.raises(OSError, match="gone"):
        await transport.send_text("x")
    assert transport.sent == []


async def test_accepting_a_gone_client_fails():
    """A client that is gone before accept makes it raise OSError."""
    transport = MemoryTransport()
    transport.vanish()

    with pytest.raises(OSError, match="gone"):
        await transport.accept(None, ())
    assert transport.accepted is None


async def test_a_stalled_peer_holds_sends_until_it_reads_again():
    """Sends wait while the peer doesn't read, and go through when it does."""
    transport = await accepted()
    transport.stall()
    sending = asyncio.create_task(transport.send_bytes(b"x"))
    await transport.until(lambda: transport.sending)
    assert transport.sent == []

    transport.resume()
    await sending

    assert await transport.next_sent() == b"x"


async def test_abort_releases_a_stalled_send():
    """Cutting the connection ends what waits for the peer: the send raises, the receive tells the loss."""
    transport = await accepted()
    transport.stall()
    sending = asyncio.create_task(transport.send_text("x"))
    await transport.until(lambda: transport.sending)

    assert transport.abort()

    with pytest.raises(OSError, match="gone"):
        await sending
    assert transport.aborted


async def test_a_transport_that_cannot_abort_says_so():
    """Where a server has no abort, nothing happens and False is returned."""
    transport = MemoryTransport(can_abort=False)

    assert not transport.abort()
    assert not transport.aborted


async def test_sends_fail_as_told():
    """A send raises the error the test chose, until it is taken back."""
    transport = await accepted()
    transport.fail_sends(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await transport.send_text("x")

    transport.fail_sends(None)
    await transport.send_text("y")

    assert transport.sent == ["y"]


async def test_close_is_recorded_and_answered():
    """The close frame is kept, and an outstanding receive sees the peer's answer."""
    transport = await accepted()
    waiting = asyncio.create_task(transport.receive())
    await transport.until(lambda: transport.receiving)

    await transport.close(1000, "done")

    assert CloseFrame(1000, "done") == transport.closed
    assert Departure(1000, "done") == await waiting


async def test_deny_is_recorded():
    """A refusal is kept with status, headers and body."""
    transport = MemoryTransport()

    await transport.deny(401, [(b"content-type", b"text/plain")], b"who?")

    assert transport.denied is not None
    assert (transport.denied.status, transport.denied.body) == (401, b"who?")


@pytest.mark.parametrize(
    ("before", "call", "violation"),
    [
        (lambda t: t.close(1000, ""), lambda t: t.send_text("x"), "a send was called after close()"),
        (lambda t: t.close(1000, ""), lambda t: t.close(1000, ""), "close() was called after close()"),
        (lambda t: t.close(1000, ""), lambda t: t.receive(), "receive() was called after close()"),
        (lambda t: t.send_text("x"), lambda t: t.accept(None, ()), "accept() was called twice"),
        (lambda t: t.send_text("x"), lambda t: t.deny(403, (), b""), "deny() was called after accept()"),
    ],
)
async def test_calls_that_the_port_forbids_raise_and_are_kept(before, call, violation):
    """A session that breaks the contract of the port is told at once, and the test can see it afterwards."""
    transport = await accepted()
    await before(transport)

    with pytest.raises(RuntimeError):
        await call(transport)

    assert [violation] == transport.violations


async def test_sending_before_accept_is_a_violation():
    """No frame may leave before the handshake is complete."""
    transport = MemoryTransport()

    with pytest.raises(RuntimeError):
        await transport.send_text("x")

    assert transport.violations


async def test_two_receives_at_once_are_a_violation():
    """One receive at a time."""
    transport = await accepted()
    waiting = asyncio.create_task(transport.receive())
    await transport.until(lambda: transport.receiving)

    with pytest.raises(RuntimeError):
        await transport.receive()

    transport.feed("x")
    assert await waiting == "x"


async def test_waits_have_a_limit_and_say_what_they_waited_for():
    """A frame that never comes is a readable timeout."""
    transport = await accepted()

    with pytest.raises(WaitTimeoutError, match="a frame from the session"):
        await transport.next_sent(timeout=0.01)


async def test_a_peer_that_left_sends_nothing_more():
    """Feeding after the departure is a mistake of the test."""
    transport = MemoryTransport()
    transport.depart()

    with pytest.raises(RuntimeError, match="before depart"):
        transport.feed("late")


async def test_the_first_departure_counts():
    """A peer leaves once."""
    transport = await accepted()
    transport.depart(4000)
    transport.vanish()

    assert await transport.receive() == Departure(4000)


async def test_a_frame_while_another_one_waits_is_a_violation():
    """One send at a time."""
    transport = await accepted()
    transport.stall()
    sending = asyncio.create_task(transport.send_text("x"))
    await transport.until(lambda: transport.sending)

    with pytest.raises(RuntimeError):
        await transport.send_text("y")

    transport.resume()
    await sending
    assert transport.sent == ["x"]
