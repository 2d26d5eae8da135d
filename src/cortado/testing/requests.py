"""What a test asks of an application over HTTP, and what it gets; the types only, so that they need no client."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypedDict

__all__ = ["HttpClient", "QueryParams", "RequestOptions", "Response", "StreamedResponse"]

QueryParams = Mapping[str, Any] | Sequence[tuple[str, Any]]


class RequestOptions(TypedDict, total=False):
    """What may go with a request; what has no text here means what it means in httpx2."""

    params: QueryParams
    headers: Mapping[str, str]
    json: Any
    content: str | bytes
    data: Mapping[str, Any]
    files: Mapping[str, Any]
    follow_redirects: bool
    timeout: float
    """The limit in seconds of each wait of this request."""
    raise_server_exceptions: bool
    """Whether an unexpected exception of the application is raised here; otherwise it is a 500."""


class Response(Protocol):
    """The answer to a request, as far as tests commonly look at it. It is httpx2's, which can do more."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are matched without regard to case."""
        ...

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies that the answer sets."""
        ...

    @property
    def content(self) -> bytes:
        """The body."""
        ...

    @property
    def text(self) -> str:
        """The body, decoded."""
        ...

    def json(self) -> Any:
        """Return the body read as JSON."""
        ...


class StreamedResponse(Protocol):
    """The answer to a request while its body is still under way. It is httpx2's, which can do more."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are matched without regard to case."""
        ...

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it comes."""
        ...

    def aiter_lines(self) -> AsyncIterator[str]:
        """Iterate over the body's lines as they come."""
        ...

    async def aread(self) -> bytes:
        """Return the rest of the body."""
        ...


class HttpClient(Protocol):
    """What `TestClient` needs of its HTTP half."""

    async def request(self, method: str, url: str, options: RequestOptions) -> Response:
        """Send a request and return the whole answer."""
        ...

    def stream(
        self, method: str, url: str, options: RequestOptions
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request and return the answer as soon as its head is there."""
        ...

    def cookie_header(self, url: str) -> str | None:
        """Return the `Cookie` header that goes with a request, of what was set by earlier answers."""
        ...

    async def aclose(self) -> None:
        """Wait for requests whose callers went away early, and let go of everything."""
        ...
