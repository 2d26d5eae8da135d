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
    """Who is in which room."""

    def __init__(self) -> None:
        self._room_of: dict[WebSocketSession, str] = {}

    @property
    def active(self) -> int:
        """How many members there are, in all rooms together."""
        return len(self._room_of)

    async def enter(self, room: str, member: WebSocketSession) -> None:
        """Add a member, and tell everybody how many there are."""
        self._room_of[member] = room
        await self._tell_active()

    async def leave(self, member: WebSocketSession) -> None:
        """Remove a member, and tell everybody else; nothing if it has never entered."""
        if self._room_of.pop(member, None) is not None:
            await self._tell_active()

    async def say(self, speaker: WebSocketSession, name: str, text: str) -> None:
        """Tell everybody in the speaker's room what it says."""
        here = self._room_of[speaker]
        others = [member for member, room in self._room_of.items() if room == here and member is not speaker]
        # The speaker comes last: it alone is waited for, and it may be gone already.
        for member in [*others, speaker]:
            await member.send_json({"type": "message", "data": {"name": name, "text": text}})

    async def _tell_active(self) -> None:
        # In the order of their coming: a newcomer, which alone is waited for, comes last. Counted anew for each,
        # because others may come and go meanwhile.
        for member in list(self._room_of):
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
            await self._rooms.say(session, name, text)

    async def on_disconnect(self, session: WebSocketSession) -> None:
        """Take the member out of its room, however its connection ended."""
        await self._rooms.leave(session)


app = Cortado(Rooms, ChatController)
