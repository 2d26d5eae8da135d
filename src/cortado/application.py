"""The application: beans, routes and sessions put together behind one ASGI callable."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import anyio
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from cortado.adapters.asgi import RAW_SEND, AsgiTransport
from cortado.adapters.errors import ErrorResponder
from cortado.adapters.guarded import Guarded
from cortado.adapters.http import HTTP_CONTEXT, http_routes, send_rendered
from cortado.adapters.router import Router
from cortado.adapters.signals import Forewarning
from cortado.adapters.starlette import WEBSOCKET_CONTEXT, WebSocketRegistrar
from cortado.container import Container
from cortado.container import Scope as BeanLife
from cortado.exceptions import ConfigurationError, StartupError
from cortado.problems import INTERNAL_ERROR, Problem
from cortado.routing.discovery import Discovery, discover
from cortado.settings import Settings
from cortado.tasks import settle
from cortado.web.rendering import RESPONSES, render_problem
from cortado.websocket.registry import SessionRegistry

__all__ = ["Cortado"]

logger = logging.getLogger("cortado")

SESSIONS = "cortado_sessions"
"""The name of the bean that holds an application's sessions."""

SHUTTING_DOWN = Problem(503, detail="the server is shutting down")

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Cortado:
    """An ASGI application made of controllers.

    It starts with the server's lifespan; where none reaches it, as below a `Mount`, with the first request. Starting
    checks all wiring at once. Stopping ends every session, hooks included, before any bean is destroyed.

    Args:
        sources: Classes, packages to scan, dependency-injector containers, or one `Container` registered by hand.
        settings: Limits and times; a `Settings` or a mapping of the same shape. A `Container` brings its own.
        profiles: The active profiles of the beans; "default" where there are none. A `Container` brings its own.
        debug: Whether clients are told what an unexpected exception says. Never in production.
        middleware: Starlette's `Middleware` entries, the outermost first.
        routes: Further Starlette routes, such as a `Mount`; mapped paths come before them.
        hard_disconnect_message: The text of a hard close that names none.

    Raises:
        ConfigurationError: A setting is unknown or out of range; settings, profiles or other sources stand beside a
            `Container`; or the `Container` belongs to another application.
        ContainerError: A source can't be registered.
    """

    def __init__(
        self,
        *sources: Any,
        settings: Settings | Mapping[str, Any] | None = None,
        profiles: Iterable[str] = (),
        debug: bool = False,
        middleware: Iterable[Middleware] = (),
        routes: Iterable[BaseRoute] = (),
        hard_disconnect_message: str | None = None,
    ) -> None:
        self.container = _container(sources, settings, profiles)
        """The beans."""
        self.settings = self.container.settings
        """The settings in force; a bean, too."""
        self.debug = debug
        self.sessions = SessionRegistry()
        """The live WebSocket sessions; a bean, too."""
        self.container.register_instance(self.sessions, name=SESSIONS)
        self.container.register_given(BeanLife.SESSION, *WEBSOCKET_CONTEXT)
        self.container.register_given(BeanLife.CHILD, *WEBSOCKET_CONTEXT)
        self.container.register_given(BeanLife.REQUEST, *HTTP_CONTEXT)
        self._extra_routes = tuple(routes)
        self._registrar = WebSocketRegistrar(
            self.sessions,
            self.settings.websocket,
            debug=debug,
            hard_disconnect_message=hard_disconnect_message,
        )
        self._router: Router | None = None
        self._starting: asyncio.Task[Router] | None = None
        self._draining = False
        self._forewarning = Forewarning(self.drain, limit=self.settings.drain_timeout + 1)
        self._app: App = self._dispatch
        entries = tuple(middleware)
        for entry in reversed(entries):
            self._app = entry.cls(self._app, *entry.args, **entry.kwargs)
        if entries:
            self._app = Guarded(self._app, ErrorResponder(self.container, debug=debug))

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes, as Starlette's objects; empty until the application has started."""
        return list(self._router.routes) if self._router is not None else []

    @property
    def ready(self) -> bool:
        """Whether newcomers are served: True from the end of the start until a drain or the stop begins."""
        return self._router is not None and not self._draining

    def discover(self) -> Discovery:
        """Read what the controllers map, and all that is wrong with it; creates nothing, and works before the start."""
        return discover(
            self.container,
            http_context=HTTP_CONTEXT,
            websocket_context=WEBSOCKET_CONTEXT,
            responses=RESPONSES,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket or the lifespan."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif self._draining:
            await _refuse(SHUTTING_DOWN, scope, receive, send)
        elif kind in ("http", "websocket"):
            scope["app"] = self
            if kind == "websocket":
                scope[RAW_SEND] = send
                self._forewarning.met(send)
            await self._app(scope, receive, send)
        else:
            raise RuntimeError(f"the server asks for {kind!r}, which is no protocol of this application")

    async def start(self) -> None:
        """Check all wiring, start the container and build the routes. Idempotent, also when called concurrently.

        Cancelling stops the waiting, not the start.

        Raises:
            StartupError: Something is wired or mapped wrongly; all of it is named, and nothing was left behind.
            ConfigurationError: A listener of `ContextReady` asks, for which the start waits.
        """
        self._check_not_starting_here()
        if self._router is None:
            await self._begin()
        self._draining = False
        self.sessions.reopen()

    async def stop(self) -> None:
        """End every session, then destroy the beans. Idempotent; what goes wrong is logged.

        Whoever comes later gets 503, until the application is started again.

        Raises:
            ConfigurationError: A listener of `ContextReady` asks, for which the start waits.
        """
        self._check_not_starting_here()
        try:
            await self.drain()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close()

    async def _close(self) -> None:
        if self._starting is not None:
            await settle(self._starting, self.settings.drain_timeout)
        self._router = None
        try:
            await self.container.stop()
        except Exception:
            logger.exception("Beans were not destroyed as they should be")

    async def drain(self) -> None:
        """Refuse newcomers with 503, close every session with 1012, and wait until all hooks have run.

        Idempotent; takes `drain_timeout` seconds at most.
        """
        self._draining = True
        with anyio.CancelScope(shield=True):
            await self.sessions.drain(jitter=self.settings.drain_jitter, timeout=self.settings.drain_timeout)

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Run the application for the time of a context; takes the place of an outer application's lifespan."""
        await self.start()
        try:
            with self._heard():
                yield
        finally:
            await self.stop()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except BaseException as error:
            if not isinstance(error, StartupError):
                logger.exception("The application can't start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        try:
            with self._heard():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        finally:
            await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _heard(self) -> AbstractContextManager[None]:
        return self._forewarning.heard() if self.settings.drain_on_sigterm else nullcontext()

    def _check_not_starting_here(self) -> None:
        if self._starting is not None and self._starting is asyncio.current_task():
            raise ConfigurationError(
                "the application is starting and waits for this listener, which can't start or stop it; raise an error "
                "to make the start fail"
            )

    async def _begin(self) -> Router:
        starting = self._starting
        if starting is None:
            starting = self._starting = asyncio.get_running_loop().create_task(
                self._build(), name="cortado-start"
            )
            starting.add_done_callback(self._begun)
        return await asyncio.shield(starting)

    def _begun(self, starting: "asyncio.Task[Router]") -> None:
        self._starting = None
        if not starting.cancelled() and starting.exception() is None:
            self._router = starting.result()

    async def _build(self) -> Router:
        container = self.container
        found = self.discover()
        problems = [*container.validate(), *found.problems]
        if problems:
            raise StartupError(problems)
        await container.start()
        errors = ErrorResponder(container, found.advice, debug=self.debug)
        return Router(
            [
                *http_routes(found.http, container=container, errors=errors, settings=self.settings.http),
                *self._registrar.routes(found.websocket, container, errors),
                *self._extra_routes,
            ],
            errors=errors,
        )

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        router = self._router
        if router is None and not self._draining:
            try:
                router = await self._begin()
            except Exception:
                logger.exception("The application can't start")
                await _refuse(INTERNAL_ERROR, scope, receive, send)
                return
        if router is None or self._draining:  # a middleware, or the start, took its time
            await _refuse(SHUTTING_DOWN, scope, receive, send)
            return
        await router(scope, receive, send)


def _container(
    sources: tuple[Any, ...], settings: Settings | Mapping[str, Any] | None, profiles: Iterable[str]
) -> Container:
    given = [one for one in sources if isinstance(one, Container)]
    if not given:
        return Container(*sources, settings=settings, profiles=profiles)
    if len(sources) > 1:
        raise ConfigurationError(
            "a Container can only be the one source; register the others with it: container.register(...), "
            'container.scan("shop")'
        )
    if settings is not None:
        raise ConfigurationError(
            "the container has settings of its own; give these to it: Container(settings=...)"
        )
    if profiles:
        raise ConfigurationError(
            "the container has profiles of its own; give these to it: Container(profiles=...)"
        )
    if hasattr(given[0].di, SESSIONS):
        raise ConfigurationError(
            "the container belongs to another application already, which starts and stops it; "
            "give each Cortado a Container of its own"
        )
    return given[0]


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    told = render_problem(problem)
    if scope["type"] == "http":
        await send_rendered(told, scope, send)
        return
    transport = AsgiTransport(scope, receive, send)
    if await transport.asked():
        await transport.deny(told.status, told.headers, told.body)
