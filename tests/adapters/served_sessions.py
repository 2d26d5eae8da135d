"""A Cortado application that the server tests serve in a process of its own."""

import asyncio

from cortado import Cortado
from cortado.container import rest_controller
from cortado.web import request_mapping
from cortado.websocket import WebSocketSession, websocket_mapping


@rest_controller
@request_mapping("/ws")
class Sessions:
    @websocket_mapping("/idle")
    async def idle(self, session: WebSocketSession) -> None:
        await session.accept()
        print("idle", flush=True)
        async for _ in session:
            pass

    @websocket_mapping("/mute")
    async def mute(self, session: WebSocketSession) -> None:
        await session.accept()
        print("mute", flush=True)
        while True:
            await session.send_bytes(bytes(1024 * 1024))

    async def on_disconnect(self, session: WebSocketSession) -> None:
        await asyncio.sleep(0.2)
        print(f"hook of {session.path} done", flush=True)


app = Cortado(
    Sessions,
    settings={"drain_jitter": 0, "websocket": {"close_timeout": 0.5, "max_message_size": 1000}},
)
