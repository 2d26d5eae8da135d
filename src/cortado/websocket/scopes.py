"""Scopes of a session: the session as a part of it sees it, with names and things of its own."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from cortado.head import Headers, MultiMapping
from cortado.settings import WebSocketSettings
from cortado.websocket.close import CloseEvent
from cortado.websocket.session import HeaderItems, JsonMode, SessionState, WebSocketSession

__all__ = ["SessionScope"]


class SessionScope(WebSocketSession):
    """A lens on a session, made by `make_scope()`.

    It is a session to whoever takes one: its messages are those of the connection, and `close()` closes that. What is
    made or registered through it belongs to the scope. It holds nothing itself, so that it may be made anew at will:
    all lenses of one id are equal, and show the same scope.
    """

    __slots__ = ("_ids", "_root")

    def __init__(self, root: WebSocketSession, ids: tuple[str, ...]) -> None:
        """See a session as the scope at the end of a way sees it; `make_scope()` does this."""
        self._root, self._ids = root, ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SessionScope):
            return NotImplemented
        return self._root is other._root and self._ids == other._ids

    def __hash__(self) -> int:
        return hash((id(self._root), self._ids))

    def __repr__(self) -> str:
        return f"<SessionScope {'-'.join(self._ids)} of {self._root!r}>"

    def root_scope(self) -> WebSocketSession:
        return self._root

    # All that follows is the session's.

    @property
    def id(self) -> str:
        return self._root.id

    @property
    def path(self) -> str:
        return self._root.path

    @property
    def path_params(self) -> Mapping[str, Any]:
        return self._root.path_params

    @property
    def query_params(self) -> MultiMapping:
        return self._root.query_params

    @property
    def headers(self) -> Headers:
        return self._root.headers

    @property
    def cookies(self) -> Mapping[str, str]:
        return self._root.cookies

    @property
    def client(self) -> tuple[str, int] | None:
        return self._root.client

    @property
    def subprotocols(self) -> tuple[str, ...]:
        return self._root.subprotocols

    @property
    def settings(self) -> WebSocketSettings:
        return self._root.settings

    @property
    def attributes(self) -> dict[str, Any]:
        return self._root.attributes

    @property
    def accepted(self) -> bool:
        return self._root.accepted

    @property
    def state(self) -> SessionState:
        return self._root.state

    @property
    def close_event(self) -> CloseEvent | None:
        return self._root.close_event

    @property
    def dropped_frames(self) -> int:
        return self._root.dropped_frames

    def is_stub_session(self) -> bool:
        return self._root.is_stub_session()

    async def accept(self, subprotocol: str | None = None, headers: HeaderItems | None = None) -> None:
        await self._root.accept(subprotocol, headers)

    async def deny(
        self, status: int = 403, body: str | bytes | None = None, headers: HeaderItems | None = None
    ) -> None:
        await self._root.deny(status, body, headers)

    async def receive(self) -> str | bytes:
        return await self._root.receive()

    async def receive_text(self) -> str:
        return await self._root.receive_text()

    async def receive_bytes(self) -> bytes:
        return await self._root.receive_bytes()

    async def receive_json(self, mode: JsonMode = "text") -> Any:
        return await self._root.receive_json(mode)

    def iter_text(self) -> AsyncIterator[str]:
        return self._root.iter_text()

    def iter_bytes(self) -> AsyncIterator[bytes]:
        return self._root.iter_bytes()

    def iter_json(self, mode: JsonMode = "text") -> AsyncIterator[Any]:
        return self._root.iter_json(mode)

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self._root.__aiter__()

    async def send_text(self, data: str) -> bool:
        return await self._root.send_text(data)

    async def send_bytes(self, data: bytes) -> bool:
        return await self._root.send_bytes(data)

    async def send_json(self, data: Any, mode: JsonMode = "text") -> bool:
        return await self._root.send_json(data, mode)

    async def close(
        self, code: int = 1000, reason: str | None = None, *, hard: bool = False, message: str | None = None
    ) -> None:
        await self._root.close(code, reason, hard=hard, message=message)

    async def wait_closed(self) -> None:
        await self._root.wait_closed()
