"""Every setting with its default, in one frozen and validated place."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal, Self, get_args

from cortado.exceptions import ConfigurationError

__all__ = ["HttpSettings", "OverflowPolicy", "Settings", "WebSocketSettings"]

OverflowPolicy = Literal["disconnect", "drop_oldest", "drop_newest"]
"""What happens to a session whose outbox is over its bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketSettings:
    """Limits and times of WebSocket sessions; times are seconds, sizes are bytes.

    Raises:
        ConfigurationError: A value is of the wrong type or out of range; the sentence names the setting.
    """

    accept_timeout: float = 10.0
    """How long a handler may take until it accepts or denies the handshake."""
    disconnect_grace_period: float = 3.0
    """How long a handler may go on after its session has ended, before it is cancelled."""
    close_timeout: float = 2.0
    """How long the farewell to the peer may take: frames still queued, hard-close notice and close frame together."""
    send_timeout: float = 10.0
    """How long one frame may wait for a peer that doesn't read, before the session is ended."""
    hook_timeout: float = 10.0
    """How long one hook may run before it is cut."""
    max_message_size: int = 64 * 1024
    """The largest message taken from a peer."""
    outbox_frames: int = 256
    """How many frames others may queue for one session."""
    outbox_bytes: int = 1024 * 1024
    """How many bytes others may queue for one session."""
    on_overflow: OverflowPolicy = "disconnect"
    """What happens when one of the two bounds is passed."""
    idle_timeout: float | None = None
    """After how long without an incoming message a session is ended for good; None means never."""
    hard_close_code: int = 4001
    """The close code of a hard close. A client that sees it must not reconnect."""
    hard_close_reason: str = "cortado-hard-disconnect"
    """The close reason of a hard close."""
    origins: tuple[str, ...] | None = None
    """The exact origins that may open a WebSocket from a page; None means the same origin only, `("*",)` any."""

    def __post_init__(self) -> None:
        for name in ("accept_timeout", "close_timeout", "send_timeout", "hook_timeout"):
            _check_seconds(self, name)
        _check_seconds(self, "disconnect_grace_period", zero=True)
        if self.idle_timeout is not None:
            _check_seconds(self, "idle_timeout")
        for name in (
            "max_message_size",
            "outbox_frames",
            "outbox_bytes",
        ):
            _check_count(self, name)
        _check_choice(self, "on_overflow", get_args(OverflowPolicy))
        if self.hard_close_code not in range(4000, 5000):
            raise ConfigurationError(
                f"hard_close_code must be a private close code, 4000 to 4999, not {self.hard_close_code!r}"
            )
        reason: object = self.hard_close_reason
        if not isinstance(reason, str):
            raise ConfigurationError(f"hard_close_reason must be a string, not {self.hard_close_reason!r}")
        if self.origins is not None:
            origins: object = self.origins
            if not isinstance(origins, list | tuple | set | frozenset) or not all(
                isinstance(origin, str) for origin in origins
            ):
                raise ConfigurationError(f"origins must be a list of strings, not {self.origins!r}")
            object.__setattr__(self, "origins", tuple(self.origins))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Limits of HTTP requests; sizes are bytes, times are seconds.

    Raises:
        ConfigurationError: A value is of the wrong type or out of range; the sentence names the setting.
    """

    max_body_size: int = 1024 * 1024
    """The largest request body read for a handler; a larger one is answered with 413."""
    body_timeout: float = 30.0
    """How long a request body may take to arrive; a slower one is answered with 408."""
    disconnect_grace_period: float = 3.0
    """How long a handler may go on after its client has left, before it is cancelled."""
    cancel_timeout: float = 10.0
    """How long a handler that was cancelled may take to end, before it is left behind."""

    def __post_init__(self) -> None:
        _check_count(self, "max_body_size")
        _check_seconds(self, "body_timeout")
        _check_seconds(self, "disconnect_grace_period", zero=True)
        _check_seconds(self, "cancel_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of an application.

    Each group may be given as its class or as a plain mapping of the same shape.

    Raises:
        ConfigurationError: An unknown key (with the nearest known one), a wrong type or a value out of range.
    """

    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    """WebSocket sessions."""
    http: HttpSettings = field(default_factory=HttpSettings)
    """HTTP requests."""
    drain_timeout: float = 20.0
    """How long the application waits at its end for sessions to finish."""
    drain_jitter: float = 2.0
    """Over how many seconds a drain spreads its closes."""
    drain_on_sigterm: bool = True
    """Whether a SIGTERM drains the application before the server acts on it, where the server lets it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "websocket", _group(WebSocketSettings, self.websocket, "websocket"))
        object.__setattr__(self, "http", _group(HttpSettings, self.http, "http"))
        _check_seconds(self, "drain_timeout")
        _check_seconds(self, "drain_jitter", zero=True)
        if not isinstance(self.drain_on_sigterm, bool):
            raise ConfigurationError(f"drain_on_sigterm must be True or False, not {self.drain_on_sigterm!r}")

    @classmethod
    def of(cls, given: "Settings | Mapping[str, Any] | None") -> Self:
        """Return the settings for what the user gave: an instance, a mapping of the same shape, or nothing."""
        settings: Self = _group(cls, {} if given is None else given, "settings")
        return settings


def _group(kind: type[Any], given: Any, where: str) -> Any:
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{where} must be a {kind.__name__} or a mapping, not {given!r}")
    known = [one.name for one in fields(kind)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
            raise ConfigurationError(f"{where} has no setting {key!r}; {hint}")
    return kind(**given)


def _check_seconds(settings: object, name: str, *, zero: bool = False) -> None:
    value = getattr(settings, name)
    valid = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if not valid or value < 0 or (value == 0 and not zero):
        least = "zero or more" if zero else "more than zero"
        raise ConfigurationError(f"{name} must be a number of seconds, {least}, not {value!r}")


def _check_count(settings: object, name: str) -> None:
    value = getattr(settings, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number, 1 or more, not {value!r}")


def _check_choice(settings: object, name: str, choices: tuple[str, ...]) -> None:
    value = getattr(settings, name)
    if value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
