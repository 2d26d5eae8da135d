"""The departure of a request's client: noticed beside the handler, which may finish in time or is cancelled."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextvars import Context
from enum import Enum, auto
from typing import Any

from cortado.settings import HttpSettings
from cortado.tasks import Starter
from cortado.web.disconnected import Disconnected

__all__ = ["Attended", "Departure", "Departures", "Phase"]

logger = logging.getLogger("cortado.web")

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]

TICK = 0.25
"""Seconds between two sweeps: a request is listened to when it has lived through one, and is met again."""


class Phase(Enum):
    """How far the answer to a request is."""

    HANDLING = auto()
    """The handler is at work; a departure cancels it after a grace period."""
    STREAMING = auto()
    """The handler's stream is on its way; a departure cancels it at once."""
    CLOSING = auto()
    """The handler's stream is being closed before its end; only the time for that is limited."""
    RESPONDING = auto()
    """The handler has ended; a departure changes nothing any more."""
    DONE = auto()
    """The answer is complete: what the server calls a disconnect from now on is none."""


class Attended(ABC):
    """A request that is being answered, as far as its client's departure matters."""

    __slots__ = ("cancels", "departure", "phase", "receive", "seen", "task")

    cancels: bool
    """Whether a departure cancels the handler."""
    departure: "Departure | None"
    """What listens for the departure, if anybody does."""
    phase: Phase
    receive: Receive
    """The server's; one caller at a time."""
    seen: bool
    """Whether a sweep has met the request already."""
    task: "asyncio.Task[Any]"
    """In which the request is answered."""

    @abstractmethod
    def listen(self) -> None:
        """Listen for the departure from now on, as soon as the body permits."""

    @abstractmethod
    def may_listen(self) -> bool:
        """Whether listening takes nothing away from whoever reads the body, or is going to."""

    @abstractmethod
    def body_arrived(self) -> bool:
        """Whether somebody has read the body to its end."""

    @abstractmethod
    def body_unwanted(self) -> bool:
        """Whether the answer is on its way, and nobody has asked for the body."""

    @abstractmethod
    def abandon(self) -> None:
        """End what belongs to the request although its handler still runs."""


