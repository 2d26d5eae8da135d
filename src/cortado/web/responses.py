"""What a handler may return when the body alone doesn't say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from starlette.responses import Response

__all__ = ["ResponseEntity"]

T = TypeVar("T")

FORBIDDEN = ("\r", "\n", "\0")


@dataclass(frozen=True, slots=True)
class ResponseEntity(Generic[T]):
    """A body together with status and headers.

    The body may be whatever a handler may return; with `ResponseEntity[Item]` as the return annotation it is
    written as an `Item`.

    Raises:
        ValueError: The status is no final one (200 to 599), or a header would break out of its line.
        TypeError: The body is a Starlette `Response`, which has status and headers of its own.
    """

    body: T
    """What is sent; None sends no body."""
    status: int | None = None
    """The status; None means what the mapping says."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the response; a `content-type` here replaces the one of the body."""

    def __post_init__(self) -> None:
        if isinstance(self.body, Response):
            raise TypeError(
                "a ResponseEntity can't hold a Response; set status and headers on the Response itself"
            )
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"the status of a response is 200 to 599, not {self.status!r}")
        for name, value in self.headers.items():
            if any(character in name or character in value for character in FORBIDDEN):
                raise ValueError(f"the header {name!r} holds a line break or a null character")
