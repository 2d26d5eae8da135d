"""Problem details (RFC 9457): the one shape of every error that a client sees, and the errors that carry it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from cortado.exceptions import CortadoError

__all__ = [
    "BadRequest",
    "Conflict",
    "ContentTooLarge",
    "FieldError",
    "Forbidden",
    "Gone",
    "HTTPError",
    "MethodNotAllowed",
    "NotFound",
    "Problem",
    "RequestTimeout",
    "RequestValidationError",
    "ServiceUnavailable",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
]

MEDIA_TYPE = "application/problem+json"
RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110's words, before Python 3.13 too


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a request: where, and what."""

    location: tuple[str | int, ...]
    """Where: the source first (`query`, `path`, `header`, `cookie`, `body`), then the way down to the value."""
    message: str
    """What is wrong, in words for the one who sent it."""
    kind: str = "invalid"
    """A stable word for programs, such as pydantic's error type."""

    def to_dict(self) -> dict[str, Any]:
        """Return the member as it stands in the problem's `errors`."""
        return {"location": list(self.location), "message": self.message, "type": self.kind}


@dataclass(frozen=True, slots=True)
class Problem:
    """What a client is told about an error; nothing in it stems from an unexpected exception."""

    status: int
    """The HTTP status; after a WebSocket's handshake, 4000 more is the close code."""
    title: str = ""
    """A short name of the kind of problem; the standard phrase of the status when left empty."""
    detail: str | None = None
    """What is wrong this time."""
    type: str = "about:blank"
    """A URI that identifies the kind of problem."""
    instance: str | None = None
    """A URI that identifies this occurrence."""
    errors: tuple[FieldError, ...] = ()
    """What is wrong with the single values of a request."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that go with the response, such as `Retry-After`."""

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", phrase(self.status))

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the problem document; absent ones are left out."""
        document: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail is not None:
            document["detail"] = self.detail
        if self.instance is not None:
            document["instance"] = self.instance
        if self.errors:
            document["errors"] = [error.to_dict() for error in self.errors]
        return document

    def to_json(self) -> bytes:
        """Return the problem document as UTF-8."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


class HTTPError(CortadoError):
    """An error with an HTTP status, for requests, handshakes and messages alike.

    Raised in a handler it becomes a problem document; raised before a WebSocket is accepted, a denial with this
    status; afterwards a close with code 4000 + status and the problem's title as its reason.

    Args:
        status: An HTTP status, 400 to 599.
        detail: What is wrong this time, for the client to read.
        headers: Headers that go with the response.

    Raises:
        ValueError: `status` is no error status.
    """

    def __init__(
        self, status: int, detail: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"an HTTPError needs an error status, 400 to 599, not {status!r}")
        self.status, self.detail, self.headers = status, detail, dict(headers or {})
        super().__init__(f"{status} {phrase(status)}" + (f": {detail}" if detail else ""))

    def problem(self) -> Problem:
        """Return the problem document for this error."""
        return Problem(self.status, detail=self.detail, headers=self.headers)


class _Named(HTTPError):
    """An `HTTPError` whose class says the status."""

    code: int

    def __init__(self, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(self.code, detail, headers)


class BadRequest(_Named):
    """400: the request can't be read."""

    code = 400


class Unauthorized(_Named):
    """401: who calls is not known."""

    code = 401


class Forbidden(_Named):
    """403: who calls may not do this."""

    code = 403


class NotFound(_Named):
    """404: there is no such thing."""

    code = 404


class MethodNotAllowed(_Named):
    """405: the path exists, but not for this method."""

    code = 405


class RequestTimeout(_Named):
    """408: the request did not arrive in time."""

    code = 408


class Conflict(_Named):
    """409: the request contradicts the present state."""

    code = 409


class Gone(_Named):
    """410: there was such a thing once."""

    code = 410


class ContentTooLarge(_Named):
    """413: the body is over the limit."""

    code = 413


class UnsupportedMediaType(_Named):
    """415: the body is of a kind that isn't read here."""

    code = 415


class RequestValidationError(_Named):
    """422: a parameter or a field of the body is missing or invalid.

    Attributes:
        errors: Each thing that is wrong, with its location.
    """

    code = 422

    def __init__(self, errors: tuple[FieldError, ...], detail: str | None = None) -> None:
        self.errors = errors
        if detail is None:
            detail = "1 value is invalid" if len(errors) == 1 else f"{len(errors)} values are invalid"
        super().__init__(detail)

    def problem(self) -> Problem:
        """Return the problem document, with `errors`."""
        return Problem(self.status, detail=self.detail, errors=self.errors, headers=self.headers)


class TooManyRequests(_Named):
    """429: the caller asks too often."""

    code = 429


class ServiceUnavailable(_Named):
    """503: not now."""

    code = 503


def phrase(status: int) -> str:
    """Return the standard phrase of a status, such as `Not Found`."""
    if status in RENAMED:
        return RENAMED[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


INTERNAL_ERROR = Problem(500)
"""What a client learns of an unexpected exception: nothing."""
