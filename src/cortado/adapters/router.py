"""Finds the route of a request or handshake: static paths at one look, dynamic ones segment by segment."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute

from cortado.adapters.asgi import AsgiTransport
from cortado.adapters.errors import ErrorResponder
from cortado.adapters.guarded import Guarded, call_of, doing
from cortado.adapters.http import HttpEndpoint, send_rendered
from cortado.problems import MethodNotAllowed, NotFound
from cortado.routing.table import RoutingTable
from cortado.web.rendering import Rendered

__all__ = ["Router"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class Router:
    """An ASGI application that hands a request or handshake to its route.

    A literal segment beats a variable, a particular convertor a general one, whatever the order of the routes. What
    is neither a `Route` nor a `WebSocketRoute`, such as a `Mount`, comes after them, the longest path first. What no
    route takes is answered with a problem: 404, or 405 with `Allow`. OPTIONS is answered with `Allow` unless it is
    mapped. The path is taken from the scope alone, never from a URL that was built with the `Host` header.
    """

    def __init__(self, routes: Iterable[BaseRoute], *, errors: ErrorResponder) -> None:
        self.routes: tuple[BaseRoute, ...] = tuple(routes)
        """Every route, in the order given."""
        self._errors = errors
        self._http: RoutingTable[Route] = RoutingTable()
        self._websocket: RoutingTable[WebSocketRoute] = RoutingTable()
        others: list[BaseRoute] = []
        for route in self.routes:
            if isinstance(route, Route) and type(route).matches is Route.matches:
                self._http.add(route.path, route, route.methods, route.param_convertors)
            elif isinstance(route, WebSocketRoute) and type(route).matches is WebSocketRoute.matches:
                self._websocket.add(route.path, route, None, route.param_convertors)
            else:
                others.append(route)
        self._others = sorted(others, key=lambda route: -len(getattr(route, "path", "")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request or handshake to its route, or answer for there being none."""
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed: set[str] = set()
        found = self._http.find(route_path(scope), scope["method"], allowed)
        if found is not None:
            route, values = found
            _enter(scope, route, values)
            if isinstance(route.endpoint, HttpEndpoint):
                await route.app(scope, receive, send)
            else:
                await Guarded(route.app, self._errors)(scope, receive, send)
        elif allowed:
            await self._refuse_method(allowed, scope, receive, send)
        elif (other := self._other(scope)) is not None:
            await Guarded(other.handle, self._errors)(scope, receive, send)
        elif (location := self._with_slash(scope)) is not None:
            await send_rendered(Rendered(307, [(b"location", location)], b""), scope, send)
        else:
            await send_rendered(await self._told(NotFound(), scope, receive), scope, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._websocket.find(route_path(scope), "", set())
        if found is not None:
            route, values = found
            _enter(scope, route, values)
            await route.app(scope, receive, send)
        elif (other := self._other(scope)) is not None:
            await Guarded(other.handle, self._errors)(scope, receive, send)
        else:
            transport = AsgiTransport(scope, receive, send)
            if await transport.asked():
                told = await self._told(NotFound(), scope, receive)
                await transport.deny(told.status, told.headers, told.body)

    async def _refuse_method(self, allowed: set[str], scope: Scope, receive: Receive, send: Send) -> None:
        implied = {"OPTIONS", "HEAD"} if "GET" in allowed else {"OPTIONS"}
        allow = ", ".join(sorted(allowed | implied))
        if scope["method"] == "OPTIONS":
            await send_rendered(Rendered(204, [(b"allow", allow.encode())], b""), scope, send)
            return
        error = MethodNotAllowed(f"allowed are {allow}", {"Allow": allow})
        await send_rendered(await self._told(error, scope, receive), scope, send)

    async def _told(self, exc: Exception, scope: Scope, receive: Receive) -> Rendered:
        return await self._errors.respond(exc, call_of(scope, receive), scope=scope, doing=doing(scope))

    def _other(self, scope: Scope) -> BaseRoute | None:
        for route in self._others:
            match, within = route.matches(scope)
            if match is not Match.NONE:
                scope.update(within)
                return route
        return None

    def _with_slash(self, scope: Scope) -> bytes | None:
        """Return where the client finds the mounted application whose path it asked for without the last slash."""
        path = route_path(scope)
        if not any(isinstance(route, Mount) and route.path == path for route in self._others):
            return None
        query = scope.get("query_string", b"")
        location = quote(scope["path"] + "/").encode()
        return location + b"?" + query if query else location


def route_path(scope: Mapping[str, Any]) -> str:
    """Return the path below the mount: without the `root_path`, where the path begins with it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
        path = path[len(root) :]
    return path or "/"


Routed = Route | WebSocketRoute


def _enter(scope: Scope, route: Routed, values: Mapping[str, Any]) -> None:
    held = scope.get("path_params")
    scope["path_params"] = {**held, **values} if held else values
    scope["endpoint"] = route.endpoint
