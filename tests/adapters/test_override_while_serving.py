"""Overrides while a real server serves: what is in force when a request comes in is what it gets."""

import asyncio
import socket
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from websockets.asyncio.client import connect

from cortado import Cortado
from cortado.container import Container, rest_controller, service
from cortado.web import get_mapping
from cortado.websocket import WebSocketSession, websocket_mapping


@service
class Clock:
    def now(self) -> str:
        return "now"


@service
class Almanac:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


@rest_controller
class Times:
    def __init__(self, almanac: Almanac) -> None:
        self.almanac = almanac

    @get_mapping("/time")
    async def time(self) -> str:
        return self.almanac.clock.now()

    @websocket_mapping("/time")
    async def tell(self, session: WebSocketSession) -> None:
        await session.accept()
        async for _ in session:
            await session.send_text(self.almanac.clock.now())


class Stopped(Clock):
    def now(self) -> str:
        return "then"


async def stopped() -> Clock:
    await asyncio.sleep(0)
    return Stopped()


@asynccontextmanager
async def serving(app):
    """Serve an application with uvicorn on a free port of the loopback, in this process; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    server.install_signal_handlers = lambda: None
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(10):
            while not server.started:
                assert not serving.done()
                await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, 20)
        listener.close()


@pytest.mark.parametrize("replacement", [Stopped(), Stopped, stopped])
async def test_overrides_act_while_the_server_runs(replacement):
    """The holders of a bean are built anew for the next request; a connection that is open keeps what it has."""
    container = Container(Clock, Almanac, Times)
    async with serving(Cortado(container)) as port, httpx2.AsyncClient() as client:

        async def asked() -> str:
            return (await client.get(f"http://127.0.0.1:{port}/time")).text

        async def told(connection) -> str:
            await connection.send("?")
            return await asyncio.wait_for(connection.recv(), 10)

        assert await asked() == "now"
        async with connect(f"ws://127.0.0.1:{port}/time") as before:
            assert await told(before) == "now"
            with container.override(Clock, replacement):
                assert await asked() == "then"
                async with connect(f"ws://127.0.0.1:{port}/time") as during:
                    assert await told(during) == "then"
                    assert await told(before) == "now"
            assert await asked() == "now"
