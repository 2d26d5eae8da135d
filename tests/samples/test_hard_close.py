"""The sample of a hard close."""

from uuid import uuid4

import pytest

from cortado.testing import CloseFrame, HandshakeDenied, TestClient, TestWebSocket
from samples.hard_close.app import FAREWELL, app


@pytest.fixture
async def client():
    async with TestClient(app) as client:
        yield client


@pytest.fixture
def path():
    """The endpoint of a visitor that was never here."""
    return f"/ws/notes/{uuid4()}"


async def write(ws: TestWebSocket, note: str) -> None:
    await ws.send_json({"type": "write", "data": note})


async def note_at(client: TestClient, path: str) -> str:
    """Return the note that a visitor finds."""
    async with client.websocket(path) as ws:
        event = await ws.receive_json()
    assert event["type"] == "note"
    return event["data"]


async def test_page(client):
    """The page is HTML, and needs nothing from elsewhere."""
    page = await client.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_first_visit(client, path):
    """The note is empty at first."""
    assert await note_at(client, path) == ""


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_note_outlives_connection(client, path, leave):
    """A visitor whose connection ended softly finds the last thing that it has written."""
    async with client.websocket(path) as ws:
        await ws.receive_json()
        await write(ws, "milk")
        await write(ws, "milk, beans")
        if leave == "drop":
            ws.drop()

    assert await note_at(client, path) == "milk, beans"


async def test_notes_are_separate(client, path):
    """A visitor doesn't see the note of another."""
    async with client.websocket(path) as ws:
        await write(ws, "mine")

    assert await note_at(client, f"/ws/notes/{uuid4()}") == ""


async def test_log_out(client, path):
    """Logging out shows a notice, then closes with 4001, and the note is forgotten."""
    async with client.websocket(path) as ws:
        await ws.receive_json()
        await write(ws, "secret")
        await ws.send_json({"type": "logOut"})

        assert await ws.receive_json() == {"type": "hardDisconnectConfig", "data": {"message": FAREWELL}}
        assert await ws.wait_closed() == CloseFrame(4001, "cortado-hard-disconnect")

    assert await note_at(client, path) == ""


async def test_unknown_visitor(client):
    """A visitor's name that is none is refused at the door."""
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket("/ws/notes/me"):
            pass

    assert denied.value.status == 422


@pytest.mark.parametrize(
    "message", [{"type": "shout"}, {"type": "write", "data": 1}, {"type": "write"}, [], "logOut", None]
)
async def test_unknown_message(client, path, message):
    """A message that the endpoint doesn't know ends the connection with 1008, and the note stays."""
    async with client.websocket(path) as ws:
        await ws.receive_json()
        await write(ws, "milk")
        await ws.send_json(message)

        assert (await ws.wait_closed()).code == 1008

    assert await note_at(client, path) == "milk"


async def test_malformed_message(client, path):
    """A message that is no JSON ends the connection with 1007."""
    async with client.websocket(path) as ws:
        await ws.receive_json()
        await ws.send_text("{")

        assert (await ws.wait_closed()).code == 1007
