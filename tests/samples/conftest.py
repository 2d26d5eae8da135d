"""Servers, clients and a browser for the samples."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.support.fixtures import event_log, start_client, start_server, ws_implementation

__all__ = ["event_log", "start_client", "start_server", "ws_implementation"]

ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    path = shutil.which("chromium")
    if path is None:
        give_up = pytest.fail if os.environ.get("CORTADO_REQUIRE_SERVICES") == "1" else pytest.skip
        give_up("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What pages have complained of on their consoles, other than of lost connections."""
    return []


@pytest.fixture
def open_page(chromium: Browser, complaints: list[str]) -> Iterator[Callable[[str], Page]]:
    """Open pages with `open_page(url)`, each with a profile of its own; a page that complains fails the test."""
    contexts = []

    def open_page(url: str) -> Page:
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", partial(note_complaint, complaints))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def note_complaint(complaints: list[str], message: ConsoleMessage) -> None:
    # Chromium itself writes a line for each WebSocket that can't be opened; that is what reconnecting looks like.
    lost = message.text.startswith("WebSocket connection to ")
    if message.type in ("error", "warning") and not lost:
        complaints.append(message.text)
