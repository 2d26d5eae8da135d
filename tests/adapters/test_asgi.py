"""The transport on ASGI: what servers do differently is levelled."""

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
    assert not transport.abort()
    server.transport = Cut()
    assert transport.abort()

    async def wrapped(event): ...

    behind = AsgiTransport({**SCOPE, RAW_SEND: server.send}, server.receive, wrapped)
    assert behind.abort()
    assert server.transport.aborted == 2
