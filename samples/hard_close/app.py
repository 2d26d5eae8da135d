"""A note that outlives its connection, until the visitor logs out."""

from pathlib import Path
from uuid import UUID

from cortado import Cortado
from cortado.container import rest_controller, service
from cortado.web import FileResponse, get_mapping
from cortado.websocket import WebSocketSession, websocket_mapping

PAGE = Path(__file__).with_name("page.html")
FAREWELL = "You have logged out, and your note is forgotten."


@service
class Notes:
    """What each visitor has written."""

    def __init__(self) -> None:
        self._notes: dict[UUID, str] = {}

    def read(self, visitor: UUID) -> str:
        """Return the visitor's note, empty at first."""
        return self._notes.get(visitor, "")

    def write(self, visitor: UUID, note: str) -> None:
        """Replace the visitor's note."""
        self._notes[visitor] = note

    def forget(self, visitor: UUID) -> None:
        """Throw the visitor's note away, if there is one."""
        self._notes.pop(visitor, None)


@rest_controller
class NoteController:
    """The page, and the connection over which it keeps the note."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    @get_mapping("/")
    async def page(self) -> FileResponse:
        """Serve the page."""
        return FileResponse(PAGE, media_type="text/html")

    @websocket_mapping("/ws/notes/{visitor}")
    async def note(self, session: WebSocketSession, visitor: UUID) -> None:
        """Give the visitor's note back, then keep what comes, until the visitor leaves or logs out."""
        session.attributes["visitor"] = visitor
        await session.accept()
        await session.send_json({"type": "note", "data": self._notes.read(visitor)})
        async for message in session.iter_json():
            match message:
                case {"type": "write", "data": str(note)}:
                    self._notes.write(visitor, note)
                case {"type": "logOut"}:
                    await session.close(hard=True, message=FAREWELL)
                case _:
                    await session.close(1008, "unknown message")

    async def on_hard_close(self, session: WebSocketSession) -> None:
        """Forget the note: this visitor doesn't come back."""
        self._notes.forget(session.attributes["visitor"])


app = Cortado(Notes, NoteController)
