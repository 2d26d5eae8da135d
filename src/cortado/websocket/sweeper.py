"""One clock for all sessions of an application: it looks for what is overdue, so that no message needs a timer."""

import asyncio
import logging
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass

from cortado.problems import Problem
from cortado.websocket.close import Initiator
from cortado.websocket.session import Refusal, SessionState, WebSocketSession

__all__ = ["Sweeper"]

logger = logging.getLogger("cortado.websocket")

TICK = 0.25
"""Seconds between two sweeps: what is overdue is found at most this much later."""
IDLE_MESSAGE = "This session has been closed because nothing was received for too long."


@dataclass(slots=True)
class _Seen:
    """What a session looked like at the last sweep."""

    since: float
    """When the session was first seen in the present state."""
    arrived: int = -1
    heard: float = 0.0
    writes: int = -1
    writing: float = 0.0


class Sweeper:
    """Looks at every session at every tick; runs only while there are sessions.

    It starts the read-ahead of sessions whose handlers are busy, ends those whose writes are stuck for longer than
    `send_timeout`, whose handshakes are open for longer than `accept_timeout`, and who were idle for longer than
    `idle_timeout`.
    """

    def __init__(self, sessions: Mapping[str, WebSocketSession]) -> None:
        self._sessions = sessions
        self._seen: dict[str, _Seen] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to sweep on a loop, if not already at it."""
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            # In no session's context: the sweeper would keep it as long as it goes on.
            self._timer = loop.call_later(TICK, self._sweep, context=Context())

    def _sweep(self) -> None:
        self._timer = None
        if self._loop is None or not self._sessions:
            self._seen.clear()
            return
        now = self._loop.time()
        before, self._seen = self._seen, {}
        for session in tuple(self._sessions.values()):
            seen = before.get(session.id) or _Seen(now, heard=now, writing=now)
            self._seen[session.id] = seen
            try:
                _look_at(session, seen, now)
            except Exception:
                logger.exception("The sweep of %s failed", session)
        self._timer = self._loop.call_later(TICK, self._sweep)


def _look_at(session: WebSocketSession, seen: _Seen, now: float) -> None:
    if session._state is SessionState.OPEN:
        _check_writing(session, seen, now)
        _check_reading(session, seen, now)
    elif session._state is SessionState.CONNECTING and now - seen.since > session.settings.accept_timeout:
        session._refuse(Refusal.of(Problem(503)), Initiator.SERVER)


def _check_writing(session: WebSocketSession, seen: _Seen, now: float) -> None:
    outbox = session._outbox
    if not outbox.busy or outbox.writes != seen.writes:
        seen.writes, seen.writing = outbox.writes, now
    elif now - seen.writing > session.settings.send_timeout:
        logger.debug("%s does not read; it is cut off", session)
        session._cut()


def _check_reading(session: WebSocketSession, seen: _Seen, now: float) -> None:
    inbox, idle_timeout = session._inbox, session.settings.idle_timeout
    quiet = inbox.arrived == seen.arrived
    if not quiet:
        seen.arrived, seen.heard = inbox.arrived, now
    elif idle_timeout is not None and now - seen.heard > idle_timeout and not inbox.full:
        session._close_hard(IDLE_MESSAGE)
        return
    if quiet or not inbox.arrived:
        inbox.read_ahead()
