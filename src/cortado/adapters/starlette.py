"""WebSocket definitions to Starlette routes: what stands between a server's handshake and a session."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from pydantic_core import to_json
from starlette.routing import WebSocketRoute

from cortado.adapters.asgi import AsgiTransport, Receive, Scope, Send
from cortado.adapters.errors import ErrorResponder, report_unexpected
from cortado.adapters.http import HTTP_CONTEXT
from cortado.binding.call import Call
from cortado.container import NOT_READY, BeanScope, Container
from cortado.container import Scope as BeanLife
from cortado.container.scoped import ScopeOnDemand
from cortado.exceptions import StartupError
from cortado.problems import Forbidden
from cortado.routing.definitions import WebSocketDefinition
from cortado.routing.discovery import discover
from cortado.settings import WebSocketSettings
from cortado.web.rendering import RESPONSES
from cortado.websocket.events import SessionClosed, SessionListeners, SessionOpened
from cortado.websocket.lifecycle import Handler, run_session
from cortado.websocket.origin import origin_allowed
from cortado.websocket.outbox import Pace
from cortado.websocket.registry import SessionRegistry
from cortado.websocket.session import Refusal, WebSocketSession

__all__ = ["WEBSOCKET_CONTEXT", "WebSocketEndpoint", "WebSocketRegistrar"]

LOGGER = logging.getLogger("cortado.websocket")

WEBSOCKET_CONTEXT: frozenset[type] = frozenset({WebSocketSession})
"""What the scope of a session provides itself."""


class WebSocketRegistrar:
    """Finds the WebSocket endpoints of a container's controllers and makes Starlette routes of them.

    Args:
        sessions: Where the sessions of the routes live; a registry of their own when left out.
        settings: The limits and times of sessions.
        debug: Whether clients are told what an unexpected exception says.
        hard_disconnect_message: The text of a hard close that names none.
    """

    def __init__(
        self,
        sessions: SessionRegistry | None = None,
        settings: WebSocketSettings | None = None,
        *,
        debug: bool = False,
        hard_disconnect_message: str | None = None,
    ) -> None:
        self.sessions = SessionRegistry() if sessions is None else sessions
        """The live sessions of the routes."""
        self.settings = settings or WebSocketSettings()
        """The limits and times of sessions."""
        self.debug = debug
        self.hard_disconnect_message = hard_disconnect_message
        self._pace = Pace()

    def collect_routes(self, container: Container) -> list[WebSocketRoute]:
        """Return a route for each `@websocket_mapping` of the container's controllers, in definition order.

        Nothing is instantiated: a controller is made when the first client connects.

        Raises:
            StartupError: Mappings are wrong; all of them are named.
        """
        found = discover(
            container, http_context=HTTP_CONTEXT, websocket_context=WEBSOCKET_CONTEXT, responses=RESPONSES
        )
        if found.problems:
            raise StartupError(found.problems)
        errors = ErrorResponder(container, found.advice, debug=self.debug)
        return self.routes(found.websocket, container, errors)

    def routes(
        self, definitions: Iterable[WebSocketDefinition], container: Container, errors: ErrorResponder
    ) -> list[WebSocketRoute]:
        """Return a route for each definition."""
        listeners = SessionListeners(container.listeners(SessionOpened), container.listeners(SessionClosed))
        return [
            WebSocketRoute(
                definition.path,
                WebSocketEndpoint(definition, container, errors, self, listeners),
                name=definition.name,
            )
            for definition in definitions
        ]

    def session(self, transport: AsgiTransport) -> WebSocketSession:
        """Return the session for a new connection."""
        return WebSocketSession(
            transport,
            self.settings,
            pace=self._pace,
            encode=to_json,
            hard_disconnect_message=self.hard_disconnect_message,
        )


class WebSocketEndpoint:
    """Serves the connections of one mapping; an ASGI application of its own.

    The controller comes from its provider at every connection, so that overrides act.
    """

    def __init__(
        self,
        definition: WebSocketDefinition,
        container: Container,
        errors: ErrorResponder,
        registrar: WebSocketRegistrar,
        listeners: SessionListeners,
    ) -> None:
        self.definition = definition
        """What is mapped."""
        self.errors = errors
        self.registrar = registrar
        self.listeners = listeners
        self.controller = container.resolver(definition.controller.name)
        self.container = container

    def beans_for(self, session: WebSocketSession) -> None:
        """Give a session its beans, in a scope that opens for whoever asks first."""
        container = self.container
        beans = ScopeOnDemand(partial(container.scope, BeanLife.SESSION, session), BeanLife.SESSION)
        active = container.lifetime.active
        active.set(beans)  # this is the context of the handler, which its tasks and hooks inherit
        holdings = session._holdings
        holdings.beans, holdings.end_beans = beans, beans.aclose
        holdings.open_beans, holdings.enter_beans = self._beans_within, self._enter
        session._in_scope = lambda: _is_within(beans, active.get())

    def _beans_within(self, around: Any, scope: object) -> BeanScope:
        """Open the beans of a scope within a session, whose own, or those of a scope within, are around them."""
        return self.container.scope(BeanLife.CHILD, scope, parent=around.opened())

    def _enter(self, opened: Callable[[], Any]) -> None:
        """Let the running code be in the scope of some beans, which open when it asks for one."""
        self.container.lifetime.active.set(ScopeOnDemand(opened, BeanLife.CHILD))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its very end."""
        transport = AsgiTransport(scope, receive, send)
        if not await transport.asked():
            return
        registrar = self.registrar
        session = registrar.session(transport)
        await run_session(
            session,
            _Connection(self, scope),
            registrar.sessions,
            debug=registrar.debug,
            listeners=self.listeners,
        )


