"""Asks an ASGI application in memory, and shows what it sent."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Event = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Answer:
    """What an application sent."""

    events: list[Event] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.events[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.events[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(bytes(event.get("body", b"")) for event in self.events[1:])

    @property
    def complete(self) -> bool:
        return not self.events[-1].get("more_body", False)

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: App,
    method: str,
    target: str,
    body: bytes | Iterable[bytes] = b"",
    *,
    headers: dict[str, str] | None = None,
    json_body: Any = None,
    leaves: bool = False,
    **scope: Any,
) -> Answer:
    """Send a request, its body in pieces if given so; with `leaves`, the client goes away before the last piece."""
    path, _, query = target.partition("?")
    given = dict(headers or {})
    if json_body is not None:
        body = json.dumps(json_body).encode()
        given.setdefault("content-type", "application/json")
    pieces = [body] if isinstance(body, bytes) else list(body)
    more = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if not leaves:
        more[-1]["more_body"] = False
    ended = asyncio.Event()
    answer = Answer()

    async def receive() -> Event:
        if more:
            return more.pop(0)
        if not leaves:
            await ended.wait()
        return {"type": "http.disconnect"}

    async def send(event: Event) -> None:
        answer.events.append(event)

    whole = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        **scope,
    }
    await app(whole, receive, send)
    return answer


async def knock(app: App, path: str, *, denial: bool = True) -> Answer:
    """Ask for a WebSocket."""
    answer = Answer()

    async def receive() -> Event:
        return {"type": "websocket.connect"}

    async def send(event: Event) -> None:
        answer.events.append(event)

    extensions = {"websocket.http.response": {}} if denial else {}
    await app({"type": "websocket", "path": path, "headers": [], "extensions": extensions}, receive, send)
    return answer
