"""What a session's members promise, on a memory transport."""

import asyncio
import itertools

import pytest

from cortado.head import Head
from cortado.testing import MemoryTransport
from cortado.websocket import (
    InvalidFrame,
    InvalidMessage,
    SessionState,
    SessionStateError,
    WebSocketDisconnect,
    WebSocketSession,
)


async def open_until_told(session):
    """Accept, keep the session open until the peer leaves."""
    await session.accept()
    await session.wait_closed()


def test_handshake_is_readable_before_accept():
    """Path, variables, query, headers, cookies, client and subprotocols are there from the start."""
    head = Head(
        "/rooms/7",
        path_params={"room": "7"},
        query_string=b"a=1&a=2&b=%C3%A9",
        raw_headers=[(b"x-token", b"t"), (b"cookie", b'k=v; q="a b"')],
        client=("127.0.0.1", 5000),
        subprotocols=["chat", "json"],
    )

    async def make():
        return WebSocketSession(MemoryTransport(head))

    session = asyncio.run(make())

    assert session.path == "/rooms/7"
    assert session.path_params == {"room": "7"}
    assert session.query_params.getlist("a") == ["1", "2"]
    assert session.query_params["b"] == "é"
    assert session.headers["X-Token"] == "t"
    assert session.cookies == {"k": "v", "q": "a b"}
    assert session.client == ("127.0.0.1", 5000)
    assert session.subprotocols == ("chat", "json")
    assert session.state is SessionState.CONNECTING
    assert session.close_event is None
    assert not session.accepted
    assert not session.is_stub_session()


async def test_ids_are_unguessable():
    """Two sessions never share an id, and an id holds at least 128 random bits."""
    ids = {WebSocketSession(MemoryTransport()).id for _ in range(100)}
    assert len(ids) == 100
    assert min(map(len, ids)) >= 22


async def test_accept_tells_subprotocol_and_headers(connect):
    """accept() passes an offered subprotocol and headers on."""

    async def handle(session):
        await session.accept("chat", {"X-Room": "7"})

    wire = connect(handle)
    wire.transport.handshake.subprotocols = ("chat",)
    await wire.ended()

    assert wire.transport.accepted.subprotocol == "chat"
    assert wire.transport.accepted.headers["x-room"] == "7"
    assert wire.session.accepted


@pytest.mark.parametrize(
    ("subprotocol", "headers", "text"),
    [
        ("other", None, "did not offer"),
        (None, {"X-A": "b\r\nSet-Cookie: c"}, "line breaks"),
        (None, {"X A": "b"}, "no name"),
        (None, [("", "b")], "no name"),
    ],
)
async def test_accept_refuses_what_cannot_be_sent(connect, subprotocol, headers, text):
    """A subprotocol that was not offered and a header that would split the response are errors at the call."""

    async def handle(session):
        with pytest.raises(ValueError, match=text):
            await session.accept(subprotocol, headers)
        wire.events.append("checked")

    wire = connect(handle)
    await wire.ended()

    assert wire.events == ["checked"]
    assert wire.transport.denied.status == 403


async def test_accept_of_a_client_that_is_gone(connect):
    """accept() of a client already gone raises WebSocketDisconnect; accepted stays False, on_disconnect doesn't run."""

    async def handle(session):
        with pytest.raises(WebSocketDisconnect) as gone:
            await session.accept()
        wire.events.append(gone.value.code)

    wire = connect(handle)
    wire.transport.vanish()
    await wire.ended()

    assert wire.events == [1006]
    assert not wire.session.accepted


async def test_calls_at_the_wrong_time_name_state_and_cure(connect):
    """Sending or receiving before accept, and accepting twice, are SessionStateErrors that say what to do."""
    texts = []

    async def handle(session):
        for call in (session.send_text("x"), session.receive()):
            with pytest.raises(SessionStateError) as wrong:
                await call
            texts.append(str(wrong.value))
        await session.accept()
        with pytest.raises(SessionStateError) as wrong:
            await session.accept()
        texts.append(str(wrong.value))
        with pytest.raises(SessionStateError, match="call close"):
            await session.deny(403)

    await connect(handle).ended()

    assert texts == [
        "cannot send: the session is connecting; call accept() first",
        "cannot receive: the session is connecting; call accept() first",
        "cannot accept: the session is already accepted; call accept() once",
    ]


async def test_two_receivers(connect):
    """A second task that receives at the same time gets a SessionStateError; the first is not disturbed."""

    async def handle(session):
        await session.accept()
        first = asyncio.create_task(session.receive())
        await wire.transport.until(lambda: wire.transport.receiving)
        with pytest.raises(SessionStateError, match="another task"):
            await session.receive()
        wire.transport.feed("for the first")
        wire.events.append(await first)

    wire = connect(handle)
    await wire.ended()

    assert wire.events[0] == "for the first"


