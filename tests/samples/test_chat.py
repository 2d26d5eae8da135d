"""The chat sample."""

import asyncio

import pytest

from cortado.testing import HandshakeDenied, TestClient, TestWebSocket
from samples.chat.app import app


@pytest.fixture
async def client():
    async with TestClient(app) as client:
        yield client


async def active(client: TestClient) -> int:
    return (await client.get("/active")).json()["active"]


async def next_message(ws: TestWebSocket) -> dict[str, str]:
    """Pass over the counter, and return what somebody says."""
    while (event := await ws.receive_json())["type"] != "message":
        assert event["type"] == "active"
    return event["data"]


async def counter_shows(ws: TestWebSocket, count: int) -> None:
    """Pass over everything until the pushed counter has this value."""
    while await ws.receive_json() != {"type": "active", "data": count}:
        pass


async def test_page(client):
    """The page is HTML, and needs nothing from elsewhere."""
    page = await client.get("/")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_room(client):
    """Everybody in a room hears what one of them says, the speaker included, with the speaker's name."""
    async with (
        client.websocket("/ws/rooms/tea?name=Ada") as ada,
        client.websocket("/ws/rooms/tea", params={"name": "Bob"}) as bob,
    ):
        await ada.send_text("hello")
        assert await next_message(bob) == {"name": "Ada", "text": "hello"}
        assert await next_message(ada) == {"name": "Ada", "text": "hello"}

        await bob.send_text("hi")
        assert await next_message(ada) == {"name": "Bob", "text": "hi"}


async def test_rooms_are_separate(client):
    """What is said in one room is not heard in another."""
    async with client.websocket("/ws/rooms/tea") as tea, client.websocket("/ws/rooms/coffee") as coffee:
        await tea.send_text("only for tea")
        await next_message(tea)
        await coffee.send_text("only for coffee")

        assert (await next_message(coffee))["text"] == "only for coffee"


async def test_guest(client):
    """Who gives no name is a guest."""
    async with client.websocket("/ws/rooms/tea") as ws:
        await ws.send_text("who am I?")

        assert (await next_message(ws))["name"] == "guest"


@pytest.mark.parametrize("name", ["", "x" * 41])
async def test_bad_name(client, name):
    """A name that is empty or too long is refused at the door."""
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket("/ws/rooms/tea", params={"name": name}):
            pass

    assert denied.value.status == 422
    assert denied.value.json()["errors"][0]["location"] == ["query", "name"]
    assert await active(client) == 0


async def test_markup_stays_text(client):
    """The server passes on what was said as it was said; it is the page that shows it as text."""
    async with client.websocket("/ws/rooms/tea", params={"name": "<b>Eve</b>"}) as ws:
        await ws.send_text("<script>alert(1)</script>")

        assert await next_message(ws) == {"name": "<b>Eve</b>", "text": "<script>alert(1)</script>"}


async def test_counter_is_pushed(client):
    """Members of all rooms see the counter when somebody comes and when somebody leaves."""
    async with client.websocket("/ws/rooms/tea") as tea:
        await counter_shows(tea, 1)
        async with client.websocket("/ws/rooms/coffee") as coffee:
            await counter_shows(coffee, 2)
            await counter_shows(tea, 2)
            assert await active(client) == 2
        await counter_shows(tea, 1)
        assert await active(client) == 1


@pytest.mark.parametrize("code", [1000, 1001, 4321])
async def test_counter_after_close(client, code):
    """The counter is back at zero when the client has closed, with whatever code."""
    async with client.websocket("/ws/rooms/tea") as ws:
        await counter_shows(ws, 1)
        await ws.close(code)

    assert await active(client) == 0


async def test_counter_after_loss(client):
    """The counter is back at zero when the connection was lost without a farewell."""
    async with client.websocket("/ws/rooms/tea") as ws:
        await counter_shows(ws, 1)
        ws.drop()

    assert await active(client) == 0


async def test_counter_after_bad_message(client):
    """The counter is back at zero when the server ended the connection."""
    async with client.websocket("/ws/rooms/tea") as ws:
        await counter_shows(ws, 1)
        await ws.send_bytes(b"not a text")

        assert (await ws.wait_closed()).code == 1003
    assert await active(client) == 0


