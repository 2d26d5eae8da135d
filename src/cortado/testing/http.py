"""HTTP requests to an application on the test's own loop, as a transport for httpx2."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.types import ASGIApp, Message, Scope

from cortado.testing.errors import IncompleteResponse
from cortado.testing.requests import HttpClient, RequestOptions
from cortado.testing.waiting import Changes, settle, within

__all__ = ["open_http"]

HIGH_WATER = 16
"""How many chunks of a response may wait for their reader."""


def open_http(
    app: ASGIApp, base_url: str, state: dict[str, Any], timeout: float, raise_server_exceptions: bool
) -> HttpClient:
    """Return the HTTP half of `TestClient`."""
    return Httpx2Client(app, base_url, state, timeout, raise_server_exceptions)


class Httpx2Client:
    """httpx2's client, with its cookies, on top of `AppTransport`."""

    def __init__(
        self,
        app: ASGIApp,
        base_url: str,
        state: dict[str, Any],
        timeout: float,
        raise_server_exceptions: bool,
    ) -> None:
        self._timeout, self._raise = timeout, raise_server_exceptions
        self._client = httpx2.AsyncClient(
            transport=AppTransport(app, state), base_url=base_url, trust_env=False
        )

    async def request(self, method: str, url: str, options: RequestOptions) -> httpx2.Response:
        """Send a request and return the whole answer."""
        return await self._client.request(method, url, **self._arguments(options))

    @asynccontextmanager
    async def stream(self, method: str, url: str, options: RequestOptions) -> AsyncIterator[httpx2.Response]:
        """Send a request and return the answer as soon as its head is there."""
        async with self._client.stream(method, url, **self._arguments(options)) as response:
            yield response

    def cookie_header(self, url: str) -> str | None:
        """Return the `Cookie` header that goes with a request, of what was set by earlier answers."""
        request = self._client.build_request("GET", url)
        return request.headers.get("cookie")

    async def aclose(self) -> None:
        """Wait for requests whose callers went away early, and let go of everything."""
        await self._client.aclose()

    def _arguments(self, options: RequestOptions) -> dict[str, Any]:
        arguments: dict[str, Any] = {**options}
        limits = {
            "cortado.timeout": arguments.pop("timeout", self._timeout),
            "cortado.raise_server_exceptions": arguments.pop("raise_server_exceptions", self._raise),
        }
        return {**arguments, "extensions": limits}


class AppTransport(httpx2.AsyncBaseTransport):
    """Carries each request to the application as a server would: head first, then the body as it is sent.

    Closing a response waits for the end of the application's call, background tasks included, and raises its
    unexpected exception. A caller that goes away early is an `http.disconnect` for the application.
    """

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app, self._state = app, state
        self._abandoned: list[Exchange] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response as soon as its head is there; the request's extensions hold the limits."""
        exchange = Exchange(
            self._app,
            self._scope(request),
            await request.aread(),
            timeout=request.extensions["cortado.timeout"],
            raise_server_exceptions=request.extensions["cortado.raise_server_exceptions"],
        )
        try:
            return await exchange.response()
        except BaseException:
            if not exchange.ended:
                self._abandoned.append(exchange)
            raise

    async def aclose(self) -> None:
        """Wait for the calls whose callers went away early, as a server does before it stops."""
        for exchange in self._abandoned:
            await exchange.aclose()

    def _scope(self, request: httpx2.Request) -> Scope:
        url = request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "server": (url.host, url.port or 80),
            "client": ("127.0.0.1", 50000),
            "state": self._state.copy(),
            "extensions": {"cortado.exceptions": []},
        }


class Exchange(httpx2.AsyncByteStream):
    """One request and its response; the application is called in a task of its own."""

    def __init__(
        self, app: ASGIApp, scope: Scope, body: bytes, *, timeout: float, raise_server_exceptions: bool
    ) -> None:
        self._scope, self._timeout, self._raise = scope, timeout, raise_server_exceptions
        self._path: str = scope["path"]
        self._changes = Changes()
        self._request: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._head: Message | None = None
        self._chunks: deque[bytes] = deque()
        self._complete = self._gone = False
        self._task = asyncio.create_task(self._run(app), name=f"{scope['method']} {self._path}")
        self._task.add_done_callback(lambda _: self._changes.notify())

    @property
    def ended(self) -> bool:
        """Whether the application's call is over."""
        return self._task.done()

    async def response(self) -> httpx2.Response:
        """Wait for the head of the response, and return it with this exchange as its body."""
        try:
            await self._until("a response", lambda: self._head or self._task.done())
        except BaseException:
            self._leave()
            raise
        if self._head:
            return httpx2.Response(self._head["status"], headers=self._head.get("headers"), stream=self)
        await self.aclose()
        if self._failure() is None:
            raise IncompleteResponse(self._path)
        return httpx2.Response(500, text="Internal Server Error")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it is sent."""
        while True:
            await self._until(
                "the rest of the response", lambda: self._chunks or self._complete or self._task.done()
            )
            if self._chunks:
                yield self._chunks.popleft()
                self._changes.notify()
            elif self._complete:
                return
            else:
                raise IncompleteResponse(self._path)

    async def aclose(self) -> None:
        """Wait for the end of the application's call, and raise its unexpected exception."""
        self._leave()
        await settle(self._task, self._timeout, f"the end of the call for {self._path}")
        failure = self._failure()
        if self._raise and failure:
            raise failure

    async def _run(self, app: ASGIApp) -> None:
        await app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if request := self._request:
            self._request = None
            return request
        await self._changes.until(lambda: self._gone)
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
        elif message["type"] == "http.response.body":
            await self._take(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        self._changes.notify()

    async def _take(self, chunk: bytes) -> None:
        if not chunk or self._scope["method"] == "HEAD":
            return
        await self._changes.until(lambda: len(self._chunks) < HIGH_WATER or self._gone)
        if not self._gone:  # like every server: what is sent to a client that is gone is silently dropped
            self._chunks.append(chunk)

    async def _until(self, awaited: str, condition: Callable[[], object]) -> None:
        await within(self._timeout, self._changes.until(condition), f"{awaited} from {self._path}")

    def _leave(self) -> None:
        self._gone = True
        self._changes.notify()

    def _failure(self) -> BaseException | None:
        reported: list[BaseException] = self._scope["extensions"]["cortado.exceptions"]
        raised = None if self._task.cancelled() else self._task.exception()
        return reported[0] if reported else raised
