"""What the test kit promises for Cortado applications in particular."""

import asyncio

import pytest
from pydantic import BaseModel

from cortado import Cortado, StartupError
from cortado.container import rest_controller
from cortado.testing import CloseFrame, ConnectionClosed, HandshakeDenied, TestClient
from cortado.web import get_mapping, request_mapping
from cortado.websocket import WebSocketSession, websocket_mapping

QUICK = {"websocket": {"disconnect_grace_period": 0.05, "send_timeout": 0.1, "close_timeout": 0.1}}


class Coffee(BaseModel):
    name: str


@rest_controller
@request_mapping("/cafe")
class Cafe:
    """Endpoints that go wrong in all the ways that a test wants to see."""

    @get_mapping("/broken")
    async def broken(self) -> Coffee:
        raise LookupError("in the request")

    @websocket_mapping("/early")
    async def early(self, session: WebSocketSession) -> None:
        raise LookupError("before accept")

    @websocket_mapping("/late")
    async def late(self, session: WebSocketSession) -> None:
        await session.accept()
        raise LookupError("after accept")

    @websocket_mapping("/hook")
    async def hook(self, session: WebSocketSession) -> None:
        session.on_ended(self.fail)
        await session.accept()
        await session.receive()

    @websocket_mapping("/hard")
    async def hard(self, session: WebSocketSession) -> None:
        await session.accept()
        await session.close(hard=True, message="out")

    @websocket_mapping("/push")
    async def push(self, session: WebSocketSession) -> None:
        await session.accept()
        while True:
            await session.send_text("tick")
            await asyncio.sleep(0)

    @websocket_mapping("/sleep")
    async def sleep(self, session: WebSocketSession) -> None:
        await session.accept()
        await asyncio.sleep(30)

    async def fail(self) -> None:
        raise LookupError("in the hook")


@pytest.fixture
async def client():
    async with TestClient(Cortado(Cafe, settings=QUICK)) as client:
        yield client


async def test_a_failing_request_raises_its_exception(client):
    """The exception behind a 500 reaches the test; on demand the 500 does."""
    with pytest.raises(LookupError, match="in the request"):
        await client.get("/cafe/broken")

    answer = await client.get("/cafe/broken", raise_server_exceptions=False)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "in the request" not in answer.text


@pytest.mark.parametrize(
    ("path", "match"), [("early", "before accept"), ("late", "after accept"), ("hook", "in the hook")]
)
async def test_a_failing_session_raises_its_exception(client, path, match):
    """An exception of a handler or a hook, which the framework logs and survives, reaches the test."""
    with pytest.raises(LookupError, match=match):
        async with client.websocket(f"/cafe/{path}") as ws:
            await ws.close()


async def test_what_a_client_sees_of_a_failing_session(client):
    """Without raise_server_exceptions there is a denial before, and a close frame after the handshake."""
    with pytest.raises(HandshakeDenied, match="500"):
        async with client.websocket("/cafe/early", raise_server_exceptions=False):
            pytest.fail("the handshake was accepted")

    async with client.websocket("/cafe/late", raise_server_exceptions=False) as ws:
        assert (await ws.wait_closed()).code == 1011


async def test_a_hard_close_shows_its_notice(client):
    """Notice and close frame arrive in order."""
    async with client.websocket("/cafe/hard") as ws:
        assert (await ws.receive_json())["data"] == {"message": "out"}
        with pytest.raises(ConnectionClosed):
            await ws.receive()
        assert ws.closed == CloseFrame(4001, "cortado-hard-disconnect")


async def test_a_client_that_does_not_read_is_evicted(client):
    """A stalled client is cut after `send_timeout`, as on a real server."""
    async with client.websocket("/cafe/push") as ws:
        await ws.receive()
        ws.stall()
        with pytest.raises(ConnectionClosed, match="1006"):
            while True:
                await ws.receive()


async def test_the_end_of_a_session_is_the_end_of_its_context(client):
    """A session is registered inside the context, and gone after it, although its handler sleeps."""
    async with client.websocket("/cafe/sleep") as ws:
        assert len(client.app.sessions) == 1
        ws.drop()

    assert len(client.app.sessions) == 0


async def test_foreign_origins_are_denied(client):
    """The default Origin is the application's own; another one shows the check at work."""
    with pytest.raises(HandshakeDenied, match="403"):
        async with client.websocket("/cafe/sleep", headers={"origin": "http://elsewhere"}):
            pytest.fail("the handshake was accepted")


async def test_a_wrong_wiring_stops_the_test():
    """A start-up error is raised as it is, with all its problems."""

    @rest_controller
    class Wrong:
        def __init__(self, coffee: Coffee) -> None:
            self.coffee = coffee

    with pytest.raises(StartupError, match="Coffee"):
        async with TestClient(Cortado(Wrong)):
            pytest.fail("the application was started")
