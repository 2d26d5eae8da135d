"""What the mapping decorators write down: frozen records on classes and functions."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["ExceptionHandling", "HttpMapping", "OnClientDisconnect", "RequestMapping", "WebSocketMapping"]

OnClientDisconnect = Literal["cancel", "finish"]
"""What happens to a handler whose client has left."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class RequestMapping:
    """The base path of a controller."""

    path: str
    """Joined with the path of each mapping, with exactly one `/` between."""


@dataclass(frozen=True, slots=True)
class HttpMapping:
    """A method that answers HTTP requests."""

    methods: tuple[str, ...]
    """The HTTP methods, in upper case."""
    path: str = ""
    """The path below the controller's base path."""
    status_code: int | None = None
    """The status of the response; None means 200, or 204 where nothing is returned."""
    on_client_disconnect: OnClientDisconnect | None = None
    """What happens when the client leaves; None means `cancel` for GET, HEAD and OPTIONS, `finish` for the others."""

    @property
    def cancels(self) -> bool:
        """Whether a handler whose client has left is cancelled."""
        if self.on_client_disconnect is None:
            return SAFE_METHODS.issuperset(self.methods)
        return self.on_client_disconnect == "cancel"


@dataclass(frozen=True, slots=True)
class WebSocketMapping:
    """A method that handles WebSocket connections."""

    path: str = ""
    """The path below the controller's base path."""
    subprotocols: tuple[str, ...] = ()
    """The subprotocols that the endpoint speaks, the preferred one first."""


@dataclass(frozen=True, slots=True)
class ExceptionHandling:
    """A method that turns exceptions into responses."""

    types: tuple[type[Exception], ...]
    """The exceptions that it takes, subclasses included."""
    status_code: int | None = None
    """The status of the response; None means the exception's own status where it has one, else 500."""
