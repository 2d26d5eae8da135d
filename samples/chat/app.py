"""A chat with rooms, and a page to use it from."""

from pathlib import Path
from typing import Annotated

from cortado import Cortado
from cortado.container import rest_controller, service
from cortado.web import FileResponse, Query, get_mapping
from cortado.websocket import WebSocketSession, websocket_mapping

PAGE = Path(__file__).with_name("page.html")

Name = Annotated[str, Query(min_length=1, max_length=40)]


@service
class Rooms:
    """Who is in which room. A room exists as long as somebody is in it."""

    def __init__(self) -> None:
        self._rooms: dict[str, set[WebSocketSession]] = {}

    @property
    def active(self) -> int:
        """How many members there are, in all rooms together."""
        return sum(len(members) for members in self._rooms.values())

    async def enter(self, room: str, member: WebSocketSession) -> None:
        """Add a member, and tell everybody how many there are."""
        self._rooms.setdefault(room, set()).add(member)
        await self._tell_active()

    async def leave(self, room: str, member: WebSocketSession) -> None:
        """Remove a member, and tell everybody else; nothing if it isn't there."""
        members = self._rooms.get(room, set())
        if member in members:
            members.remove(member)
            if not members:
                del self._rooms[room]
            await self._tell_active()

    async def say(self, room: str, speaker: WebSocketSession, name: str, text: str) -> None:
        """Tell a room what one of its members says."""
        said = {"type": "message", "data": {"name": name, "text": text}}
        # The speaker comes last: it alone is waited for, and it may be gone already.
        for member in [*(self._rooms[room] - {speaker}), speaker]:
            await member.send_json(said)

    async def _tell_active(self) -> None:
        for member in [member for members in self._rooms.values() for member in members]:
            # Counted anew for each, because somebody may come or go while this loop waits.
            await member.send_json({"type": "active", "data": self.active})


@rest_controller
class ChatController:
    """The page, the rooms and the counter."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @get_mapping("/")
    async def page(self) -> FileResponse:
        """Serve the page; `/?room=tea&name=Ada` leads into a room."""
        return FileResponse(PAGE, media_type="text/html")

    @get_mapping("/active")
    async def active(self) -> dict[str, int]:
        """Count the connections."""
        return {"active": self._rooms.active}

    @websocket_mapping("/ws/rooms/{room}")
    async def chat(self, session: WebSocketSession, room: str, name: Name = "guest") -> None:
        """Pass on what a member says, until it leaves."""
        await session.accept()
        await self._rooms.enter(room, session)
        async for text in session.iter_text():
            await self._rooms.say(room, session, name, text)

    async def on_disconnect(self, session: WebSocketSession) -> None:
        """Take the member out of its room, however its connection ended."""
        await self._rooms.leave(session.path_params["room"], session)


app = Cortado(Rooms, ChatController)
