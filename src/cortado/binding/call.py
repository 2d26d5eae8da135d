"""What a plan binds from: the head of a request or handshake, what its scope provides, and the body."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cortado.head import Head

__all__ = ["Call"]


@dataclass(slots=True)
class Call:
    """One request or handshake as the binder sees it."""

    head: Head
    """What the client said before any body or message."""
    context: Mapping[Any, object] = field(default_factory=dict)
    """What the scope provides itself, by type, such as the request or the session."""
    read_body: Callable[[], Awaitable[bytes]] | None = None
    """Reads the whole body; None for a handshake, which has none."""
