"""A session on a memory transport, run by the real lifecycle."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from cortado.problems import INTERNAL_ERROR, HTTPError
from cortado.settings import WebSocketSettings
from cortado.testing import MemoryTransport
from cortado.websocket import SessionRegistry, WebSocketSession
from cortado.websocket.events import SessionListeners
from cortado.websocket.lifecycle import Handler, run_session
from cortado.websocket.session import Refusal

Handle = Callable[[WebSocketSession], Awaitable[None]]


class Wire:
    """One connection under test: its transport, its session, its endpoint, and what happened in which order."""

    def __init__(self, handle: Handle, registry: SessionRegistry, settings: dict[str, Any]) -> None:
        self.handle, self.registry = handle, registry
        self.transport = MemoryTransport()
        self.settings = WebSocketSettings(**settings)
        self.session = WebSocketSession(self.transport, self.settings, hard_disconnect_message="bye all")
        self.events: list[str] = []
        self.reported: list[BaseException] = []
        self.debug = False
        self.listeners: SessionListeners | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self) -> "Wire":
        # Past the task factory: the test must hold the wire before anything runs.
        self.task = asyncio.Task(self.serve(), loop=asyncio.get_running_loop())
        return self

    async def serve(self) -> None:
        await run_session(self.session, self, self.registry, debug=self.debug, listeners=self.listeners)

    async def ended(self) -> None:
        """Wait for the server's task, at most five seconds."""
        assert self.task is not None
        done, _ = await asyncio.wait([self.task], timeout=5)
        assert done, "the session did not end"
        assert not self.transport.violations, self.transport.violations
        await self.task

    async def open(self, session: WebSocketSession) -> Handler:
        return Handler(lambda: self.handle(session), self.on_disconnect, self.on_hard_close)

    async def on_disconnect(self, session: WebSocketSession) -> None:
        self.events.append("on_disconnect")
        await asyncio.sleep(0)
        self.events.append("on_disconnect done")

    async def on_hard_close(self, session: WebSocketSession) -> None:
        self.events.append("on_hard_close")

    async def explain(self, session: WebSocketSession, error: Exception) -> Refusal:
        if isinstance(error, HTTPError):
            return Refusal.of(error.problem())
        self.reported.append(error)
        return Refusal.of(INTERNAL_ERROR)

    def report(self, error: BaseException) -> None:
        self.reported.append(error)


async def echo(session: WebSocketSession) -> None:
    await session.accept()
    while True:
        message = await session.receive()
        await (session.send_text(message) if isinstance(message, str) else session.send_bytes(message))


FACTORIES = {"plain": None}
if sys.version_info >= (3, 12):
    FACTORIES["eager"] = asyncio.eager_task_factory


@pytest.fixture(params=FACTORIES)
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Wire]]:
    """Start connections; at the end of the test each of them must have ended, with nothing left over.

    Where the interpreter has eager tasks, every test runs with them, too.
    """
    asyncio.get_running_loop().set_task_factory(FACTORIES[request.param])
    before = asyncio.all_tasks()
    registry, wires = SessionRegistry(), []

    def start(handle: Handle = echo, **settings: Any) -> Wire:
        wires.append(Wire(handle, registry, settings))
        return wires[-1].start()

    yield start
    for wire in wires:
        if not wire.transport.closed and not wire.transport.denied:
            wire.transport.vanish()
        assert wire.task is not None
        await asyncio.wait([wire.task], timeout=5)
    assert not len(registry)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=2)
    assert not left, left
