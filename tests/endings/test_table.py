"""The table of endings: how a connection ends, what the peer sees, and that the hooks run and nothing is left.

Every row runs with a real server process and a real client process, on both WebSocket implementations of uvicorn.
"""

import time
from typing import Any

import pytest

from tests.endings.conftest import HOOKS, Running
from tests.endings.endings import ENDINGS, Ending
from tests.support.client import Denied
from tests.support.events import Event

pytestmark = pytest.mark.server

FOLLOWED = [
    "SessionOpened",
    "on_disconnect done",
    "SessionClosed",
    "SessionClosed done",
    "on_destroy",
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
