"""A handler's result to a response, serialised once, to bytes."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.responses import Response

from cortado.binding.results import Serialize
from cortado.problems import MEDIA_TYPE, HTTPError, Problem
from cortado.web.responses import ResponseEntity

__all__ = ["RESPONSES", "WITHOUT_BODY", "Rendered", "Renderer", "Streamed", "render_problem"]

RESPONSES = (Response, ResponseEntity, Problem, HTTPError)
"""The return types that are responses by themselves."""

Header = tuple[bytes, bytes]

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
BYTES = (b"content-type", b"application/octet-stream")
PROBLEM = (b"content-type", MEDIA_TYPE.encode())

WITHOUT_BODY = frozenset({204, 304})

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What ends a header's line, or makes a server drop the connection without an answer."""


class Rendered(NamedTuple):
    """A whole response, ready for the wire."""

    status: int
    headers: list[Header]
    """All but `content-length`, which whoever sends it adds."""
    body: bytes
    title: str = ""
    """The title of the problem, where it is one."""


class Streamed(NamedTuple):
    """A response whose body comes piece by piece."""

    status: int
    headers: list[Header]
    chunks: AsyncIterator[Any]

    def headers_for(self, chunk: object) -> list[Header]:
        """Return the headers for a stream that begins with this piece: text or bytes, unless they say otherwise."""
        if _states_type(self.headers):
            return self.headers
        return [*self.headers, TEXT if isinstance(chunk, str) else BYTES]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders the results of one handler."""

    serialize: Serialize
    """How a result becomes JSON."""
    status: int | None = None
    """The status that the mapping declares."""

    def render(self, result: Any) -> Rendered | Streamed | Response:
        """Return the response for a result."""
        status = self.status
        extra: list[Header] = []
        if isinstance(result, ResponseEntity):
            status = result.status or status
            extra = [_encoded(name, value) for name, value in result.headers.items()]
            result = result.body
        if result is None:
            return Rendered(status or 204, extra, b"")
        if isinstance(result, str):
            return _whole(status or 200, TEXT, result.encode(), extra)
        if isinstance(result, bytes):
            return _whole(status or 200, BYTES, result, extra)
        if isinstance(result, Response):
            return result
        if isinstance(result, AsyncIterator):
            return Streamed(status or 200, extra, result)
        if isinstance(result, Problem):
            return render_problem(result)
        if isinstance(result, HTTPError):
            return render_problem(result.problem())
        return _whole(status or 200, JSON, self.serialize(result), extra)


def render_problem(problem: Problem) -> Rendered:
    """Return the response that tells a client of a problem."""
    headers = [_encoded(name, value) for name, value in problem.headers.items()]
    return _whole(problem.status, PROBLEM, problem.to_json(), headers)._replace(title=problem.title)


def _whole(status: int, kind: Header, body: bytes, extra: list[Header]) -> Rendered:
    if status in WITHOUT_BODY:
        return Rendered(status, extra, b"")
    if not extra:
        return Rendered(status, [kind], body)
    kept = [header for header in extra if header[0] != b"content-length"]
    return Rendered(status, kept if _states_type(kept) else [*kept, kind], body)


def _states_type(headers: list[Header]) -> bool:
    return any(name == b"content-type" for name, _ in headers)


def _encoded(name: str, value: str) -> Header:
    if not TOKEN.fullmatch(name) or CONTROL.search(value):
        raise ValueError(
            f"the header {name!r} is none: its name is no token, or its value holds a control character"
        )
    return name.lower().encode("latin-1"), value.encode("latin-1")
