"""The test client's own promises: start, stop, and doing without httpx2."""

import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cortado.testing import TestClient, TestWebSocket


async def test_the_application_runs_inside_the_context():
    """The lifespan starts before the body and stops after it; its state reaches the connections."""
    events = []

    @asynccontextmanager
    async def lifespan(app):
        events.append("start")
        yield {"answer": 42}
        events.append("stop")

    async def show(request):
        return PlainTextResponse(str(request.state.answer))

    async with TestClient(Starlette(routes=[Route("/", show)], lifespan=lifespan)) as client:
        assert events == ["start"]
        assert (await client.get("/")).text == "42"

    assert events == ["start", "stop"]


@pytest.mark.parametrize("kind", [TestClient, TestWebSocket])
def test_it_is_no_test_case(kind):
    """pytest doesn't collect the kit's classes."""
    assert kind.__test__ is False


PROGRAM = """
import asyncio, sys
sys.modules["httpx2"] = None
from cortado.testing import TestClient

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "works"})

async def main():
    async with TestClient(app) as client:
        async with client.websocket("/") as ws:
            print(await ws.receive())
        try:
            await client.get("/")
        except Exception as error:
            print(type(error).__name__, error)

asyncio.run(main())
"""


def test_websockets_need_no_httpx2():
    """Without httpx2 WebSockets work, and a request says what to install."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True
    )

    first, second = ran.stdout.splitlines()
    assert first == "works"
    assert second.startswith("ConfigurationError")
    assert "pip install cortado[testing]" in second