@pytest.mark.parametrize("busy", [False, True], ids=["direct", "read ahead"])
async def test_cancelled_receive_loses_nothing(connect, busy):
    """However often receive() is cancelled, every message arrives, in order."""
    count, got = 200, []

    async def receive_impatiently(session, patience):
        waiting = asyncio.create_task(session.receive())
        for _ in range(patience):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            got.append(waiting.result())

    async def handle(session):
        await session.accept()
        if busy:
            session._inbox.read_ahead()
        for patience in itertools.cycle(range(4)):
            await receive_impatiently(session, patience)
            if len(got) == count:
                return

    async def feed():
        for number in range(count):
            wire.transport.feed(str(number))
            await asyncio.sleep(0)

    wire = connect(handle)
    await asyncio.gather(feed(), wire.ended())

    assert got == [str(number) for number in range(count)]
    assert wire.transport.violations == []


async def test_receive_within_a_time_limit(connect):
    """wait_for(receive()) may time out again and again; the message that comes later is not lost."""

    async def handle(session):
        await session.accept()
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(session.receive(), 0.01)
        wire.transport.feed("late")
        async with asyncio.timeout(5):
            wire.events.append(await session.receive())

    wire = connect(handle)
    await wire.ended()

    assert wire.events[0] == "late"


async def test_what_arrived_before_the_end_is_delivered(connect):
    """Messages that came before the peer's departure are received first, then WebSocketDisconnect, again and again."""

    async def handle(session):
        await session.accept()
        await session.wait_closed()
        wire.events += [await session.receive(), await session.receive()]
        for _ in range(2):
            with pytest.raises(WebSocketDisconnect) as gone:
                await session.receive()
            wire.events.append((gone.value.code, gone.value.reason))

    wire = connect(handle)
    await wire.transport.until(lambda: wire.transport.accepted)
    wire.transport.feed("one", b"two")
    wire.transport.depart(4000, "bye")
    await wire.ended()

    assert wire.events[:4] == ["one", b"two", (4000, "bye"), (4000, "bye")]


async def test_iteration_ends_quietly(connect):
    """`async for` over the session, and iter_text, end without an exception when the session ends."""

    async def handle(session):
        await session.accept()
        async for message in session:
            wire.events.append(message)
            if message == "text from here":
                break
        async for text in session.iter_text():
            wire.events.append(text)
        wire.events.append("handler ends")

    wire = connect(handle)
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.feed(b"1", "text from here", "2")
    wire.transport.depart()
    await wire.ended()

    assert wire.events[:4] == [b"1", "text from here", "2", "handler ends"]


@pytest.mark.parametrize(
    ("receive", "message", "error", "code"),
    [
        ("receive_text", b"x", InvalidFrame, 1003),
        ("receive_bytes", "x", InvalidFrame, 1003),
        ("receive_json", "{", InvalidMessage, 1007),
        ("receive_json", "[" * 50_000, InvalidMessage, 1007),
        ("receive_json", b"{}", InvalidFrame, 1003),
        ("receive", "x" * 65_537, InvalidMessage, 1009),
        ("receive", "é" * 32_769, InvalidMessage, 1009),
        ("receive", b"x" * 65_537, InvalidMessage, 1009),
    ],
)
async def test_message_that_cannot_be_used(connect, caplog, receive, message, error, code):
    """A frame of the wrong kind closes with 1003, bad JSON with 1007, one too large with 1009; none is a crash."""

    async def handle(session):
        await session.accept()
        with pytest.raises(error):
            await getattr(session, receive)()
        await getattr(session, receive)()

    wire = connect(handle)
    wire.transport.feed(message, message)
    await wire.ended()

    assert wire.transport.closed.code == code
    assert wire.reported == []
    assert caplog.text == ""
    assert wire.session.close_event.error is not None


async def test_message_at_the_limit_is_received(connect):
    """A message of exactly max_message_size bytes is no bytes too large."""

    async def handle(session):
        await session.accept()
        wire.events += [len(await session.receive()), len(await session.receive())]

    wire = connect(handle)
    wire.transport.feed("é" * 32_768, b"x" * 65_536)
    await wire.ended()

    assert wire.events[:2] == [32_768, 65_536]


async def test_json_both_ways(connect):
    """send_json and receive_json speak JSON in text or in binary frames."""

    async def handle(session):
        await session.accept()
        await session.send_json({"got": await session.receive_json(), "é": None})
        await session.send_json([await session.receive_json("binary")], mode="binary")
        with pytest.raises(ValueError, match="mode"):
            await session.send_json({}, mode="bytes")
        with pytest.raises(TypeError):
            await session.send_json(object())

    wire = connect(handle)
    wire.transport.feed('{"a":1}', b"2")
    await wire.ended()

    assert wire.transport.sent == ['{"got":{"a":1},"é":null}', b"[2]"]
    assert wire.transport.closed.code == 1000


