"""Says back what it hears."""

from cortado import Cortado
from cortado.container import rest_controller
from cortado.web import request_mapping
from cortado.websocket import WebSocketSession, websocket_mapping


@rest_controller
@request_mapping("/ws")
class EchoController:
    """The endpoint at /ws/echo."""

    @websocket_mapping("/echo")
    async def echo(self, session: WebSocketSession) -> None:
        """Answer each text, until the client leaves."""
        await session.accept()
        while True:
            message = await session.receive_text()
            await session.send_text(f"echo: {message}")


app = Cortado(EchoController)
