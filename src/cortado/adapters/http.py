"""Route definitions to Starlette routes with raw ASGI endpoints."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cortado.adapters.errors import ErrorResponder
from cortado.binding.call import Call
from cortado.binding.plan import Arguments
from cortado.container import NOT_READY, BeanScope, Container, ScopeClosedError, ScopeCloseError
from cortado.container import Scope as BeanLife
from cortado.head import Head
from cortado.routing.definitions import RouteDefinition
from cortado.settings import HttpSettings
from cortado.tasks import was_cancelled
from cortado.web.body import RequestBody
from cortado.web.invocation import invoke, runs_on_loop
from cortado.web.rendering import WITHOUT_BODY, Rendered, Renderer, Streamed

__all__ = ["HTTP_CONTEXT", "HttpEndpoint", "http_routes", "send_rendered"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

HTTP_CONTEXT: frozenset[type] = frozenset({Request})
"""What the scope of a request provides itself."""

NO_ARGUMENTS = Arguments((), {})
NO_CONTEXT: Mapping[type, object] = {}


def http_routes(
    definitions: Iterable[RouteDefinition],
    *,
    container: Container,
    errors: ErrorResponder,
    settings: HttpSettings,
) -> list[Route]:
    """Return a Starlette route for each definition. Nothing is instantiated."""
    return [
        Route(
            definition.path,
            HttpEndpoint(definition, container=container, errors=errors, settings=settings),
            methods=list(definition.methods),
            name=definition.name,
        )
        for definition in definitions
    ]


class HttpEndpoint:
    """Answers the requests of one mapping; an ASGI application of its own.

    The controller comes from its provider at every request, so that overrides act. A client that leaves before its
    request has arrived is not answered, and nothing is logged.
    """

    def __init__(
        self,
        definition: RouteDefinition,
        *,
        container: Container,
        errors: ErrorResponder,
        settings: HttpSettings,
    ) -> None:
        self.definition = definition
        """What is mapped."""
        self._controller = container.resolver(definition.controller.name)
        self._attribute = definition.attribute
        self._plan = definition.plan
        self._needs_request = Request in definition.plan.contexts
        self._on_loop = runs_on_loop(definition.function)
        self._renderer = Renderer(definition.serialize, definition.mapping.status_code)
        self._errors = errors
        self._settings = settings
        self._container = container

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, within a scope that opens for whoever asks for a bean of it."""
        exchange = _Exchange(scope, receive, send, self._settings, self._container)
        active = self._container.lifetime.active
        token = active.set(exchange)
        try:
            await self._serve(exchange, scope, send)
        finally:
            active.reset(token)
            beans = exchange.close()
            if beans is not None and not beans.leave():
                await self._end(beans, scope)

    async def _end(self, beans: BeanScope, scope: Scope) -> None:
        try:
            await beans.aclose()
        except ScopeCloseError as exc:
            self._errors.report(
                exc, scope=scope, doing=f"the end of {scope['method']} {self.definition.path}"
            )

    async def _serve(self, exchange: "_Exchange", scope: Scope, send: Send) -> None:
        controller: Any = None
        response: Rendered | Streamed | Response | None
        try:
            controller = self._controller.get_if_ready()
            if controller is NOT_READY:
                controller = None
                controller = await self._controller.get()
            response = await self._answer(controller, exchange)
            if not isinstance(response, Rendered):
                await exchange.send_piecewise(response)
                return
        except ClientDisconnect:
            return
        except asyncio.CancelledError as exc:
            if was_cancelled():
                raise
            broken = RuntimeError("the handler waited for something that was cancelled")
            broken.__cause__ = exc
            response = await self._told(broken, exchange, controller)
        except Exception as exc:  # noqa: BLE001 - here, and nowhere else, a handler's exception becomes a response
            response = await self._told(exc, exchange, controller)
        if response is not None:
            await send_rendered(response, scope, send)

    async def _answer(self, controller: Any, exchange: "_Exchange") -> Rendered | Streamed | Response:
        arguments = await self._arguments(exchange) if self._plan.parameters else NO_ARGUMENTS
        handler = getattr(controller, self._attribute)
        if self._on_loop:
            result = await handler(*arguments.positional, **arguments.keywords)
        else:
            result = await invoke(handler, arguments)
        return self._renderer.render(result)

    async def _arguments(self, exchange: "_Exchange") -> Arguments:
        call = exchange.call(with_request=self._needs_request)
        if self._plan.needs_body:
            call.read_body = exchange.body.read
        return self._plan.bind_now(call) or await self._plan.bind(call)

    async def _told(
        self, exc: Exception, exchange: "_Exchange", controller: object | None
    ) -> Rendered | None:
        scope = exchange.scope
        doing = f"{scope['method']} {self.definition.path}"
        if exchange.started:
            # The server sees an unfinished response and cuts the connection: the client knows that it isn't whole.
            self._errors.report(exc, scope=scope, doing=doing)
            return None
        call = exchange.call(with_request=True)
        return await self._errors.respond(
            exc, call, scope=scope, doing=doing, controller=controller, handlers=self.definition.handlers
        )


