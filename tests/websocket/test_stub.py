"""The session without a connection."""

import asyncio

import pytest

from cortado.settings import WebSocketSettings
from cortado.websocket import SessionState, StubWebSocketSession, WebSocketDisconnect, WebSocketSession
from cortado.websocket.transport import Handshake


async def test_a_stub_says_that_it_is_one():
    """A stub is a session, and so is a scope of it; both say that there is no connection."""
    session = StubWebSocketSession(Handshake("/page", scheme="ws"), WebSocketSettings(hook_timeout=1.0))

    assert isinstance(session, WebSocketSession)
    assert session.is_stub_session()
    assert session.make_scope("panel").is_stub_session()
    assert (session.path, session.settings.hook_timeout) == ("/page", 1.0)
    assert repr(session).startswith("<StubWebSocketSession")


async def test_code_for_sessions_runs_on_a_stub():
    """Code that accepts, sends and receives runs: what it sends goes nowhere, and nothing comes."""
    session = StubWebSocketSession()
    assert (session.state, session.accepted) == (SessionState.CONNECTING, False)
    await session.accept("any", {"x": "y"})
    await session.accept()
    assert (session.state, session.accepted) == (SessionState.OPEN, True)
    assert [await session.send_text("a"), await session.send_bytes(b"a"), await session.send_json({})] == [
        False
    ] * 3
    for receive in (session.receive, session.receive_text, session.receive_bytes, session.receive_json):
        with pytest.raises(WebSocketDisconnect):
            await receive()
    assert [message async for message in session] == []
    assert [message async for message in session.iter_json()] == []
    session.on_ended(print)()
    session.on_hard_close(print)
    await session.flush()


@pytest.mark.parametrize("hard", [False, True])
async def test_a_stub_ends(hard):
    """close() destroys what the stub and its scopes own, once, whoever calls it and however often."""
    session, seen = StubWebSocketSession(), []
    panel = session.make_scope("panel")
    value = panel.value(1)
    task = panel.create_task(asyncio.Event().wait())
    session.on_destroy(lambda: seen.append("session"))

    async def again():
        await session.close()
        seen.append("panel")

    panel.on_destroy(again)
    session.on_ended(lambda: seen.append("ended"))
    await asyncio.gather(session.close(4000, "bye", hard=hard), session.close())
    await session.close()
    await session.destroy()
    await session.wait_closed()

    assert seen == ["panel", "session"]
    assert task.cancelled()
    assert value.is_set() is not hard
    assert session.state is SessionState.CLOSED
    assert (session.close_event.code, session.close_event.reason, session.close_event.hard) == (
        4000,
        "bye",
        hard,
    )
    await session.accept()
    assert session.state is SessionState.CLOSED


async def test_the_end_of_a_stub_cannot_be_cancelled():
    """The end goes on when its caller is cancelled."""
    session, release = StubWebSocketSession(), asyncio.Event()
    session.on_destroy(release.wait)
    closing = asyncio.create_task(session.close())
    await asyncio.sleep(0)
    closing.cancel()
    release.set()
    await session.wait_closed()
    await asyncio.wait([closing])

    assert closing.cancelled()
    assert session.state is SessionState.CLOSED


async def test_a_stub_may_be_denied():
    """deny() ends a stub, too; an impossible close code is still an error."""
    session = StubWebSocketSession()
    with pytest.raises(ValueError, match="close frame"):
        await session.close(999)
    await session.deny(404)

    assert session.state is SessionState.CLOSED
