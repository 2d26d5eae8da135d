"""Every example of the WebSocket guide, on a real uvicorn, with the `websockets` client."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cortado.websocket import WebSocketHandler

pytestmark = pytest.mark.server


async def closed_with(client):
    """Return code and reason of the server's close frame."""
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.recv(), 10)
    return client.close_code, client.close_reason


async def test_quick_example(server):
    """The echo controller of the quick example echoes at /ws/echo."""
    async with connect(server.url("/ws/echo")) as client:
        for text in ("hello", "", "ü" * 1000):
            await client.send(text)
            assert await client.recv() == f"echo: {text}"


async def test_connection_metadata(server):
    """Path variables, query and headers are readable from the session."""
    async with connect(server.url("/meta/rooms/7?since=9"), additional_headers={"X-Token": "t"}) as client:
        assert json.loads(await client.recv()) == {"room": "7", "since": "9", "token": "t"}
        assert await closed_with(client) == (1000, "")


async def test_lifecycle_and_messaging(server):
    """The feed receives JSON, sends JSON and closes with 1000."""
    async with connect(server.url("/meta/feed")) as client:
        await client.send('{"a": [1, null, "é"]}')
        assert json.loads(await client.recv()) == {"received": {"a": [1, None, "é"]}}
        assert await closed_with(client) == (1000, "")


async def test_bytes_subprotocol_and_close_code(server):
    """Bytes go both ways, a subprotocol is accepted, and close() carries code and reason."""
    async with connect(server.url("/meta/bytes"), subprotocols=["text", "binary"]) as client:
        assert client.subprotocol == "binary"
        await client.send(b"\x00\x01\x02")
        assert await client.recv() == b"\x02\x01\x00"
        await client.send(b'{"k": 1}')
        assert json.loads(await client.recv()) == {"k": 1}
        assert await closed_with(client) == (4002, "done")


async def test_handler_protocol_called_by_hand(server, event_log):
    """on_connect and on_message run when the mapped method calls them; on_disconnect runs by itself, once."""
    async with connect(server.url("/explicit")) as client:
        await client.send("shout")
        assert await client.recv() == "SHOUT"
    event_log.wait_for_name("on_disconnect")

    assert event_log.names() == ["on_connect", "on_message", "on_disconnect"]


async def test_only_on_disconnect_is_automatic(server, event_log):
    """For a plain mapped method neither on_connect nor on_message is called."""
    async with connect(server.url("/implicit")) as client:
        await client.send("x")
        assert await client.recv() == "x"
    event_log.wait_for_name("on_disconnect")

    assert event_log.names() == ["on_disconnect"]


def test_handler_protocol_is_checkable_at_run_time():
    """A class with the three hooks is a WebSocketHandler, one without isn't."""

    class Complete:
        async def on_connect(self, session): ...
        async def on_message(self, session, data): ...
        async def on_disconnect(self, session): ...

    assert isinstance(Complete(), WebSocketHandler)
    assert not isinstance(object(), WebSocketHandler)


async def test_lifecycle_hook(server, event_log):
    """The controller is built at the first connection, once; its sync hook runs for each, though it raises."""
    assert event_log.names() == []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server.url("/hooks/chat"))) for _ in range(3)]
        for client in clients:
            await client.send("ping")
            assert await client.recv() == "ping"
    left = event_log.wait_for_name("left", 3)

    assert event_log.names().count("HookController built") == 1
    assert [event.facts["remaining"] for event in left] == [2, 1, 0]
    assert [event.facts["close_event"]["code"] for event in left] == [1000] * 3


async def test_complete_example(server, event_log):
    """The broadcast chat delivers to everyone, and nobody is left in it."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server.url("/complete/chat"))) for _ in range(3)]
        for client in clients:  # a client is in the set once its own message came back
            await client.send("joined")
            while await client.recv() != "joined":
                pass
        await clients[0].send("to all")
        for client in clients:
            message = await client.recv()
            while message == "joined":
                message = await client.recv()
            assert message == "to all"
    left = event_log.wait_for_name("chat left", 3)

    assert left[-1].facts["remaining"] == 0


async def test_unknown_path_is_denied_with_404(server):
    """A path that nothing maps is refused with 404 and a problem, not with a bare 403."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(server.url("/ws/nothing")):
            pass

    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["title"] == "Not Found"
