"""An application whose sessions have scopes with callbacks, tasks and beans; it records how all of that ends."""

import asyncio

from cortado import Cortado
from cortado.container import component, pre_destroy, rest_controller, scope
from cortado.web import get_mapping
from cortado.websocket import SessionRegistry, WebSocketSession, websocket_mapping
from tests.support.events import record

WAYS = ("panel", "panel-chart", "panel-chart-legend", "panel_extra")


@scope("child")
@component
class Part:
    """A bean of each scope."""

    def __init__(self, session: WebSocketSession) -> None:
        self.name = session.ns("bean")

    @pre_destroy
    async def end(self) -> None:
        await asyncio.sleep(0.01)
        record(self.name)


@rest_controller
class Panels:
    """Opens the scopes, and destroys one if it is told to."""

    def __init__(self, sessions: SessionRegistry) -> None:
        self._sessions = sessions

    @websocket_mapping("/ws/panels")
    async def panels(self, session: WebSocketSession) -> None:
        await session.accept()
        for way in WAYS:
            await self.open(session, way)
        session.on_destroy(lambda: record("root"))
        record("opened")
        async for way in session.iter_text():
            await session.destroy(way)
            record("destroyed")

    async def open(self, session: WebSocketSession, way: str) -> None:
        part = session
        for one in way.split("-"):
            part = part.make_scope(one)
        await part.aget(Part)
        part.create_task(self.work(part))
        part.on_destroy(lambda: record(part.ns("callback")))

    async def work(self, part: WebSocketSession) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            record(part.ns("task"))

    @get_mapping("/counts")
    async def counts(self) -> dict[str, int]:
        return {"sessions": len(self._sessions), "tasks": len(asyncio.all_tasks())}


app = Cortado(Panels, Part)
