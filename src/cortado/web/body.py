"""The body of a request as it arrives, within its limits of size and time."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect

from cortado.problems import ContentTooLarge, RequestTimeout
from cortado.settings import HttpSettings

__all__ = ["RequestBody"]

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]


class RequestBody:
    """The body of one request, read within the limits of size and time.

    `read` and `receive` may be used one after the other: what was read is given again to a Starlette `Request`.

    Raises:
        ContentTooLarge: It is over the limit, by what the client declared or by what came.
        RequestTimeout: It did not arrive in time.
        ClientDisconnect: The client left before it was whole.
    """

    __slots__ = ("_deadline", "_receive", "_replay", "_scope", "_settings", "_size", "_whole", "waiting")

    def __init__(self, scope: Mapping[str, Any], receive: Receive, settings: HttpSettings) -> None:
        self._scope, self._receive, self._settings = scope, receive, settings
        self._deadline: float | None = None
        self._size = 0
        self._whole: bytes | None = None
        self._replay = False
        self.waiting = False
        """Whether a reader is waiting for a piece."""

    @property
    def whole(self) -> bool:
        """Whether it has arrived to its end."""
        return self._whole is not None

    def reroute(self, receive: Receive) -> None:
        """Receive from somebody else from now on, who may have taken a piece while no reader was waiting."""
        self._receive = receive

    async def read(self) -> bytes:
        """Return the whole body; a second call returns the same."""
        if self._whole is None:
            self._check_declared()
            pieces: list[bytes] = []
            more = True
            while more:
                event = await self._next()
                if event["type"] == "http.disconnect":
                    raise ClientDisconnect
                pieces.append(event.get("body", b""))
                more = event.get("more_body", False)
            self._whole = b"".join(pieces)
            self._replay = True
        return self._whole

    async def receive(self) -> Event:
        """Receive the next ASGI event: the body, again if it was read before, then the client's departure."""
        if self._replay:
            self._replay = False
            return {"type": "http.request", "body": self._whole, "more_body": False}
        if self._whole is not None:
            return await self._receive()
        self._check_declared()
        event = await self._next()
        if event["type"] == "http.request" and not event.get("more_body", False):
            self._whole = b""
        return event

    async def _next(self) -> Event:
        # What a request brings along has arrived when its handler starts, and needs no timer.
        started = _Started(self._receive())
        event = started.value if started.done else await self._in_time(started)
        self._size += len(event.get("body", b""))
        if self._size > self._settings.max_body_size:
            raise self._too_large()
        return event

    async def _in_time(self, receiving: "_Started") -> Event:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._settings.body_timeout
        limit = asyncio.timeout_at(self._deadline)
        self.waiting = True
        try:
            async with limit:
                return await receiving
        except TimeoutError:
            if not limit.expired():
                raise
            raise RequestTimeout(f"the body took longer than {self._settings.body_timeout:g} s") from None
        finally:
            self.waiting = False

    def _check_declared(self) -> None:
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._settings.max_body_size:
                raise self._too_large()

    def _too_large(self) -> ContentTooLarge:
        return ContentTooLarge(f"the body is larger than {self._settings.max_body_size} bytes")


class _Started:
    """An awaitable that was run up to its first pause; awaiting it goes on from there."""

    __slots__ = ("_awaited", "_pause", "done", "value")

    def __init__(self, awaitable: Awaitable[Event]) -> None:
        self._awaited = awaitable.__await__()
        self.done = False
        try:
            self._pause = next(self._awaited)
        except StopIteration as stop:
            self.done = True
            self.value: Event = stop.value

    def __await__(self) -> Generator[Any, Any, Event]:
        pause = self._pause
        while True:
            try:
                sent = yield pause
            except BaseException as exc:  # noqa: BLE001 - a cancellation belongs to what is awaited
                proceed = partial(self._awaited.throw, exc)
            else:
                proceed = partial(self._awaited.send, sent)
            try:
                pause = proceed()
            except StopIteration as stop:
                event: Event = stop.value
                return event