async def test_counter_after_refusal(client):
    """A handshake that was refused was never counted."""
    async with client.websocket("/ws/rooms/tea") as ws:
        with pytest.raises(HandshakeDenied):
            async with client.websocket("/ws/rooms/tea", headers={"origin": "https://elsewhere.example"}):
                pass

        await counter_shows(ws, 1)
        assert await active(client) == 1


async def test_many_come_and_go(client):
    """When many have come and half of them are lost, the last counter that each of the others sees is right."""
    sockets = [client.websocket(f"/ws/rooms/{number % 3}") for number in range(12)]
    for ws in sockets:
        await ws.__aenter__()
    for ws in sockets[:6]:
        ws.drop()

    for ws in sockets[6:]:
        await counter_shows(ws, 12)
        await counter_shows(ws, 6)
    for ws in sockets:
        await ws.__aexit__(None, None, None)
    assert await active(client) == 0


async def test_crowd(client):
    """When a crowd comes all at once, the last counter that each of them sees is right."""
    sockets = [client.websocket("/ws/rooms/tea") for _ in range(100)]
    await asyncio.gather(*(ws.__aenter__() for ws in sockets))
    for ws in sockets:
        await ws.send_text("here")  # a newcomer is listened to once everybody has been told of it

    for ws in sockets:
        events = [await ws.receive_json()]
        while sum(event["type"] == "message" for event in events) < len(sockets):
            events.append(await ws.receive_json())
        assert [event["data"] for event in events if event["type"] == "active"][-1] == 100
    await asyncio.gather(*(ws.__aexit__(None, None, None) for ws in sockets))
    assert await active(client) == 0


async def test_dead_member(client):
    """A member that was lost doesn't keep the others from talking."""
    async with client.websocket("/ws/rooms/tea") as ada, client.websocket("/ws/rooms/tea") as bob:
        bob.drop()
        await ada.send_text("anybody here?")

        assert (await next_message(ada))["text"] == "anybody here?"


async def test_mute_member(client):
    """A member that doesn't read neither delays the others nor loses what it can hold."""
    async with client.websocket("/ws/rooms/tea") as ada, client.websocket("/ws/rooms/tea") as mute:
        mute.stall()
        for number in range(100):
            await ada.send_text(str(number))
            assert (await next_message(ada))["text"] == str(number)
        mute.resume()

        assert [(await next_message(mute))["text"] for _ in range(100)] == [str(n) for n in range(100)]


async def test_member_that_never_reads_again(client):
    """A member that is over its bound is shown out, and the others see the counter fall."""
    async with client.websocket("/ws/rooms/tea") as ada, client.websocket("/ws/rooms/tea") as mute:
        await counter_shows(ada, 2)
        mute.stall()
        for _ in range(300):
            await ada.send_text("x" * 5000)
        await counter_shows(ada, 1)

        assert await active(client) == 1


async def test_last_words(client):
    """What a member says before it leaves at once is heard by the others."""
    async with client.websocket("/ws/rooms/tea") as ada, client.websocket("/ws/rooms/tea") as bob:
        await counter_shows(bob, 2)
        await counter_shows(ada, 2)
        await ada.send_text("bye")
        ada.drop()

        assert (await next_message(bob))["text"] == "bye"


async def test_empty_room_is_forgotten(client):
    """A room can be left and entered again."""
    for _ in range(3):
        async with client.websocket("/ws/rooms/tea") as ws:
            await counter_shows(ws, 1)


async def test_hard_close(client):
    """Whoever the application ends for good is told why, and is counted no more."""
    async with client.websocket("/ws/rooms/tea") as ws:
        await counter_shows(ws, 1)
        for session in app.sessions:
            await session.close(hard=True, message="The tea is cold.")

        assert await ws.receive_json() == {
            "type": "hardDisconnectConfig",
            "data": {"message": "The tea is cold."},
        }
        assert (await ws.wait_closed()).code == 4001
    assert await active(client) == 0