class Departures:
    """One clock for all requests of an application, so that a short one needs neither a timer nor a task.

    A request that is met by a second sweep is listened to from then on.
    """

    __slots__ = ("_held", "_timer", "live", "loop", "settings", "starter")

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        """How long handlers have."""
        self.starter = Starter()
        """Starts the tasks that listen."""
        self.live: set[Attended] = set()
        """The requests under way."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """Where the clock goes; None while it stands."""
        self._held: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, request: Attended) -> None:
        """Look after a request, until somebody takes it out of `live`."""
        self.live.add(request)
        loop = asyncio.get_running_loop()
        if self.loop is not loop:
            self.wind(loop)

    def wind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the clock go on a loop, until a sweep meets no request."""
        self.loop = loop
        if self._timer is not None:
            self._timer.cancel()
        # In no request's context: the clock would keep it, and with it what lives as long as that request.
        self._timer = loop.call_later(TICK, self._sweep, loop, context=Context())

    def hold(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in a task of its own."""
        task = asyncio.get_running_loop().create_task(work, name="cortado-departure-end")
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self.live:
            self.loop = None
            return
        for request in tuple(self.live):
            if not request.seen:
                request.seen = True
            elif request.task.get_loop() is loop:
                request.listen()
        self.wind(loop)


class Departure:
    """Listens for the departure from one request, and carries out what follows.

    One `receive()` of the server's at most is pending, in a task that nobody cancels while the request lives: servers
    lose what arrives otherwise, or report departures that never were. What it takes of the body is kept for whoever
    reads the body later.
    """

    __slots__ = (
        "_cancelled",
        "_deaf",
        "_kept",
        "_listener",
        "_listening",
        "_news",
        "_receiving",
        "_request",
        "_settings",
        "_starter",
        "_timer",
        "_whole",
        "disconnected",
        "left",
    )

    def __init__(self, request: Attended, departures: Departures) -> None:
        self.disconnected = Disconnected()
        """Set when the client is gone."""
        self.left = False
        """Whether the client is gone."""
        self._request = request
        self._settings = departures.settings
        self._starter = departures.starter
        self._news = asyncio.Event()
        self._kept: Event | None = None
        self._whole = self._listening = self._receiving = self._deaf = self._cancelled = False
        self._listener: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None

    def listen(self) -> None:
        """Begin to listen, unless somebody does already or the body is still on its way to its reader."""
        if self._deaf or self.left or self._listening or self._receiving or self._kept is not None:
            return
        if self._request.may_listen():
            self._begin()

    async def receive(self) -> Event:
        """Receive the next event, in place of the server's `receive()`. Cancelling is safe but for the body's pieces.

        One caller at a time.
        """
        while self._kept is None:
            if self.left:
                return {"type": "http.disconnect"}
            if self._listening:
                self._news.clear()
                await self._news.wait()
            elif self._deaf or not self._arrived():
                return await self._receive_here()
            else:
                self._begin()
        event, self._kept = self._kept, None
        return event

    def take_back(self) -> bool:
        """Take back the cancellation of the handler, which has ended; False where there was none."""
        if not self._cancelled:
            return False
        self._cancelled = False
        self._request.task.uncancel()
        return True

    def close(self) -> None:
        """Listen no longer: the request is over."""
        self._deaf = True
        self.take_back()
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def _arrived(self) -> bool:
        return self._whole or self._request.body_arrived()

    def _begin(self) -> None:
        self._whole = self._arrived()
        self._listening = True
        # Its first step is done at once: whoever asks whether the client is gone gets today's answer.
        self._listener = self._starter.begin(self._listen(), "cortado-departure")

    async def _listen(self) -> None:
        try:
            while self._heed(await self._request.receive()):
                pass
        except Exception as error:  # noqa: BLE001 - a server's or middleware's `receive` may raise anything
            logger.debug("The server can't tell whether the client is gone: %r", error)
            self._deaf = True
        finally:
            self._listening = False
            self._news.set()

    def _heed(self, event: Event) -> bool:
        """Take note of an event, and tell whether there is more to listen to."""
        if event["type"] == "http.disconnect":
            self._noticed()
            return False
        if self._whole:
            self._deaf = True  # a body after the body's end: this server never comes to the point
            return False
        self._whole = not event.get("more_body", False)
        if self._request.body_unwanted():
            return True
        self._kept = event
        self._news.set()
        return self._whole

    async def _receive_here(self) -> Event:
        self._receiving = True
        try:
            event = await self._request.receive()
        finally:
            self._receiving = False
        if event["type"] == "http.disconnect":
            self._noticed()
        elif not event.get("more_body", False):
            self._whole = True
        return event

    def _noticed(self) -> None:
        request = self._request
        if request.phase is Phase.DONE:
            self._deaf = True
            return
        self.left = True
        self.disconnected._event.set()
        loop = request.task.get_loop()
        if request.phase in (Phase.STREAMING, Phase.CLOSING):
            self._timer = loop.call_soon(self._cancel)
        elif request.phase is Phase.HANDLING and request.cancels:
            self._timer = loop.call_later(self._settings.disconnect_grace_period, self._cancel)

    def _cancel(self) -> None:
        # Called by the loop, so the task is waiting: its next step is the cancellation's, whatever it waits for.
        if self._handler_runs():
            if self._request.phase is not Phase.CLOSING:
                self._cancelled = True
                self._request.task.cancel()
            self._timer = self._request.task.get_loop().call_later(
                self._settings.cancel_timeout, self._give_up
            )

    def _give_up(self) -> None:
        if self._handler_runs():
            self._request.abandon()

    def _handler_runs(self) -> bool:
        return self._request.phase in (Phase.HANDLING, Phase.STREAMING, Phase.CLOSING)
