"""An application whose beans write down when they are created and when they end."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from cortado import Cortado
from cortado.container import bean, configuration, controller, pre_destroy, service, session_scope
from cortado.websocket import WebSocketSession, websocket_mapping
from tests.endings.app import Counts
from tests.support.events import record


@service
class Members:
    """Keeps nothing; the last to end."""

    @pre_destroy
    async def gone(self) -> None:
        record("members ended")


class Database:
    """Slow to open: not before the test says so."""


class Line:
    """A resource of one connection."""


@configuration
class Resources:
    def __init__(self, members: Members) -> None: ...

    @bean
    async def database(self) -> AsyncIterator[Database]:
        record("database begun")
        gate = Path(os.environ["CORTADO_TEST_GATE"])
        while not gate.exists():
            await asyncio.sleep(0.01)
        record("database created")
        yield Database()
        await asyncio.sleep(0.05)
        record("database ended")

    @bean(scope="session")
    async def line(self, session: WebSocketSession, database: Database) -> AsyncIterator[Line]:
        await asyncio.sleep(0.01)
        record("line created", session)
        yield Line()
        await asyncio.sleep(0.05)
        record("line ended", session)


@session_scope
@service
class Visitor:
    def __init__(self, session: WebSocketSession, line: Line) -> None:
        self.session, self.line = session, line
        record("visitor created", session)

    @pre_destroy
    async def end(self) -> None:
        await asyncio.sleep(0.01)
        record("visitor ended", self.session)


@controller
class Room:
    def __init__(self, database: Database) -> None:
        record("controller created")

    @websocket_mapping("/ws/room")
    async def room(self, session: WebSocketSession) -> None:
        visitor = await session.aget(Visitor)
        assert visitor is await session.aget(Visitor)
        assert visitor.session is session
        await session.accept()
        record("accepted", session)
        async for message in session:
            await session.send_text(str(message))

    async def on_disconnect(self, session: WebSocketSession) -> None:
        assert (await session.aget(Visitor)).session is session
        record("on_disconnect", session)

    @pre_destroy
    async def end(self) -> None:
        record("controller ended")


app = Cortado(
    Members,
    Resources,
    Visitor,
    Room,
    Counts,
    settings={"drain_jitter": 0, "websocket": {"accept_timeout": 30}},
)
