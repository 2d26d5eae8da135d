"""The shape of a controller with WebSocket hooks."""

from typing import Protocol, runtime_checkable

from cortado.websocket.session import WebSocketSession

__all__ = ["WebSocketHandler"]


@runtime_checkable
class WebSocketHandler(Protocol):
    """The hooks that a controller may have; for type checkers and `isinstance`.

    Of the three only `on_disconnect` is called by the framework. A mapped method that wants the other two calls them
    itself.
    """

    async def on_connect(self, session: WebSocketSession) -> None:
        """A client asks for a connection; the handshake is not accepted yet."""
        ...

    async def on_message(self, session: WebSocketSession, data: str) -> None:
        """A text message has arrived."""
        ...

    async def on_disconnect(self, session: WebSocketSession) -> None:
        """The connection has ended; runs exactly once, after the handler, if the handshake was accepted."""
        ...
