"""The pages of the samples, in Chromium and on a real server."""

import json
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from samples.hard_close.app import FAREWELL

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture
def chat(start_server):
    """The chat on a real server."""
    return start_server("samples.chat.app:app")


@pytest.fixture
def notes(start_server):
    """The sample of a hard close on a real server."""
    return start_server("samples.hard_close.app:app")


def room_at(server, room: str, name: str) -> str:
    return server.url(f"/?room={quote(room)}&name={quote(name)}", "http")


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def expect_connected(page: Page) -> None:
    expect(page.get_by_role("status")).to_contain_text("Connected")


def expect_lost(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("Connection lost. Reconnecting …")


def count_sockets(page: Page) -> list[str]:
    """Return a list that grows by the address of each WebSocket that the page opens from now on."""
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    return opened


def test_chat(chat, open_page):
    """Two pages in a room hear each other, see the counter live, and what was said stays text."""
    ada = open_page(room_at(chat, "tea", "Ada"))
    expect_connected(ada)
    expect(ada.get_by_role("heading")).to_have_text("Room tea")
    expect(ada.locator("#active")).to_have_text("1")
    bob = open_page(room_at(chat, "tea", "<i>Bob</i>"))
    expect_connected(bob)
    expect(ada.locator("#active")).to_have_text("2")

    say(ada, "hello")
    say(bob, "<img src=x onerror=alert(1)>")

    for page in (ada, bob):
        lines = page.get_by_role("log").get_by_role("listitem")
        expect(lines).to_have_text(["Adahello", "<i>Bob</i><img src=x onerror=alert(1)>"])
        expect(page.get_by_role("log").locator("img, i")).to_have_count(0)
    bob.close()
    expect(ada.locator("#active")).to_have_text("1")


def test_chat_rooms(chat, open_page):
    """A page hears nothing of another room, and its form leads from one room into the other."""
    ada = open_page(room_at(chat, "tea", "Ada"))
    bob = open_page(room_at(chat, "grüner Tee", "Bob"))
    expect(ada.locator("#active")).to_have_text("2")
    say(bob, "in green")
    expect(bob.get_by_role("listitem")).to_have_text(["Bobin green"])

    ada.get_by_label("Room", exact=True).fill("grüner Tee")
    ada.get_by_role("button", name="Go there").click()
    expect(ada.get_by_role("heading")).to_have_text("Room grüner Tee")
    expect_connected(ada)
    say(ada, "here I am")

    expect(bob.get_by_role("listitem")).to_have_text(["Bobin green", "Adahere I am"])
    expect(ada.get_by_role("listitem")).to_have_text(["Adahere I am"])


@pytest.mark.parametrize("query", ["", "?room=../..", "?room=%2F%3F%23&name=%20", "?room=" + "x" * 200])
def test_chat_any_query(chat, open_page, query):
    """The page connects whatever its query says."""
    page = open_page(chat.url(f"/{query}", "http"))

    expect_connected(page)
    expect(page.locator("#active")).to_have_text("1")


def test_chat_server_lost(chat, open_page, start_server):
    """When the server is killed the page says so and keeps what was said; it comes back with the server."""
    page = open_page(room_at(chat, "tea", "Ada"))
    say(page, "before")
    expect(page.get_by_role("listitem")).to_have_text(["Adabefore"])

    chat.kill()
    chat.wait()
    expect_lost(page)
    expect(page.locator("#active")).to_have_text("\N{EN DASH}")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    start_server("samples.chat.app:app", arguments=("--port", str(chat.port)))

    expect_connected(page)
    expect(page.locator("#active")).to_have_text("1")
    say(page, "after")
    expect(page.get_by_role("listitem")).to_have_text(["Adabefore", "Adaafter"])


@pytest.mark.parametrize("command", ["uvicorn", "cortado"])
def test_chat_server_stopped(start_server, open_page, command):
    """A server that stops in order doesn't wait for the pages, and they see it as a loss."""
    chat = start_server("samples.chat.app:app", command=command)
    page = open_page(room_at(chat, "tea", "Ada"))
    expect_connected(page)

    chat.terminate()

    expect_lost(page)
    chat.wait()


def test_chat_closed_for_good(chat, open_page):
    """After 4001 the page shows the notice and stays away."""
    page = open_page("about:blank")
    page.clock.install()
    opened: list[WebSocketRoute] = []
    page.route_web_socket("**/ws/**", lambda socket: opened.append(socket))
    page.goto(room_at(chat, "tea", "Ada"))
    expect_connected(page)

    opened[0].send(json.dumps({"type": "hardDisconnectConfig", "data": {"message": "<b>Closing time!</b>"}}))
    opened[0].close(code=4001, reason="cortado-hard-disconnect")

    expect(page.get_by_role("alert")).to_have_text("<b>Closing time!</b>")
    expect(page.get_by_role("status")).to_have_text("Disconnected")
    page.clock.run_for(60_000)
    assert len(opened) == 1


def test_chat_backs_off(chat, open_page):
    """Attempts to come back grow rarer, down to one in fifteen seconds, and never end."""
    page = open_page("about:blank")
    page.clock.install()
    opened: list[WebSocketRoute] = []

    def refuse(socket: WebSocketRoute) -> None:
        opened.append(socket)
        socket.close(code=1013)

    page.route_web_socket("**/ws/**", refuse)
    page.goto(room_at(chat, "tea", "Ada"))
    counts = []
    for _ in range(4):
        for _ in range(60):
            page.clock.run_for(1000)
            expect_lost(page)
        counts.append(len(opened))

    first, *rest = [later - earlier for earlier, later in zip([0, *counts], counts, strict=False)]
    assert 6 <= first <= 14
    assert all(3 <= each <= 9 for each in rest)


def test_log_out(notes, open_page):
    """Logging out shows the server's notice; the page stays away while another one, interrupted, comes back."""
    page, control = (open_page(notes.url("/", "http")) for _ in range(2))
    for each in (page, control):
        expect_connected(each)
    page.get_by_label("Your note").fill("secret")
    control.get_by_label("Your note").fill("milk")
    opened, reopened = count_sockets(page), count_sockets(control)

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("alert")).to_contain_text(FAREWELL)
    expect(page.get_by_role("status")).to_have_text("Logged out")
    expect(page.get_by_label("Your note")).to_be_hidden()

    for times in range(1, 4):
        control.get_by_role("button", name="Interrupt").click()
        expect_lost(control)
        expect_connected(control)
        assert len(reopened) == times
    expect(control.get_by_label("Your note")).to_have_value("milk")
    assert opened == []
    expect(page.get_by_role("alert")).to_be_visible()


def test_log_in_again(notes, open_page):
    """Whoever logs in again finds an empty note."""
    page = open_page(notes.url("/", "http"))
    page.get_by_label("Your note").fill("secret")
    page.get_by_role("button", name="Log out").click()

    page.get_by_role("button", name="Log in again").click()

    expect_connected(page)
    expect(page.get_by_label("Your note")).to_have_value("")


def test_note_outlives_reload(notes, open_page):
    """The note is there again after a reload."""
    page = open_page(notes.url("/", "http"))
    page.get_by_label("Your note").fill("milk, beans")

    page.reload()

    expect(page.get_by_label("Your note")).to_have_value("milk, beans")


def test_note_server_lost(notes, open_page, start_server):
    """When the server is killed nothing can be written; the page comes back with the server."""
    page = open_page(notes.url("/", "http"))
    expect_connected(page)

    notes.kill()
    notes.wait()
    expect_lost(page)
    expect(page.get_by_label("Your note")).not_to_be_editable()
    start_server("samples.hard_close.app:app", arguments=("--port", str(notes.port)))

    expect_connected(page)
    expect(page.get_by_label("Your note")).to_be_editable()
