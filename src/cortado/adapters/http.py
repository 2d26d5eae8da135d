"""Route definitions to Starlette routes with raw ASGI endpoints."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cortado.adapters.departure import Attended, Departure, Departures, Phase
from cortado.adapters.errors import LOGGER, ErrorResponder
from cortado.binding.call import Call
from cortado.binding.plan import Arguments
from cortado.container import NOT_READY, BeanScope, Container, ScopeClosedError, ScopeCloseError
from cortado.container import Scope as BeanLife
from cortado.head import Head
from cortado.routing.definitions import RouteDefinition
from cortado.settings import HttpSettings
from cortado.tasks import was_cancelled
from cortado.web.body import RequestBody
from cortado.web.disconnected import Disconnected
from cortado.web.invocation import invoke, runs_on_loop
from cortado.web.rendering import WITHOUT_BODY, Rendered, Renderer, Streamed

__all__ = ["HTTP_CONTEXT", "HttpEndpoint", "http_routes", "send_rendered"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

HTTP_CONTEXT: frozenset[type] = frozenset({Request, Disconnected})
"""What the scope of a request provides itself."""

NO_ARGUMENTS = Arguments((), {})
NO_CONTEXT: Mapping[type, object] = {}

HANDLING, STREAMING, CLOSING, RESPONDING, DONE = Phase

CLIENT_CLOSED_REQUEST = 499
"""The status that middleware sees of a request whose client has left."""

PIECES_AT_A_TIME = 16
"""After how many pieces of a stream others get their turn, the client's departure among them."""


def http_routes(
    definitions: Iterable[RouteDefinition],
    *,
    container: Container,
    errors: ErrorResponder,
    settings: HttpSettings,
) -> list[Route]:
    """Return a Starlette route for each definition. Nothing is instantiated."""
    departures = Departures(settings)
    return [
        Route(
            definition.path,
            HttpEndpoint(definition, container=container, errors=errors, departures=departures),
            methods=list(definition.methods),
            name=definition.name,
        )
        for definition in definitions
    ]


