"""Beans hear of sessions through the container."""

import pytest

from cortado import Cortado
from cortado.container import component, event_listener, pre_destroy, rest_controller, session_scope
from cortado.testing import HandshakeDenied, TestClient
from cortado.websocket import SessionClosed, SessionOpened, WebSocketSession, websocket_mapping

heard: list[object] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    """Begin every test with nothing heard."""
    heard.clear()


@component
class Presence:
    """Follows every session."""

    def __init__(self) -> None:
        self.present: set[str] = set()

    @event_listener
    async def opened(self, event: SessionOpened) -> None:
        self.present.add(event.session.id)

    @event_listener
    def closed(self, event: SessionClosed) -> None:
        self.present.remove(event.session.id)
        assert event.session.close_event is not None
        heard.append((event.session.path, event.session.close_event.code))

    @event_listener(SessionOpened, SessionClosed)
    def counted(self) -> None:
        heard.append(len(self.present))


@rest_controller
class Rooms:
    @websocket_mapping("/rooms/{room}")
    async def enter(self, session: WebSocketSession, room: str) -> None:
        await session.accept()
        heard.append("accepted")
        await session.receive()

    @websocket_mapping("/closed")
    async def refuse(self, session: WebSocketSession) -> None: ...


async def test_opened_and_closed() -> None:
    """`@event_listener`s of any bean hear of each session, before `accept()` returns and when it has ended."""
    async with TestClient(Cortado(Rooms, Presence)) as client:
        async with client.websocket("/rooms/a") as socket:
            await socket.close(4001)
        async with client.websocket("/rooms/b") as socket:
            await socket.send_text("that is all")
            assert (await socket.wait_closed()).code == 1000

    assert heard == [1, "accepted", ("/rooms/a", 4001), 0, 1, "accepted", ("/rooms/b", 1000), 0]


async def test_sessions_that_the_shutdown_ends() -> None:
    """When the application stops, its beans hear of the end of every session before they are destroyed."""
    app = Cortado(Rooms, Presence)
    async with TestClient(app) as client, client.websocket("/rooms/a") as socket:
        await app.stop()
        assert (await socket.wait_closed()).code == 1012

    assert heard == [1, "accepted", ("/rooms/a", 1012), 0]


@component
@session_scope
class Seat:
    """Lives as long as one session, and hears of that one only."""

    def __init__(self, session: WebSocketSession) -> None:
        self.session = session

    @event_listener
    async def told(self, event: SessionOpened | SessionClosed) -> None:
        heard.append((type(event), self.session is event.session, self))

    @pre_destroy
    def down(self) -> None:
        heard.append("destroyed")


async def test_beans_of_a_session() -> None:
    """A bean in the scope of a session hears of its own session's opening and closing, before it is destroyed."""
    async with (
        TestClient(Cortado(Rooms, Seat)) as client,
        client.websocket("/rooms/a"),
        client.websocket("/rooms/b"),
    ):
        first, second = [entry[2] for entry in heard if entry != "accepted"]

    assert [entry for entry in heard if entry != "accepted"] == [
        (SessionOpened, True, first),
        (SessionOpened, True, second),
        (SessionClosed, True, second),
        "destroyed",
        (SessionClosed, True, first),
        "destroyed",
    ]
    assert first is not second


async def test_refused_handshakes() -> None:
    """Nobody hears of a handshake that was refused."""
    async with TestClient(Cortado(Rooms, Presence)) as client:
        with pytest.raises(HandshakeDenied):
            async with client.websocket("/closed"):
                pass

    assert heard == []
