"""An application with an endpoint for each way a session may end; it records what its hooks see."""

import asyncio
import os

from cortado import Cortado
from cortado.container import event_listener, pre_destroy, rest_controller, service
from cortado.problems import NotFound
from cortado.web import get_mapping, request_mapping
from cortado.websocket import (
    SessionClosed,
    SessionOpened,
    SessionRegistry,
    WebSocketSession,
    websocket_mapping,
)
from tests.support.events import record

latecomer = asyncio.Event()
PAUSE = float(
    os.environ.get("CORTADO_TEST_PAUSE", "0.05")
)  # what each hook awaits, so that one cut short shows


@service
class Members:
    """Who is in the chat; destroyed last."""

    def __init__(self) -> None:
        self.present: dict[str, WebSocketSession] = {}

    @pre_destroy
    async def gone(self) -> None:
        record("bean destroyed", present=len(self.present))


@service
class Follower:
    """Hears of every session."""

    @event_listener
    def opened(self, event: SessionOpened) -> None:
        record("SessionOpened", event.session)

    @event_listener
    async def closed(self, event: SessionClosed) -> None:
        await hook("SessionClosed", event.session)()


def hook(name: str, session: WebSocketSession):
    async def run() -> None:
        record(name, session)
        await asyncio.sleep(PAUSE)
        record(f"{name} done", session)

    return run


@rest_controller
@request_mapping("/ws")
class Endings:
    def __init__(self, members: Members) -> None:
        self._members = members

    def watch(self, session: WebSocketSession) -> None:
        """Register one hook of each kind, the last first."""
        session.on_destroy(hook("on_destroy", session))
        session.on_hard_close(hook("registered on_hard_close", session))
        session.on_ended(hook("on_ended 1", session))
        session.on_ended(hook("on_ended 2", session))

    async def accept(self, session: WebSocketSession) -> None:
        self.watch(session)
        await session.accept()
        record("accepted", session)

    async def on_disconnect(self, session: WebSocketSession) -> None:
        await hook("on_disconnect", session)()

    async def on_hard_close(self, session: WebSocketSession) -> None:
        await hook("on_hard_close", session)()

    @websocket_mapping("/echo")
    async def echo(self, session: WebSocketSession) -> None:
        await self.accept(session)
        while True:
            await session.send_text(await session.receive_text())

    @websocket_mapping("/return")
    async def returns(self, session: WebSocketSession) -> None:
        await self.accept(session)
        await session.send_text("hello")

    @websocket_mapping("/raise")
    async def raises(self, session: WebSocketSession) -> None:
        await self.accept(session)
        raise KeyError("secret")

    @websocket_mapping("/mapped")
    async def mapped(self, session: WebSocketSession) -> None:
        await self.accept(session)
        raise NotFound("no such room")

    @websocket_mapping("/return-early")
    async def returns_early(self, session: WebSocketSession) -> None:
        self.watch(session)

    @websocket_mapping("/raise-early")
    async def raises_early(self, session: WebSocketSession) -> None:
        self.watch(session)
        raise KeyError("secret")

    @websocket_mapping("/mapped-early")
    async def mapped_early(self, session: WebSocketSession) -> None:
        self.watch(session)
        raise NotFound("no such room")

    @websocket_mapping("/deny")
    async def denies(self, session: WebSocketSession) -> None:
        self.watch(session)
        await session.deny(429, "slow down", {"retry-after": "3"})

    @websocket_mapping("/sleep")
    async def sleeps(self, session: WebSocketSession) -> None:
        await self.accept(session)
        try:
            await asyncio.sleep(30)
        finally:
            record("handler cleaned up", session)

    @websocket_mapping("/linger")
    async def lingers(self, session: WebSocketSession) -> None:
        """Hold the drain up until somebody has come too late."""
        await self.accept(session)
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.wait_for(latecomer.wait(), 5)

    @websocket_mapping("/push")
    async def pushes(self, session: WebSocketSession) -> None:
        await self.accept(session)
        while True:
            await session.send_text("tick")
            await asyncio.sleep(0.01)

    @websocket_mapping("/flood")
    async def floods(self, session: WebSocketSession) -> None:
        await self.accept(session)
        while True:
            await session.send_bytes(bytes(65536))

    @websocket_mapping("/close")
    async def closes(self, session: WebSocketSession) -> None:
        await self.accept(session)
        await session.close(3001, "enough")

    @websocket_mapping("/hard")
    async def closes_hard(self, session: WebSocketSession) -> None:
        await self.accept(session)
        await session.close(hard=True, message="that was it")

    @websocket_mapping("/hook-raises")
    async def hook_raises(self, session: WebSocketSession) -> None:
        session.on_ended(lambda: 1 // 0)
        await self.accept(session)

    @websocket_mapping("/hook-hangs")
    async def hook_hangs(self, session: WebSocketSession) -> None:
        session.on_ended(lambda: asyncio.sleep(30))
        await self.accept(session)

    @websocket_mapping("/chat")
    async def chat(self, session: WebSocketSession) -> None:
        await self.accept(session)
        self._members.present[session.id] = session
        try:
            while True:
                message = await session.receive_text()
                for member in list(self._members.present.values()):
                    await member.send_text(message)
        finally:
            del self._members.present[session.id]


@rest_controller
class Counts:
    """What is there now; a test compares it with what was there at first."""

    def __init__(self, sessions: SessionRegistry) -> None:
        self._sessions = sessions

    @get_mapping("/counts")
    async def counts(self) -> dict[str, int]:
        return {"sessions": len(self._sessions), "tasks": len(asyncio.all_tasks())}


cortado = Cortado(
    Members,
    Follower,
    Endings,
    Counts,
    settings={
        "websocket": {
            "disconnect_grace_period": 0.5,
            "close_timeout": 0.5,
            "send_timeout": 1.0,
            "hook_timeout": 1.0,
            "outbox_bytes": 256 * 1024,
        }
    },
)


class Cancelling:
    """What a server does that loses patience: cancels the task of a connection, several times.

    `?cancel=3` cancels three times, each time in a later turn of the loop, as soon as the handshake is accepted.
    Whoever asks for `/late` comes too late for what waits for them.
    """

    def __init__(self, app: Cortado) -> None:
        self.app, self.settings, self.drain = app, app.settings, app.drain

    async def __call__(self, scope, receive, send) -> None:
        query = scope.get("query_string", b"")
        if scope.get("path") == "/late":
            asyncio.get_running_loop().call_later(PAUSE, latecomer.set)
        if not query.startswith(b"cancel="):
            await self.app(scope, receive, send)
            return
        task, loop = asyncio.current_task(), asyncio.get_running_loop()

        def cancel(times: int) -> None:
            if times:
                task.cancel()
                loop.call_later(0.01, cancel, times - 1)

        async def watched(event) -> None:
            await send(event)
            if event["type"] == "websocket.accept":
                loop.call_soon(cancel, int(query[7:]))

        await self.app(scope, receive, watched)


app = Cancelling(cortado)