@pytest.mark.parametrize(("call", "data"), [("send_text", b"x"), ("send_text", 1), ("send_bytes", "x")])
async def test_send_of_the_wrong_type(connect, call, data):
    """What is no text, or no bytes, is a TypeError at the call; nothing is sent."""

    async def handle(session):
        await session.accept()
        with pytest.raises(TypeError):
            await getattr(session, call)(data)

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.sent == []


async def test_bytes_like_objects_are_copied(connect):
    """send_bytes takes a bytearray or a memoryview, and what is done to it later changes nothing."""

    async def handle(session):
        await session.accept()
        data = bytearray(b"abc")
        await session.send_bytes(data)
        data[0] = 0
        await session.send_bytes(memoryview(b"def")[1:])

    wire = connect(handle)
    await wire.ended()

    assert wire.transport.sent == [b"abc", b"ef"]


async def test_failing_send_is_the_end_for_the_own_handler(connect):
    """An error of the transport, whatever its type, is the loss of the peer: WebSocketDisconnect 1006."""

    async def handle(session):
        await session.accept()
        wire.transport.fail_sends(RuntimeError("Unexpected ASGI message"))
        with pytest.raises(WebSocketDisconnect) as gone:
            await session.send_text("x")
        wire.events.append(gone.value.code)

    wire = connect(handle)
    await wire.ended()

    assert wire.events[0] == 1006
    assert wire.transport.closed is None


async def test_send_of_somebody_else_is_true_or_false(connect):
    """To others send returns True while the session lives and False once it ends; it never raises for its state."""
    wire = connect(open_until_told)
    assert await wire.session.send_text("before accept") is True
    await wire.transport.until(lambda: wire.transport.accepted)
    assert await wire.session.send_text("hello") is True
    await wire.transport.until(lambda: len(wire.transport.sent) == 2)
    wire.transport.fail_sends(OSError("gone"))

    assert await wire.session.send_text("x") is False
    assert await wire.session.send_text("y") is False
    await wire.ended()
    assert await wire.session.send_text("z") is False
    assert wire.transport.sent == ["before accept", "hello"]


async def test_chat_loop_is_safe_with_dead_and_mute_members(connect):
    """The guide's broadcast reaches everybody who reads, though one member is dead and one never reads."""
    members = {}

    async def chat(session):
        await session.accept()
        members[session.id] = session
        try:
            while True:
                message = await session.receive_text()
                for member in list(members.values()):
                    await member.send_text(message)
        finally:
            del members[session.id]

    talker, dead, mute, reader = [connect(chat, outbox_frames=4) for _ in range(4)]
    for wire in (talker, dead, mute, reader):
        await wire.transport.until(lambda transport=wire.transport: transport.receiving)
    mute.transport.stall()
    dead.transport.fail_sends(OSError("gone"))
    sent = [str(number) for number in range(10)]
    for message in sent:
        talker.transport.feed(message)
        assert await talker.transport.next_sent() == message

    assert reader.transport.sent == talker.transport.sent == sent
    await dead.ended()
    await mute.ended()
    assert dead.session.close_event.code == 1006
    assert mute.session.close_event.code == 1013
    assert mute.transport.aborted
    assert talker.session.state is reader.session.state is SessionState.OPEN


async def test_tight_send_loop_lets_the_loop_breathe(connect):
    """A handler that sends without pause doesn't starve other tasks of the process."""
    ran = asyncio.Event()

    async def handle(session):
        await session.accept()
        asyncio.get_running_loop().call_soon(ran.set)
        for _ in range(100_000):
            await session.send_text("x" * 100)
            if ran.is_set():
                return

    await connect(handle).ended()

    assert ran.is_set()


async def test_broadcast_lets_the_loop_breathe(connect):
    """A loop over members that never suspends doesn't starve other tasks of the process either."""
    wire = connect(open_until_told)
    await wire.transport.until(lambda: wire.transport.accepted)
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    sent = 0
    while not ran.is_set() and sent < 100_000:
        await wire.session.send_text("x" * 100)
        sent += 1

    assert ran.is_set()


async def test_failing_task_of_the_session_is_logged_once(connect, caplog):
    """A task that the session owns and that fails is logged once; the session lives on."""

    async def fail():
        raise KeyError("in a task")

    async def handle(session):
        await session.accept()
        session.create_task(fail(), name="failing")
        await session.receive()

    wire = connect(handle)
    wire.transport.feed("go on")
    await wire.ended()

    assert caplog.text.count("KeyError: 'in a task'") == 1
    assert wire.transport.closed.code == 1000
