"""A client that runs an application on the test's own event loop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Self, Unpack

from starlette.types import ASGIApp

from cortado.exceptions import ConfigurationError
from cortado.testing.handshake import websocket_scope
from cortado.testing.leaks import check_leaks
from cortado.testing.lifespan import Lifespan
from cortado.testing.requests import HttpClient, QueryParams, RequestOptions, Response, StreamedResponse
from cortado.testing.waiting import DEFAULT_TIMEOUT
from cortado.testing.websocket import TestWebSocket

__all__ = ["TestClient"]

# Imported here and not at the first request: an import reads files, which would block the test's loop.
open_http: Callable[[ASGIApp, str, dict[str, Any], float, bool], HttpClient] | None = None
with suppress(ModuleNotFoundError):
    from cortado.testing.http import open_http


class TestClient:
    """Runs any ASGI application on the test's own loop, and speaks HTTP and WebSocket with it.

    Entering it starts the application; leaving it stops the application and checks that nothing is left behind.
    Every wait has a limit. What the application raises unexpectedly is raised in the test.

    Args:
        app: The application.
        timeout: The limit in seconds of each wait, where a call says nothing else.
        raise_server_exceptions: Whether unexpected exceptions of the application are raised in the test.
        leak_check: Whether tasks and sessions that outlive the application are a failure.
        base_url: Where the application seems to live, and with it the origin of every WebSocket.
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        raise_server_exceptions: bool = True,
        leak_check: bool = True,
        base_url: str = "http://testserver",
    ) -> None:
        self.app = app
        """The application."""
        self._timeout, self._raise, self._leak_check = timeout, raise_server_exceptions, leak_check
        self._base_url = base_url
        self._lifespan = Lifespan(app, timeout)
        self._http: HttpClient | None = None
        self._tasks_before: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Start the application.

        Raises:
            Exception: What the application raised at its start.
            LifespanError: It said that its start failed, but raised nothing.
            WaitTimeoutError: It did not start in time.
        """
        self._tasks_before = asyncio.all_tasks()
        await self._lifespan.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the application.

        Raises:
            Exception: What the application raised at its shutdown, or in a request whose caller had gone away.
            LeakError: It left tasks or sessions behind. Not if the test fails anyhow.
            WaitTimeoutError: It did not stop in time, and was cancelled.
        """
        try:
            if self._http is not None:
                await self._http.aclose()
        finally:
            await self._lifespan.stop()
        if self._leak_check and error is None:
            await check_leaks(self.app, self._tasks_before)

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a GET request; see `request`."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a POST request; see `request`."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a PUT request; see `request`."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a PATCH request; see `request`."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a DELETE request; see `request`."""
        return await self.request("DELETE", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a HEAD request; see `request`."""
        return await self.request("HEAD", url, **options)

    async def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send an OPTIONS request; see `request`."""
        return await self.request("OPTIONS", url, **options)

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request, and return when the application has done all that belongs to it.

        Cookies that an answer sets go with later requests and handshakes. Cancelling is the client going away.

        Raises:
            Exception: What the application raised unexpectedly.
            IncompleteResponse: The application returned before its response was complete.
            WaitTimeoutError: The application did not answer, or did not end its work, in time.
            ConfigurationError: httpx2 isn't installed.
        """
        return await self._open_http().request(method, url, options)

    def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request and look at the answer while it comes; raises as `request`.

        Leaving the context before the end of the answer is the client going away.
        """
        return self._open_http().stream(method, url, options)

    def websocket(
        self,
        path: str,
        *,
        subprotocols: Sequence[str] = (),
        params: QueryParams | None = None,
        headers: Mapping[str, str | None] | None = None,
        timeout: float | None = None,
        raise_server_exceptions: bool | None = None,
    ) -> TestWebSocket:
        """Return a WebSocket; `async with` opens it.

        Args:
            path: The path, with or without a query.
            subprotocols: The subprotocols to offer, in order.
            params: Parameters for the query.
            headers: Header fields on top of a browser's; None takes one away, such as `{"origin": None}`.
            timeout: The limit in seconds of each wait on this socket.
            raise_server_exceptions: Whether unexpected exceptions of the application are raised in the test.
        """
        cookies = {"cookie": self._http.cookie_header(path)} if self._http else {}
        scope = websocket_scope(
            self._base_url,
            path,
            params=params,
            headers={**cookies, **(headers or {})},
            subprotocols=subprotocols,
            state=self._lifespan.state,
        )
        return TestWebSocket(
            self.app,
            scope,
            timeout=self._timeout if timeout is None else timeout,
            raise_server_exceptions=self._raise
            if raise_server_exceptions is None
            else raise_server_exceptions,
        )

    def _open_http(self) -> HttpClient:
        if self._http is None:
            if open_http is None:
                raise ConfigurationError(
                    "HTTP requests of the test client need httpx2; install it with `pip install cortado[testing]`"
                )
            self._http = open_http(self.app, self._base_url, self._lifespan.state, self._timeout, self._raise)
        return self._http
