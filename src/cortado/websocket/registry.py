"""The live sessions of an application, and the tasks that carry their ends through."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cortado.tasks import settle, settle_all
from cortado.websocket.close import CloseEvent, Initiator, check_close_code, cut_reason
from cortado.websocket.session import WebSocketSession
from cortado.websocket.sweeper import Sweeper

__all__ = ["SessionCounters", "SessionRegistry"]

logger = logging.getLogger("cortado.websocket")

CLOSES_PER_SECOND = 1000


@dataclass(slots=True)
class SessionCounters:
    """What has happened to the sessions of an application since it was made."""

    opened: int = 0
    """Handshakes that reached an endpoint."""
    closed: Counter[Initiator] = field(default_factory=Counter)
    """Ended sessions, by who ended them."""
    evicted: int = 0
    """Ended sessions whose peer did not read what was sent to it."""
    dropped_frames: int = 0
    """Frames that the bounds of outboxes have cost, of ended sessions."""


class SessionRegistry:
    """The live sessions of an application: `len()`, iteration over a snapshot, look-up by id and by path.

    A session is in here from the moment its handshake reaches an endpoint until its last hook has run.
    """

    def __init__(self) -> None:
        self.counters = SessionCounters()
        """What has happened so far."""
        self._sessions: dict[str, WebSocketSession] = {}
        self._held: set[asyncio.Task[Any]] = set()
        self._left_behind: set[asyncio.Task[Any]] = set()
        self._draining = False
        self._sweeper = Sweeper(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[WebSocketSession]:
        """Iterate over the sessions that live now; those that come or go meanwhile change nothing."""
        return iter(tuple(self._sessions.values()))

    def __contains__(self, session: object) -> bool:
        return isinstance(session, WebSocketSession) and session.id in self._sessions

    def get(self, session_id: str) -> WebSocketSession | None:
        """Return the live session of an id, or None."""
        return self._sessions.get(session_id)

    def at(self, path: str) -> list[WebSocketSession]:
        """Return the live sessions that were opened at a path."""
        return [session for session in self if session.path == path]

    async def close_all(self, code: int = 1000, reason: str | None = None, *, within: float = 0.0) -> None:
        """Close every session that lives now and wait until all are closed. Cancelling stops only the waiting.

        Args:
            code: The close code.
            reason: The close reason.
            within: Over how many seconds the closes are spread, so that clients don't come back all at once.

        Raises:
            ValueError: The code is none that a close frame may carry.
        """
        event = CloseEvent(check_close_code(code), cut_reason(reason))
        sessions = list(self)
        closing = asyncio.get_running_loop().create_task(
            self._spread(sessions, lambda session: session._end(event), within)
        )
        self.leave_behind(closing)
        await asyncio.shield(closing)
        for session in sessions:
            await session.wait_closed()

    async def drain(self, *, jitter: float, timeout: float) -> None:
        """End every session with 1012 and wait until all hooks have run, at most `timeout` seconds.

        Sessions that are still there when the time is up are logged and left. A cancellation is raised at the end.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        sessions = list(self)
        spread = min(jitter, len(sessions) / CLOSES_PER_SECOND)
        me = asyncio.current_task()
        cancels = me.cancelling() if me is not None else 0
        self._draining = True
        closing = loop.create_task(self._spread(sessions, WebSocketSession._shut_down, spread))
        await settle(closing, timeout)
        while self._held and (left := deadline - loop.time()) > 0:
            underway = [one for one in self._held if not one.done()]
            if underway:
                await settle_all(underway, left)
            else:  # what lets go of those that are done, or follows them, is called at the loop's next turn
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
        if self._sessions:
            logger.error("%d sessions had not ended after %g s and were left behind", len(self), timeout)
        if me is not None and me.cancelling() > cancels:
            raise asyncio.CancelledError

    def reopen(self) -> None:
        """Take in sessions again after a drain; the framework calls this."""
        self._draining = False

    async def _spread(
        self, sessions: list[WebSocketSession], end: Callable[[WebSocketSession], object], within: float
    ) -> None:
        random.shuffle(sessions)
        now = asyncio.get_running_loop().time
        begun = now()
        for index, session in enumerate(sessions):
            end(session)
            await asyncio.sleep(max(0.0, begun + within * (index + 1) / len(sessions) - now()))

    def add(self, session: WebSocketSession) -> None:
        """Take in a session; the framework calls this."""
        self._sessions[session.id] = session
        self.counters.opened += 1
        self._sweeper.wake(session._loop)
        if self._draining:
            session._shut_down()

    def remove(self, session: WebSocketSession) -> None:
        """Let go of a session; the framework calls this."""
        if self._sessions.pop(session.id, None) is not None and session.close_event is not None:
            self.counters.closed[session.close_event.initiator] += 1
            self.counters.evicted += session._evicted
            self.counters.dropped_frames += session.dropped_frames

    def hold(self, task: "asyncio.Task[Any]") -> None:
        """Keep a task alive until it is done; the framework calls this."""
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    def leave_behind(self, task: "asyncio.Task[Any]") -> None:
        """Keep a task alive that nobody waits for, not even a drain; the framework calls this."""
        self._left_behind.add(task)
        task.add_done_callback(self._left_behind.discard)
