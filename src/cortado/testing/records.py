"""What an application said about a connection, as a test looks at it afterwards."""

from dataclasses import dataclass

from cortado.head import Headers

__all__ = ["Acceptance", "CloseFrame", "Denial"]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The handshake was completed."""

    subprotocol: str | None
    """The subprotocol chosen."""
    headers: Headers
    """The header fields that go with it."""


@dataclass(frozen=True, slots=True)
class Denial:
    """The handshake was refused."""

    status: int
    """The HTTP status."""
    headers: Headers
    """The response's header fields."""
    body: bytes
    """The response's body."""


@dataclass(frozen=True, slots=True)
class CloseFrame:
    """A close frame."""

    code: int
    """The close code."""
    reason: str = ""
    """The close reason."""
