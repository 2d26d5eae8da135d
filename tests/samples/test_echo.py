"""The echo sample."""

import pytest

from cortado.testing import ConnectionClosed, TestClient
from samples.echo.app import app


async def test_echo():
    """Each text comes back, in order."""
    async with TestClient(app) as client, client.websocket("/ws/echo") as ws:
        for text in ("hello", "", "grüße ☕"):
            await ws.send_text(text)
            assert await ws.receive_text() == f"echo: {text}"


async def test_each_client_hears_itself():
    """Clients don't hear each other."""
    async with (
        TestClient(app) as client,
        client.websocket("/ws/echo") as ada,
        client.websocket("/ws/echo") as bob,
    ):
        await ada.send_text("I am Ada")
        await bob.send_text("I am Bob")

        assert await bob.receive_text() == "echo: I am Bob"
        assert await ada.receive_text() == "echo: I am Ada"


async def test_binary_message():
    """A binary message is refused with 1003."""
    async with TestClient(app) as client, client.websocket("/ws/echo") as ws:
        await ws.send_bytes(b"\x00")

        with pytest.raises(ConnectionClosed) as closed:
            await ws.receive()

    assert closed.value.code == 1003


@pytest.mark.parametrize("leave", [lambda ws: ws.close(), lambda ws: ws.drop()], ids=["close", "drop"])
async def test_client_leaves(leave):
    """No session is left when the client has gone, whichever way."""
    async with TestClient(app) as client:
        async with client.websocket("/ws/echo") as ws:
            assert len(app.sessions) == 1
            if (leaving := leave(ws)) is not None:
                await leaving

        assert len(app.sessions) == 0