async def send_rendered(rendered: Rendered, scope: Scope, send: Send) -> None:
    """Send a whole response; to HEAD, without its body."""
    headers, body = rendered.headers, rendered.body
    if rendered.status not in WITHOUT_BODY:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": rendered.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class _RequestScope(BeanScope):
    """The beans of one request; the request itself is made for whoever asks for it."""

    __slots__ = ("_exchange",)

    def __init__(self, container: Container, exchange: "_Exchange") -> None:
        super().__init__(BeanLife.REQUEST, container.lifetime, (), container.lifetime.shared, container)
        self._exchange = exchange

    def given_here(self, wanted: type) -> object:
        return self._exchange.request if wanted in Request.__mro__ else NOT_READY


class _Exchange:
    """One request and its response, under way."""

    __slots__ = (
        "_body",
        "_container",
        "_receive",
        "_request",
        "_send",
        "_settings",
        "beans",
        "over",
        "scope",
        "started",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, settings: HttpSettings, container: Container
    ) -> None:
        self.scope, self._receive, self._send, self._settings = scope, receive, send, settings
        self._container = container
        self.beans: BeanScope | None = None
        self.over = False
        self._body: RequestBody | None = None
        self._request: Request | None = None
        self.started = False

    @property
    def body(self) -> RequestBody:
        """The request's body, for whoever asks."""
        if self._body is None:
            self._body = RequestBody(self.scope, self._receive, self._settings)
        return self._body

    def opened(self) -> BeanScope:
        """Return the beans of this request, whose scope opens for whoever asks first.

        Raises:
            ScopeClosedError: The request is over.
        """
        beans = self.beans
        if beans is None:
            with self._container.lifetime.shared.lock:  # a handler's thread may ask, too
                if self.over:
                    raise ScopeClosedError(BeanLife.REQUEST)
                beans = self.beans = self.beans or _RequestScope(self._container, self)
        return beans

    def close(self) -> BeanScope | None:
        """Open no scope any more, and return the one that was opened, which is to be ended."""
        with self._container.lifetime.shared.lock:
            self.over = True
            beans, self.beans = self.beans, None  # the two would keep each other alive
        return beans

    @property
    def request(self) -> Request:
        """Starlette's request, for whoever asks."""
        if self._request is None:
            self._request = Request(self.scope, self.body.receive, self._send)
        return self._request

    def call(self, *, with_request: bool) -> Call:
        """Return what plans bind from; a Starlette request is made only for whoever asks for it."""
        context: Mapping[type, object] = NO_CONTEXT
        if with_request:
            context = {Request: self.request}
        return Call(Head.of(self.scope), context)

    async def send(self, event: Event) -> None:
        """Send an event, and remember that the response has started."""
        self.started = True
        if self.scope["method"] == "HEAD" and event["type"] == "http.response.body":
            event = {**event, "body": b""}
        await self._send(event)

    async def send_piecewise(self, response: Streamed | Response) -> None:
        """Send a response that isn't whole at once."""
        if isinstance(response, Streamed):
            await self._send_stream(response)
        elif self.scope["method"] == "HEAD" and isinstance(response, StreamingResponse):
            await self._send_head(response.status_code, response.raw_headers)
        else:
            # It only listens for the client's departure: no limit of a body that nobody reads may cut it off.
            await response(self.scope, self._receive, self.send)

    async def _send_stream(self, stream: Streamed) -> None:
        try:
            first = await anext(stream.chunks, b"")
            if not isinstance(first, str | bytes | memoryview):
                raise TypeError(f"a stream yields text or bytes, not {type(first).__name__}; encode it")
            response = StreamingResponse(_resumed(first, stream.chunks), stream.status)
            response.raw_headers = stream.headers_for(first)
            await self.send_piecewise(response)
        finally:
            if aclose := getattr(stream.chunks, "aclose", None):
                await aclose()

    async def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})


async def _resumed(
    first: str | bytes | memoryview, rest: AsyncIterator[str | bytes]
) -> AsyncIterator[str | bytes | memoryview]:
    """Iterate over a stream whose first piece was taken to see that it begins without an error."""
    yield first
    async for chunk in rest:
        yield chunk
