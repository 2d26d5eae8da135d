"""The event log between a server and its test."""

from types import SimpleNamespace

import pytest

from tests.support.events import VARIABLE, EventLog, record
from tests.support.processes import ProcessFailure


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log that this very process writes into."""
    log = EventLog(tmp_path / "events")
    monkeypatch.setenv(VARIABLE, str(log.path))
    return log


def test_events_are_kept_in_order(log):
    """What was recorded can be read, in order, with its facts."""
    assert log.read() == []

    record("first")
    record("second", number=2)

    first, second = log.wait_for(lambda events: len(events) == 2)
    assert (first.name, second.name, second.facts) == ("first", "second", {"number": 2})
    assert first.at <= second.at


def test_a_session_is_described(log):
    """Of a session the log keeps id, path, state and how it ended."""
    ending = SimpleNamespace(
        code=1011,
        reason="x",
        was_clean=False,
        initiator=SimpleNamespace(value="error"),
        hard=False,
        error=ValueError("why"),
    )
    session = SimpleNamespace(id="s1", path="/x", state=SimpleNamespace(name="CLOSING"), close_event=ending)

    record("on_disconnect", session)

    (event,) = log.read()
    assert event.session == "s1"
    assert event.facts["state"] == "CLOSING"
    assert event.facts["close_event"] == {
        "code": 1011,
        "reason": "x",
        "was_clean": False,
        "initiator": "error",
        "hard": False,
        "error": "ValueError('why')",
    }


def test_half_a_line_is_not_read_yet(log):
    """A reader never sees an event that is still being written."""
    record("whole")
    with log.path.open("a") as file:
        file.write('{"name": "ha')

    assert log.names() == ["whole"]


def test_waiting_has_a_limit_and_shows_what_there_was(log):
    """An event that never comes fails the test with those that came."""
    record("other")

    with pytest.raises(ProcessFailure, match="'other'"):
        log.wait_for_name("awaited", timeout=0.02)


def test_without_a_log_recording_does_nothing(monkeypatch):
    """An application that records can be run outside of the tests."""
    monkeypatch.delenv(VARIABLE, raising=False)

    record("unheard")
