"""The table of endings: how a connection ends, what the peer sees, and that the hooks run and nothing is left.

Every row runs with a real server process and a real client process, on both WebSocket implementations of uvicorn.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.endings.conftest import HOOKS, Running
from tests.support.client import ClientProcess, Closed, Denied
from tests.support.events import Event

pytestmark = pytest.mark.server

SOFT = ["on_disconnect", "on_ended 1", "on_ended 2", "on_destroy"]
HARD = [
    "on_disconnect",
    "on_ended 1",
    "on_ended 2",
    "on_hard_close",
    "registered on_hard_close",
    "on_destroy",
]
REFUSED = ["on_ended 1", "on_ended 2", "on_destroy"]
FOLLOWED = [
    "SessionOpened",
    "on_disconnect done",
    "SessionClosed",
    "SessionClosed done",
    "on_destroy",
]
PINGS = ("--ws-ping-interval", "0.3", "--ws-ping-timeout", "0.3")

Act = Callable[[ClientProcess], object]


@dataclass(frozen=True)
class Ending:
    """One way a connection ends."""

    name: str
    path: str
    code: int
    """The code in the close event, as the hooks see it."""
    initiator: str
    act: Act | None = None
    """What the client does once it is connected."""
    seen: Closed | None = None
    """The close that the client sees, where it can still see one."""
    denied: int | None = None
    """The status of the refusal that the client sees."""
    hooks: tuple[str, ...] = tuple(SOFT)
    within: float = 2.0
    """Seconds from the client's act, or its connecting, until the last hook is done."""
    server: tuple[str, ...] = ()
    """Arguments for the server."""


def close(code: int | None, reason: str = "") -> Act:
    return lambda client: client.close(code, reason)


ENDINGS = [
    Ending("handler returns", "/return", 1000, "server", seen=Closed(1000, "")),
    Ending("handler raises", "/raise", 1011, "error", seen=Closed(1011, "internal error")),
    Ending("handler raises a mapped error", "/mapped", 4404, "server", seen=Closed(4404, "Not Found")),
    Ending("returns before accept", "/return-early", 4403, "server", denied=403, hooks=tuple(REFUSED)),
    Ending("raises before accept", "/raise-early", 1011, "error", denied=500, hooks=tuple(REFUSED)),
    Ending(
        "raises a mapped error before accept",
        "/mapped-early",
        4404,
        "server",
        denied=404,
        hooks=tuple(REFUSED),
    ),
    Ending("denies", "/deny", 4429, "server", denied=429, hooks=tuple(REFUSED)),
    Ending("client closes", "/echo", 4123, "client", close(4123, "bye"), Closed(4123, "bye")),
    Ending("client closes without a code", "/echo", 1005, "client", close(None), Closed(1005, "")),
    Ending("client is killed", "/echo", 1006, "network", ClientProcess.kill),
    Ending("client exits on SIGTERM", "/echo", 1006, "network", ClientProcess.terminate),
    Ending("client resets TCP", "/echo", 1006, "network", ClientProcess.reset),
    Ending("client closes TCP only", "/echo", 1006, "network", ClientProcess.vanish),
    Ending(
        "client is stopped, server pings",
        "/echo",
        1006,
        "network",
        ClientProcess.pause,
        within=3.0,
        server=PINGS,
    ),
    Ending("killed while the handler sleeps", "/sleep", 1006, "network", ClientProcess.kill),
    Ending("closes while the handler sleeps", "/sleep", 4001, "client", close(4001), Closed(4001, "")),
    Ending("killed while the handler pushes", "/push", 1006, "network", ClientProcess.kill),
    Ending("resets while the handler pushes", "/push", 1006, "network", ClientProcess.reset),
    Ending("never reads what the handler floods", "/flood", 1006, "network", ClientProcess.mute, within=4.0),
    Ending(
        "resets while the handler floods, asyncio's loop",
        "/flood",
        1006,
        "network",
        ClientProcess.reset,
        server=("--loop", "asyncio"),
    ),
    Ending(
        "never reads, asyncio's loop",
        "/flood",
        1006,
        "network",
        ClientProcess.mute,
        within=4.0,
        server=("--loop", "asyncio"),
    ),
    Ending("close()", "/close", 3001, "server", seen=Closed(3001, "enough")),
    Ending(
        "close(hard=True)",
        "/hard",
        4001,
        "server",
        seen=Closed(4001, "cortado-hard-disconnect"),
        hooks=tuple(HARD),
    ),
    Ending("server cancels once", "/echo?cancel=1", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("server cancels twice", "/echo?cancel=2", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("server cancels three times", "/sleep?cancel=3", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("server cancels forty times", "/push?cancel=40", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("a hook raises", "/hook-raises", 1000, "server", seen=Closed(1000, "")),
    Ending("a hook hangs", "/hook-hangs", 1000, "server", seen=Closed(1000, ""), within=3.0),
]


def rows() -> list[Any]:
    return [pytest.param({"arguments": ending.server}, ending, id=ending.name) for ending in ENDINGS]


def told_of(events: list[Event]) -> list[str]:
    """Return what listeners heard of the session, and when the destruction began."""
    names = [event.name for event in events if event.name in FOLLOWED]
    return names if "SessionOpened" in names or "SessionClosed" in names else []


@pytest.mark.parametrize(("running", "ending"), rows(), indirect=["running"])
def test_ending(running: Running, ending: Ending, start_client):
    """The peer sees what the table says; each hook and listener ran once, to its end, in order, in time."""
    client = start_client()
    begun = time.monotonic()

    if ending.denied is not None:
        with pytest.raises(Denied) as denied:
            client.connect(running.url(ending.path))
        assert denied.value.status == ending.denied
        assert "secret" not in denied.value.body
    else:
        client.connect(running.url(ending.path), receive_buffer=4096)
        running.log.wait_for_name("accepted")
        if ending.act is not None:
            begun = time.monotonic()
            ending.act(client)
        if ending.seen is not None:
            assert client.closed() == ending.seen

    expected = [step for hook in ending.hooks for step in (hook, f"{hook} done")]
    events = running.log.wait_for(lambda events: any(one.name == "on_destroy done" for one in events))
    running.wait_until_back_at_base()

    assert running.hooks() == expected
    hooked = [event for event in events if event.name.removesuffix(" done") in HOOKS]
    told = [event.facts["close_event"] for event in hooked]
    assert {(one["code"], one["initiator"], one["hard"]) for one in told} == {
        (ending.code, ending.initiator, "on_hard_close" in ending.hooks)
    }
    assert hooked[-1].at - begun < ending.within
    assert told_of(events) == ([] if ending.denied else FOLLOWED)
    assert running.server.alive
