"""Route definitions to Starlette routes with raw ASGI endpoints."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cortado.adapters.errors import ErrorResponder
from cortado.binding.call import Call
from cortado.binding.plan import Arguments
from cortado.container import NOT_READY, Container
from cortado.head import Head
from cortado.problems import ContentTooLarge, RequestTimeout
from cortado.routing.definitions import RouteDefinition
from cortado.settings import HttpSettings
from cortado.web.invocation import invoke, runs_on_loop
from cortado.web.rendering import WITHOUT_BODY, Rendered, Renderer, Streamed

__all__ = ["HTTP_CONTEXT", "HttpEndpoint", "RequestBody", "http_routes", "send_rendered"]

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(scope, receive, send, self._settings)
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


class RequestBody:
    """The body of one request, read within the limits of size and time.

    `read` and `receive` may be used one after the other: what was read is given again to a Starlette `Request`.

    Raises:
        ContentTooLarge: It is over the limit, by what the client declared or by what came.
        RequestTimeout: It did not arrive in time.
        ClientDisconnect: The client left before it was whole.
    """

    __slots__ = ("_deadline", "_receive", "_replay", "_scope", "_settings", "_size", "_whole")

    def __init__(self, scope: Scope, receive: Receive, settings: HttpSettings) -> None:
        self._scope, self._receive, self._settings = scope, receive, settings
        self._deadline: float | None = None
        self._size = 0
        self._whole: bytes | None = None
        self._replay = False

    async def read(self) -> bytes:
        """Return the whole body; a second call returns the same."""
        if self._whole is None:
            self._check_declared()
            pieces: list[bytes] = []
            more = True
            while more:
                event = await self._next()
                if event["type"] == "http.disconnect":
                    raise ClientDisconnect
                pieces.append(event.get("body", b""))
                more = event.get("more_body", False)
            self._whole = b"".join(pieces)
            self._replay = True
        return self._whole

    async def receive(self) -> Event:
        """Receive the next ASGI event: the body, again if it was read before, then the client's departure."""
        if self._replay:
            self._replay = False
            return {"type": "http.request", "body": self._whole, "more_body": False}
        if self._whole is not None:
            return await self._receive()
        self._check_declared()
        event = await self._next()
        if event["type"] == "http.request" and not event.get("more_body", False):
            self._whole = b""
        return event

    async def _next(self) -> Event:
        # What a request brings along has arrived when its handler starts, and needs no timer.
        started = _Started(self._receive())
        event = started.value if started.done else await self._in_time(started)
        self._size += len(event.get("body", b""))
        if self._size > self._settings.max_body_size:
            raise self._too_large()
        return event

    async def _in_time(self, receiving: "_Started") -> Event:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._settings.body_timeout
        limit = asyncio.timeout_at(self._deadline)
        try:
            async with limit:
                return await receiving
        except TimeoutError:
            if not limit.expired():
                raise
            raise RequestTimeout(f"the body took longer than {self._settings.body_timeout:g} s") from None

    def _check_declared(self) -> None:
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._settings.max_body_size:
                raise self._too_large()

    def _too_large(self) -> ContentTooLarge:
        return ContentTooLarge(f"the body is larger than {self._settings.max_body_size} bytes")


class _Started:
    """An awaitable that was run up to its first pause; awaiting it goes on from there."""

    __slots__ = ("_awaited", "_pause", "done", "value")

    def __init__(self, awaitable: Awaitable[Event]) -> None:
        self._awaited = awaitable.__await__()
        self.done = False
        try:
            self._pause = next(self._awaited)
        except StopIteration as stop:
            self.done = True
            self.value: Event = stop.value

    def __await__(self) -> Generator[Any, Any, Event]:
        pause = self._pause
        while True:
            try:
                sent = yield pause
            except BaseException as exc:  # noqa: BLE001 - a cancellation belongs to what is awaited
                proceed = partial(self._awaited.throw, exc)
            else:
                proceed = partial(self._awaited.send, sent)
            try:
                pause = proceed()
            except StopIteration as stop:
                event: Event = stop.value
                return event


class _Exchange:
    """One request and its response, under way."""

    __slots__ = ("_body", "_receive", "_send", "_settings", "scope", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: HttpSettings) -> None:
        self.scope, self._receive, self._send, self._settings = scope, receive, send, settings
        self._body: RequestBody | None = None
        self.started = False

    @property
    def body(self) -> RequestBody:
        """The request's body, for whoever asks."""
        if self._body is None:
            self._body = RequestBody(self.scope, self._receive, self._settings)
        return self._body

    def call(self, *, with_request: bool) -> Call:
        """Return what plans bind from; a Starlette request is made only for whoever asks for it."""
        context: Mapping[type, object] = NO_CONTEXT
        if with_request:
            context = {Request: Request(self.scope, self.body.receive, self._send)}
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
            await response(self.scope, self.body.receive, self.send)

    async def _send_stream(self, stream: Streamed) -> None:
        try:
            first = await anext(stream.chunks, b"")
            response = StreamingResponse(_resumed(first, stream.chunks), stream.status)
            response.raw_headers = stream.headers_for(first)
            await self.send_piecewise(response)
        finally:
            if aclose := getattr(stream.chunks, "aclose", None):
                await aclose()

    async def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})


async def _resumed(first: str | bytes, rest: AsyncIterator[str | bytes]) -> AsyncIterator[str | bytes]:
    """Iterate over a stream whose first piece was taken to see that it begins without an error."""
    yield first
    async for chunk in rest:
        yield chunk