class HttpEndpoint:
    """Answers the requests of one mapping; an ASGI application of its own.

    The controller comes from its provider at every request, so that overrides act. A client that leaves before its
    request has arrived is not answered, and nothing is logged. One that leaves later has its handler cancelled after a
    grace period, where the mapping says so and the handler can be: a plain function in a thread can't.
    """

    def __init__(
        self,
        definition: RouteDefinition,
        *,
        container: Container,
        errors: ErrorResponder,
        departures: Departures,
    ) -> None:
        self.definition = definition
        """What is mapped."""
        self._controller = container.resolver(definition.controller.name)
        self._attribute = definition.attribute
        self._plan = definition.plan
        self._on_loop = runs_on_loop(definition.function)
        self._renderer = Renderer(definition.serialize, definition.mapping.status_code)
        self.container = container
        self.departures = departures
        self.cancels = definition.mapping.cancels and not _runs_in_thread(definition.function)
        """Whether a handler whose client has left is cancelled."""
        self._errors = errors
        listening = any(Disconnected in one.plan.contexts for one in (*errors.advice, *definition.handlers))
        self._told_context = HTTP_CONTEXT if listening else frozenset({Request})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, within a scope that opens for whoever asks for a bean of it."""
        loop = asyncio.get_running_loop()
        exchange = _Exchange(scope, receive, send, self, asyncio.current_task(loop))
        if self.cancels:
            self.departures.live.add(exchange)
            if self.departures.loop is not loop:
                self.departures.wind(loop)
        active = self.container.lifetime.active
        token = active.set(exchange)
        try:
            await self._serve(exchange)
        finally:
            active.reset(token)
            self.departures.live.discard(exchange)
            beans = exchange.close()
            if exchange.departure is not None or exchange.asked:
                exchange.part()
            if beans is not None and not beans.leave():
                await self.end(beans, scope)

    def abandon(self, exchange: "_Exchange") -> None:
        """Leave a handler behind that swallowed its cancellation: log it, and end the beans of its request."""
        LOGGER.error("%s swallowed its cancellation and was left behind", self._doing(exchange.scope))
        beans = exchange.close()
        if beans is not None and not beans.leave():
            self.departures.hold(self.end(beans, exchange.scope))

    async def end(self, beans: BeanScope, scope: Scope) -> None:
        """End the beans of a request; what goes wrong is logged."""
        try:
            await beans.aclose()
        except ScopeCloseError as exc:
            self._errors.report(exc, scope=scope, doing=f"the end of {self._doing(scope)}")

    def _doing(self, scope: Scope) -> str:
        return f"{scope['method']} {self.definition.path}"

    async def _serve(self, exchange: "_Exchange") -> None:
        controller: Any = None
        response: Rendered | Streamed | Response | None
        try:
            controller = self._controller.get_if_ready()
            if controller is NOT_READY:
                controller = None
                controller = await self._controller.get()
            response = await self._answer(controller, exchange)
            if isinstance(response, Streamed):
                await exchange.send_stream(response)
                return
            if exchange.departure is not None:
                exchange.take_back()
            if not isinstance(response, Rendered):
                exchange.phase = RESPONDING
                await exchange.send_response(response)
                return
        except ClientDisconnect:
            exchange.take_back()
            return
        except asyncio.CancelledError as exc:
            departed = exchange.take_back()
            if was_cancelled():
                raise
            response = exchange.unread() if departed else await self._told(_broken(exc), exchange, controller)
        except Exception as exc:  # noqa: BLE001 - here, and nowhere else, a handler's exception becomes a response
            exchange.take_back()
            response = await self._told(exc, exchange, controller)
        if response is not None:
            exchange.phase = DONE
            try:
                await send_rendered(response, exchange.scope, exchange.raw_send)
            except OSError:  # how some servers tell of the departure
                if not exchange.left:
                    raise

    async def _answer(self, controller: Any, exchange: "_Exchange") -> Rendered | Streamed | Response:
        arguments = await self._arguments(exchange) if self._plan.parameters else NO_ARGUMENTS
        handler = getattr(controller, self._attribute)
        if self._on_loop:
            result = await handler(*arguments.positional, **arguments.keywords)
        else:
            result = await invoke(handler, arguments)
        return self._renderer.render(result)

    async def _arguments(self, exchange: "_Exchange") -> Arguments:
        call = exchange.call(self._plan.contexts)
        if self._plan.needs_body:
            call.read_body = exchange.body.read
        return self._plan.bind_now(call) or await self._plan.bind(call)

    async def _told(
        self, exc: Exception, exchange: "_Exchange", controller: object | None
    ) -> Rendered | None:
        scope = exchange.scope
        doing = self._doing(scope)
        if exchange.started:
            # The server sees an unfinished response and cuts the connection: the client knows that it isn't whole.
            self._errors.report(exc, scope=scope, doing=doing)
            return None
        call = exchange.call(self._told_context)
        return await self._errors.respond(
            exc, call, scope=scope, doing=doing, controller=controller, handlers=self.definition.handlers
        )


def _broken(cancelled: asyncio.CancelledError) -> RuntimeError:
    error = RuntimeError("the handler waited for something that was cancelled")
    error.__cause__ = cancelled
    return error


def _runs_in_thread(function: Callable[..., Any]) -> bool:
    return not runs_on_loop(function) and not inspect.isasyncgenfunction(function)


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
        if wanted in Request.__mro__:
            return self._exchange.request
        return self._exchange.disconnected_soon() if wanted is Disconnected else NOT_READY


class _Exchange(Attended):
    """One request and its response, under way."""

    __slots__ = ("_body", "_endpoint", "_request", "beans", "over", "raw_send", "scope", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send, endpoint: HttpEndpoint, task: Any) -> None:
        self.scope, self.receive, self.raw_send, self._endpoint = scope, receive, send, endpoint
        self.task = task
        self.cancels = endpoint.cancels
        self.departure: Departure | None = None
        self.phase = HANDLING
        self.seen = False
        self.beans: BeanScope | None = None
        self.over = False
        self._body: RequestBody | None = None
        self._request: Request | None = None
        self.started = False

    @property
    def body(self) -> RequestBody:
        """The request's body, for whoever asks."""
        if self._body is None:
            receive = self.receive if self.departure is None else self.departure.receive
            self._body = RequestBody(self.scope, receive, self._endpoint.departures.settings)
        return self._body

    def opened(self) -> BeanScope:
        """Return the beans of this request, whose scope opens for whoever asks first.

        Raises:
            ScopeClosedError: The request is over.
        """
        beans = self.beans
        if beans is None:
            container = self._endpoint.container
            with container.lifetime.shared.lock:  # a handler's thread may ask, too
                if self.over:
                    raise ScopeClosedError(BeanLife.REQUEST)
                beans = self.beans = self.beans or _RequestScope(container, self)
        return beans

    def close(self) -> BeanScope | None:
        """Open no scope any more, and return the one that was opened, which is to be ended."""
        with self._endpoint.container.lifetime.shared.lock:
            self.over = True
            beans, self.beans = self.beans, None  # the two would keep each other alive
        return beans

    @property
    def request(self) -> Request:
        """Starlette's request, for whoever asks."""
        if self._request is None:
            self._request = Request(self.scope, self._receive_for_request, self.raw_send)
        return self._request

    async def _receive_for_request(self) -> Event:
        if self.body.whole:
            self._departure()  # `Request.is_disconnected()` gives up what it waits for, which the server may not like
        return await self.body.receive()

    def disconnected(self) -> Disconnected:
        """What tells of the client's departure, for which somebody listens from now on."""
        if not self.over:
            self._endpoint.departures.enter(self)
            self.listen()
        return self._departure().disconnected

    def disconnected_soon(self) -> Disconnected:
        """The same for a thread: somebody listens soon."""
        departure = self._departure()
        self.task.get_loop().call_soon_threadsafe(self.disconnected)
        return departure.disconnected

    def _departure(self) -> Departure:
        if self.departure is None:
            with self._endpoint.container.lifetime.shared.lock:
                if self.departure is None:
                    departure = Departure(self, self._endpoint.departures)
                    if self.over:
                        departure.close()
                    if self._body is not None:
                        self._body.reroute(departure.receive)
                    self.departure = departure
        return self.departure

    def listen(self) -> None:
        """Listen for the departure from now on, as soon as the body permits."""
        self._departure().listen()

    def may_listen(self) -> bool:
        """Whether listening takes nothing away from whoever reads the body, or is going to."""
        if self.phase is STREAMING:
            return self._body is None or not self._body.waiting
        if self.phase is not HANDLING:
            return False
        return not _brings_body(self.scope) if self._body is None else self._body.whole

    def body_arrived(self) -> bool:
        """Whether somebody has read the body to its end."""
        return self._body is not None and self._body.whole

    def body_unwanted(self) -> bool:
        """Whether the answer is on its way, and nobody has asked for the body."""
        return self.phase is STREAMING and self._body is None and self._request is None

    @property
    def left(self) -> bool:
        """Whether the client is known to be gone."""
        return self.departure is not None and self.departure.left

    def unread(self) -> Rendered | None:
        """Return an answer for nobody but the middleware, unless one has begun."""
        return None if self.started else Rendered(CLIENT_CLOSED_REQUEST, [], b"")

    @property
    def asked(self) -> bool:
        """Whether somebody has asked for Starlette's request."""
        return self._request is not None

    def part(self) -> None:
        """Let go of what knows this request: they would keep each other alive."""
        departure, self.departure, self._request = self.departure, None, None
        if departure is not None:
            departure.close()
            if self._body is not None:
                self._body.reroute(self.receive)

    def take_back(self) -> bool:
        """Note that the handler has ended, and take back its cancellation; False where there was none."""
        if self.phase is not DONE:
            self.phase = RESPONDING
        return self.departure is not None and self.departure.take_back()

    def abandon(self) -> None:
        """End the beans of this request although its handler, which was cancelled, still runs."""
        self._endpoint.abandon(self)

    def call(self, wanted: frozenset[Any]) -> Call:
        """Return what plans bind from; only what is wanted is made."""
        context: Mapping[type, object] = NO_CONTEXT
        if wanted:
            context = {}
            if Request in wanted:
                context[Request] = self.request
            if Disconnected in wanted:
                context[Disconnected] = self.disconnected()
        return Call(Head.of(self.scope), context)

    async def send(self, event: Event) -> None:
        """Send an event, and remember that the response has started, and whether it is complete."""
        self.started = True
        if event["type"] == "http.response.body":
            if not event.get("more_body", False):
                self.phase = DONE
            if self.scope["method"] == "HEAD":
                event = {**event, "body": b""}
        await self.raw_send(event)

    async def send_response(self, response: Response) -> None:
        """Send a response of Starlette's."""
        if self.scope["method"] == "HEAD" and isinstance(response, StreamingResponse):
            await self._send_head(response.status_code, response.raw_headers)
            return
        # It only listens for the client's departure: no limit of a body that nobody reads may cut it off.
        receive = self.receive if self.departure is None else self.departure.receive
        await response(self.scope, receive, self.send)

    async def send_stream(self, stream: Streamed) -> None:
        """Send what a handler yields, piece by piece; it is closed at the end, whatever that is."""
        try:
            first = await anext(stream.chunks, b"")
            if not isinstance(first, str | bytes | memoryview):
                raise TypeError(f"a stream yields text or bytes, not {type(first).__name__}; encode it")
            headers = stream.headers_for(first)
            if self.scope["method"] == "HEAD":
                await self._send_head(stream.status, headers)
            else:
                await self._send_pieces(stream, headers, first)
        finally:
            if self.phase is STREAMING:
                self.phase = CLOSING
            if aclose := getattr(stream.chunks, "aclose", None):
                await aclose()

    async def _send_pieces(
        self, stream: Streamed, headers: list[tuple[bytes, bytes]], first: str | bytes | memoryview
    ) -> None:
        self.phase = STREAMING
        departure = self._departure()
        self._endpoint.departures.enter(self)
        departure.listen()
        await self._send_unless_left(
            {"type": "http.response.start", "status": stream.status, "headers": headers}
        )
        await self._send_piece(first)
        count = 1
        async for piece in stream.chunks:
            await self._send_piece(piece)
            count += 1
            if count % PIECES_AT_A_TIME == 0:
                await asyncio.sleep(0)
        await self._send_unless_left({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_piece(self, piece: str | bytes | memoryview) -> None:
        body = piece.encode() if isinstance(piece, str) else piece
        await self._send_unless_left({"type": "http.response.body", "body": body, "more_body": True})

    async def _send_unless_left(self, event: Event) -> None:
        if self.left:
            raise ClientDisconnect
        try:
            await self.send(event)
        except OSError:  # how some servers tell of the departure
            raise ClientDisconnect from None

    async def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})


def _brings_body(scope: Scope) -> bool:
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in scope["headers"]
    )
