"""The lifespan of an application, run as a server runs it."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from cortado.testing.errors import LifespanError, WaitTimeoutError
from cortado.testing.waiting import Changes, settle, within

__all__ = ["Lifespan"]


class Lifespan:
    """One start and one stop of an application, in a task of its own.

    An application that speaks no lifespan (it returns, or raises, before it takes the first event) is left alone,
    as servers do.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.state: dict[str, Any] = {}
        """What the application hands from its start to every connection."""
        self._app, self._timeout = app, timeout
        self._changes = Changes()
        self._failed: dict[str, str] = {}
        self._completed: set[str] = set()
        self._asked = self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Let the application start.

        Raises:
            Exception: What the application raised.
            LifespanError: It said that its start failed, but raised nothing.
            WaitTimeoutError: It did not start in time, and was cancelled.
        """
        self._task = asyncio.create_task(self._run(), name="lifespan")
        self._task.add_done_callback(lambda _: self._changes.notify())
        await self._outcome("startup", self._task)

    async def stop(self) -> None:
        """Let the application stop, and wait for its end.

        Raises:
            Exception: What the application raised.
            LifespanError: It said that its shutdown failed, but raised nothing.
            WaitTimeoutError: It did not stop in time, and was cancelled.
        """
        if self._task is None:
            return
        self._stopping = True
        self._changes.notify()
        await self._outcome("shutdown", self._task)
        await settle(self._task, self._timeout, "the end of the application's lifespan")
        self._raise_from(self._task)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._changes.until(lambda: self._stopping)
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        _, phase, outcome = message["type"].split(".")
        if outcome == "complete":
            self._completed.add(phase)
        else:
            self._failed[phase] = message.get("message", "")
        self._changes.notify()

    async def _outcome(self, phase: str, task: asyncio.Task[None]) -> None:
        awaited = f"the application's {phase}"
        try:
            await within(
                self._timeout,
                self._changes.until(lambda: phase in self._completed or phase in self._failed or task.done()),
                awaited,
            )
        except (WaitTimeoutError, asyncio.CancelledError):
            task.cancel()
            await asyncio.wait([task], timeout=self._timeout)
            raise
        if phase in self._failed:
            await settle(task, self._timeout, f"the end of {awaited}, which has failed")
            self._raise_from(task)
            raise LifespanError(phase, self._failed[phase])
        if task.done():
            self._raise_from(task)

    def _raise_from(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        # Who raises before taking the first event speaks no lifespan.
        if error is not None and self._asked:
            raise error
