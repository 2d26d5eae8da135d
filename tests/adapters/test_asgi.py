"""The transport on ASGI: what servers do differently is levelled."""

import asyncio
from types import SimpleNamespace

import pytest

from cortado.adapters.asgi import RAW_SEND, AsgiTransport
from cortado.websocket.transport import Departure

SCOPE = {
    "type": "websocket",
    "path": "/x",
    "headers": [(b"host", b"h")],
    "query_string": b"",
    "subprotocols": [],
}


class Server:
    """What a server offers: events to receive, and a record of what was sent."""

    def __init__(self, *events):
        self.events, self.sent = list(events), []
        self.transport = None

    async def receive(self):
        return self.events.pop(0)

    async def send(self, event):
        self.sent.append(event)


def transport_of(*events, **scope):
    server = Server(*events)
    return AsgiTransport({**SCOPE, **scope}, server.receive, server.send), server


@pytest.mark.parametrize(
    ("event", "departure"),
    [
        ({"code": 1000, "reason": "bye"}, Departure(1000, "bye")),
        ({"code": 4001}, Departure(4001)),
        ({"code": 4001, "reason": None}, Departure(4001)),
        ({"code": 1005, "reason": ""}, Departure(1005)),
        ({"code": 1005}, Departure(1006, was_clean=False)),
        ({"code": 1006, "reason": "x"}, Departure(1006, was_clean=False)),
        ({}, Departure(1006, was_clean=False)),
        ({"code": None}, Departure(1006, was_clean=False)),
    ],
)
async def test_departures(event, departure):
    """A close frame's code and reason are kept; an abrupt loss is 1006, however the server words it."""
    transport, _ = transport_of({"type": "websocket.disconnect", **event})
    assert await transport.receive() == departure


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"text": "x"}, "x"),
        ({"text": "", "bytes": None}, ""),
        ({"bytes": b"x", "text": None}, b"x"),
        ({"bytes": b""}, b""),
        ({}, b""),
    ],
)
async def test_messages(event, message):
    """Text and bytes come as what they are, empty ones too."""
    transport, _ = transport_of({"type": "websocket.receive", **event})
    assert await transport.receive() == message


async def test_client_that_left_before_anything_happened():
    """The first event says whether there is a client at all."""
    assert await transport_of({"type": "websocket.connect"})[0].asked()
    assert not await transport_of({"type": "websocket.disconnect", "code": 1006})[0].asked()


async def test_what_is_sent():
    """Every call is the ASGI event for it."""
    transport, server = transport_of()
    await transport.accept("chat", [(b"x", b"y")])
    await transport.send_text("t")
    await transport.send_bytes(b"b")
    await transport.close(4000, "r")

    assert server.sent == [
        {"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x", b"y")]},
        {"type": "websocket.send", "text": "t"},
        {"type": "websocket.send", "bytes": b"b"},
        {"type": "websocket.close", "code": 4000, "reason": "r"},
    ]


async def test_denial():
    """A server with the extension sends the response; one without it closes, which its client sees as 403."""
    transport, server = transport_of(extensions={"websocket.http.response": {}})
    await transport.deny(429, [(b"retry-after", b"3")], b"slow")
    assert server.sent == [
        {
            "type": "websocket.http.response.start",
            "status": 429,
            "headers": [(b"retry-after", b"3"), (b"content-length", b"4")],
        },
        {"type": "websocket.http.response.body", "body": b"slow"},
    ]
    for extensions in ({}, None):
        transport, server = transport_of(extensions=extensions)
        await transport.deny(429, [], b"slow")
        assert [event["type"] for event in server.sent] == ["websocket.close"]


async def test_abort():
    """A server whose send belongs to a protocol with a transport lets us cut it, past any middleware."""

    class Cut:
        aborted = 0

        def abort(self):
            self.aborted += 1

    transport, server = transport_of()
    server.transport = Cut()
    assert transport.abort()

    async def wrapped(event): ...

    behind = AsgiTransport({**SCOPE, RAW_SEND: server.send}, server.receive, wrapped)
    assert behind.abort()
    assert server.transport.aborted == 2


async def test_abort_finds_the_connection_behind_a_stream():
    """Where each stream sends to a protocol and that to a connection, as in hypercorn, the connection is cut."""
    cut = []

    class Connection:
        writer = SimpleNamespace(transport=SimpleNamespace(abort=lambda: cut.append("cut")))

        def send(self): ...

    class Protocol:
        send = Connection().send

        def stream_send(self): ...

    class Stream:
        def __init__(self):
            self.send = Protocol().stream_send

        async def app_send(self, event): ...

    assert AsgiTransport(dict(SCOPE), Server().receive, Stream().app_send).abort()
    assert cut == ["cut"]

    over_http2 = AsgiTransport({**SCOPE, "http_version": "2"}, Server().receive, Stream().app_send)
    assert not over_http2.abort()
    assert cut == ["cut"]


async def test_abort_lets_go_of_a_server_that_cannot_cut():
    """Without a way to cut the connection, nothing of the server's is held or used any more."""
    transport, server = transport_of(**{RAW_SEND: "the server's"})
    reading = asyncio.get_running_loop().create_future()
    waiting = AsgiTransport(dict(SCOPE), lambda: reading, server.send)
    receiving = asyncio.create_task(waiting.receive())
    await asyncio.sleep(0)

    assert not transport.abort()
    assert not waiting.abort()

    with pytest.raises(ConnectionAbortedError):
        await transport.send_text("too late")
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert server.sent == []
    assert reading.cancelled()


async def test_close_ends_a_read_that_would_hold_it_up():
    """The close frame leaves although a receive is pending, also where a server does one thing at a time."""
    server = Server()
    reading = asyncio.get_running_loop().create_future()
    transport = AsgiTransport(dict(SCOPE), lambda: reading, server.send)
    receiving = asyncio.create_task(transport.receive())
    await asyncio.sleep(0)

    await transport.close(1001, "bye")

    assert server.sent == [{"type": "websocket.close", "code": 1001, "reason": "bye"}]
    with pytest.raises(asyncio.CancelledError):
        await receiving
