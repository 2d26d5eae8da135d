"""What goes wrong in a test, said so that the test's output alone explains it."""

import json
from collections.abc import Sequence
from typing import Any

from cortado.exceptions import CortadoError
from cortado.head import Headers

__all__ = [
    "ConnectionClosed",
    "HandshakeDenied",
    "IncompleteResponse",
    "LeakError",
    "LifespanError",
    "UnexpectedMessage",
    "WaitTimeoutError",
    "surface",
]


class WaitTimeoutError(CortadoError, TimeoutError):
    """What a test waited for did not happen in time.

    Attributes:
        awaited: What was waited for, in words.
        seconds: How long it was waited for.
    """

    def __init__(self, awaited: str, seconds: float) -> None:
        self.awaited, self.seconds = awaited, seconds
        super().__init__(f"waited {seconds:g} s in vain for {awaited}")


class HandshakeDenied(CortadoError):
    """The application refused the WebSocket handshake.

    Attributes:
        status: The HTTP status; 403 where the application closed before it accepted, 500 where it just ended.
        headers: The response's header fields.
        body: The response's body.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        shown = f": {body[:200].decode(errors='replace')}" if body else ""
        super().__init__(f"the handshake was denied with {status}{shown}")

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)


class ConnectionClosed(CortadoError):
    """The application has closed the connection, and all that it sent before was received.

    Attributes:
        code: The close code on the wire.
        reason: The close reason on the wire.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        self.code, self.reason = code, reason
        super().__init__(
            f"the application closed the connection with {code}" + (f" {reason!r}" if reason else "")
        )


class UnexpectedMessage(CortadoError, AssertionError):
    """The next message is of another kind than the test asked for.

    Attributes:
        message: The message that came.
    """

    def __init__(self, expected: str, message: str | bytes) -> None:
        self.message = message
        super().__init__(f"the next message should be {expected}, but is {message!r}")


class LeakError(CortadoError, AssertionError):
    """The application left something behind when it had stopped.

    Attributes:
        leaks: Each thing that was left behind, in words.
    """

    def __init__(self, leaks: Sequence[str]) -> None:
        self.leaks = tuple(leaks)
        super().__init__("the application left behind:\n" + "\n".join(f"- {leak}" for leak in self.leaks))


class LifespanError(CortadoError):
    """The application said that its startup or its shutdown failed, and raised nothing.

    Attributes:
        phase: `startup` or `shutdown`.
        text: What the application said about it.
    """

    def __init__(self, phase: str, text: str) -> None:
        self.phase, self.text = phase, text
        super().__init__(f"the application's {phase} failed" + (f": {text}" if text else ""))


class IncompleteResponse(CortadoError):
    """The application returned before its HTTP response was complete."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"the application returned without completing its response to {path}")


def surface(
    failure: BaseException, error: BaseException | None, consequences: tuple[type[BaseException], ...]
) -> None:
    """Raise a failure that was found while an error was on its way, unless the error is more than its consequence.

    Then the error goes on, with a note of the failure.
    """
    if error is None or isinstance(error, consequences):
        raise failure
    if error is not failure:
        error.add_note(f"besides, the application failed: {failure!r}")
