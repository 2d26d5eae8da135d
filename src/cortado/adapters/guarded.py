"""Answers for applications that don't answer for their own exceptions, such as Starlette's parts and middleware."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request

from cortado.adapters.asgi import AsgiTransport
from cortado.adapters.errors import ErrorResponder
from cortado.adapters.http import send_rendered
from cortado.binding.call import Call
from cortado.head import Head

__all__ = ["Guarded", "call_of", "doing"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class Guarded:
    """An ASGI application whose exceptions become problem documents, or denials.

    What is raised after the answer has begun is logged, and the answer stays unfinished.
    """

    __slots__ = ("_app", "_errors")

    def __init__(
        self, app: Callable[[Scope, Receive, Send], Awaitable[None]], errors: ErrorResponder
    ) -> None:
        self._app, self._errors = app, errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or handshake."""
        started = False

        async def watched(event: Event) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            await self._app(scope, receive, watched)
        except Exception as exc:  # noqa: BLE001 - the outermost place of a foreign application
            if started:
                self._errors.report(exc, scope=scope, doing=doing(scope))
                return
            told = await self._errors.respond(exc, call_of(scope, receive), scope=scope, doing=doing(scope))
            if scope["type"] == "http":
                await send_rendered(told, scope, send)
            else:
                await AsgiTransport(scope, receive, send).deny(told.status, told.headers, told.body)


def call_of(scope: Scope, receive: Receive) -> Call:
    """Return what exception handlers may bind from, where no mapping is known."""
    return Call(Head.of(scope), {Request: Request(scope, receive)} if scope["type"] == "http" else {})


def doing(scope: Scope) -> str:
    """Return what was asked for, for the log."""
    return f"{scope.get('method', 'WebSocket')} {scope['path']!r}"
