"""What can go wrong with a session: the peer leaves, a call comes at the wrong time, a message can't be used."""

from cortado.exceptions import CortadoError

__all__ = [
    "DestroyedScopeError",
    "InvalidFrame",
    "InvalidMessage",
    "SessionStateError",
    "WebSocketDisconnect",
]


class WebSocketDisconnect(CortadoError):
    """The session has ended: nothing more can be received or sent.

    Raised in the session's own handler, its tasks and its hooks only; no other session's handler ever sees it. A
    handler need not catch it: letting it pass is the normal end.

    Attributes:
        code: The close code, as in the session's `close_event`.
        reason: The close reason.
        session_id: The session that ended; None when the exception was made by hand.
    """

    def __init__(self, code: int = 1000, reason: str = "", *, session_id: str | None = None) -> None:
        self.code, self.reason, self.session_id = code, reason, session_id
        super().__init__(f"the session has ended with {code}" + (f" ({reason})" if reason else ""))


class SessionStateError(CortadoError):
    """A call that the session's present state doesn't allow; the sentence names the state and the cure."""


class DestroyedScopeError(SessionStateError):
    """A scope of a session, or a value of it, was used after its destruction had begun.

    Attributes:
        scope: The scope's name, such as `panel` or `panel-chart`; empty for the session itself.
    """

    def __init__(self, scope: str, doing: str, cure: str) -> None:
        self.scope = scope
        where = f"scope {scope!r}" if scope else "the session"
        super().__init__(f"cannot {doing}: {where} is destroyed; {cure}")


class InvalidFrame(CortadoError):
    """A text frame where a binary one was asked for, or the reverse; 1003 when it escapes the handler.

    Attributes:
        code: The close code that follows when nobody catches it.
    """

    code = 1003

    def __init__(self, expected: str, received: str) -> None:
        self.expected, self.received = expected, received
        super().__init__(f"expected a {expected} frame, received a {received} frame")


class InvalidMessage(CortadoError):
    """A message that can't be used: not JSON, or too large; it closes the session when it escapes the handler.

    Attributes:
        code: The close code that follows when nobody catches it: 1007, or 1009 for a message over the limit.
    """

    def __init__(self, text: str, code: int = 1007) -> None:
        self.code = code
        super().__init__(text)
