"""What the mapping decorators write down: frozen records on classes and functions."""

from dataclasses import dataclass

__all__ = ["ExceptionHandling", "HttpMapping", "RequestMapping", "WebSocketMapping"]


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
