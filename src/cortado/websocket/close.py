"""How a connection ended: close codes, close reasons, and the event that tells both."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CloseEvent", "Initiator", "check_close_code", "cut_reason"]

REASON_BYTES = 123


class Initiator(StrEnum):
    """Who or what ended a session."""

    CLIENT = "client"
    """The peer said goodbye."""
    SERVER = "server"
    """The handler returned, or somebody called `close()`."""
    NETWORK = "network"
    """The peer vanished, or did not read in time."""
    SHUTDOWN = "shutdown"
    """The server stops, or the application drains."""
    ERROR = "error"
    """The handler failed."""


@dataclass(frozen=True, slots=True)
class CloseEvent:
    """How a session ended. Complete before the first hook runs."""

    code: int
    """The close code; 1006 for every abrupt loss, 1005 for a peer's close frame without code."""
    reason: str = ""
    """The close reason."""
    was_clean: bool = True
    """Whether a close frame was received or could be sent."""
    initiator: Initiator = Initiator.SERVER
    """Who or what ended it."""
    hard: bool = False
    """Whether it was ended for good: the client must not come back, and all state is cleared."""
    error: BaseException | None = None
    """What the handler failed with, if it failed."""


def check_close_code(code: int) -> int:
    """Return the code if a close frame may carry it.

    Raises:
        ValueError: It may not: RFC 6455 §7.4 and the registry allow 1000-1003, 1007-1014 and 3000-4999.
    """
    legal = type(code) is int and (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999)
    if not legal:
        raise ValueError(
            f"a close frame can't carry the code {code!r}; use 1000-1003, 1007-1014 or 3000-4999"
        )
    return code


def cut_reason(reason: str | None) -> str:
    """Return the reason cut to what a close frame holds: 123 bytes of UTF-8, on a character border."""
    encoded = (reason or "").encode(errors="replace")
    return encoded[:REASON_BYTES].decode(errors="ignore")
