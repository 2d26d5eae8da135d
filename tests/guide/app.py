"""The examples of the WebSocket guide, as they stand there."""

from cortado import Cortado
from cortado.container import rest_controller
from cortado.web import request_mapping
from cortado.websocket import WebSocketHandler, WebSocketSession, websocket_mapping
from tests.support.events import record


@rest_controller
@request_mapping("/ws")
class EchoController:
    @websocket_mapping("/echo")
    async def echo(self, session: WebSocketSession) -> None:
        await session.accept()
        while True:
            msg = await session.receive_text()
            await session.send_text(f"echo: {msg}")


@rest_controller
@request_mapping("/meta")
class MetadataController:
    @websocket_mapping("/rooms/{room_id}")
    async def join(self, session: WebSocketSession) -> None:
        room_id = session.path_params["room_id"]
        await session.accept()
        await session.send_json(
            {
                "room": room_id,
                "since": session.query_params["since"],
                "token": session.headers["x-token"],
            }
        )

    @websocket_mapping("/feed")
    async def feed(self, session: WebSocketSession) -> None:
        await session.accept()
        msg = await session.receive_json()
        await session.send_json({"received": msg})
        await session.close()

    @websocket_mapping("/bytes")
    async def data(self, session: WebSocketSession) -> None:
        await session.accept("binary")
        await session.send_bytes((await session.receive_bytes())[::-1])
        await session.send_json(await session.receive_json("binary"), mode="binary")
        await session.close(4002, "done")


@rest_controller
class HandlerController(WebSocketHandler):
    """Every hook of the protocol; only the last is called by the framework."""

    async def on_connect(self, session: WebSocketSession) -> None:
        record("on_connect", session)
        await session.accept()

    async def on_message(self, session: WebSocketSession, data: str) -> None:
        record("on_message", session, data=data)
        await session.send_text(data.upper())

    async def on_disconnect(self, session: WebSocketSession) -> None:
        record("on_disconnect", session)

    @websocket_mapping("/explicit")
    async def explicit(self, session: WebSocketSession) -> None:
        await self.on_connect(session)
        async for data in session.iter_text():
            await self.on_message(session, data)

    @websocket_mapping("/implicit")
    async def implicit(self, session: WebSocketSession) -> None:
        await session.accept()
        await session.send_text(await session.receive_text())


@rest_controller
@request_mapping("/hooks")
class HookController:
    def __init__(self) -> None:
        record("HookController built")
        self._sessions: set[WebSocketSession] = set()

    @websocket_mapping("/chat")
    async def chat(self, session: WebSocketSession) -> None:
        await session.accept()
        self._sessions.add(session)
        while True:
            msg = await session.receive_text()
            await session.send_text(msg)

    def on_disconnect(self, session: WebSocketSession) -> None:
        self._sessions.discard(session)
        record("left", session, remaining=len(self._sessions))
        raise RuntimeError("a hook's failure never masks the outcome")


@rest_controller
@request_mapping("/complete")
class ChatController:
    """Broadcasts each received message to every connected client."""

    def __init__(self) -> None:
        self._clients: set[WebSocketSession] = set()

    @websocket_mapping("/chat")
    async def chat(self, session: WebSocketSession) -> None:
        await session.accept()
        self._clients.add(session)
        try:
            while True:
                msg = await session.receive_text()
                for client in list(self._clients):
                    await client.send_text(msg)
        finally:
            self._clients.discard(session)

    async def on_disconnect(self, session: WebSocketSession) -> None:
        self._clients.discard(session)
        record("chat left", session, remaining=len(self._clients))


app = Cortado(EchoController, MetadataController, HandlerController, HookController, ChatController)