def _is_within(beans: ScopeOnDemand, around: Any) -> bool:
    """Whether what is found around running code is a session's scope, or one within it."""
    while around is not None and not beans.is_around(around):
        around = getattr(around, "parent", None)
    return around is not None


class _Connection:
    """One connection to a mapping, as the lifecycle sees it."""

    __slots__ = ("_controller", "_endpoint", "_scope")

    def __init__(self, endpoint: WebSocketEndpoint, scope: Mapping[str, Any]) -> None:
        self._endpoint, self._scope = endpoint, scope
        self._controller: object | None = None

    async def open(self, session: WebSocketSession) -> Handler:
        definition = self._endpoint.definition
        if not origin_allowed(session._handshake, session.settings.origins):
            raise Forbidden("the origin of the page may not connect here")
        self._endpoint.beans_for(session)
        controller: Any = self._endpoint.controller.get_if_ready()
        if controller is NOT_READY:
            controller = await self._endpoint.controller.get()
        self._controller = controller
        call = self._call(session)
        arguments = definition.plan.bind_now(call) or await definition.plan.bind(call)
        handle = getattr(controller, definition.attribute)
        return Handler(
            lambda: handle(*arguments.positional, **arguments.keywords),
            self._hook("on_disconnect"),
            self._hook("on_hard_close"),
        )

    async def explain(self, session: WebSocketSession, error: Exception) -> Refusal:
        definition = self._endpoint.definition
        told = await self._endpoint.errors.respond(
            error,
            self._call(session),
            scope=self._scope,
            doing=f"WebSocket {definition.path} (session {session.id})",
            controller=self._controller,
            handlers=definition.handlers,
            logger=LOGGER,
        )
        return Refusal(told.status, told.headers, told.body, told.title)

    def report(self, error: BaseException) -> None:
        report_unexpected(self._scope, error)

    def _hook(self, name: str) -> Callable[[WebSocketSession], object] | None:
        return getattr(self._controller, name) if name in self._endpoint.definition.hooks else None

    def _call(self, session: WebSocketSession) -> Call:
        return Call(session._handshake, {WebSocketSession: session})
