"""What an application leaves behind fails the test."""

import asyncio
from types import SimpleNamespace

import pytest

from cortado.testing import LeakError, TestClient


async def silent(scope, receive, send):
    """Speak no protocol at all."""


async def test_a_task_that_outlives_the_application_is_a_leak():
    """A task that the application started and forgot is named, and cancelled."""
    tasks = []

    async def forgotten():
        await asyncio.Event().wait()

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            tasks.append(asyncio.create_task(forgotten(), name="lost"))
            await send({"type": "websocket.accept"})

    with pytest.raises(LeakError, match=r"'lost' still runs .*forgotten") as leaked:
        async with TestClient(app) as client, client.websocket("/"):
            pass

    assert len(leaked.value.leaks) == 1
    assert tasks[0].cancelled()


async def test_a_task_that_ends_soon_is_no_leak():
    """What only needs a moment longer than the shutdown is waited for."""

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            app.task = asyncio.create_task(asyncio.sleep(0.01))
            await send({"type": "websocket.accept"})

    async with TestClient(app) as client, client.websocket("/"):
        pass

    assert app.task.done()


async def test_tasks_of_before_are_none_of_its_business():
    """Only tasks that came up inside the context can leak."""
    other = asyncio.create_task(asyncio.Event().wait())

    async with TestClient(silent):
        pass

    assert not other.done()
    other.cancel()


class WithSessions:
    """An application with a registry of sessions."""

    def __init__(self, *sessions):
        self.sessions = sessions

    async def __call__(self, scope, receive, send):
        return None


async def test_a_session_that_outlives_the_application_is_a_leak():
    """A session left in the registry is named."""
    app = WithSessions(SimpleNamespace(id="s1", path="/chat"))

    with pytest.raises(LeakError, match="session s1 /chat"):
        async with TestClient(app):
            pass


async def test_an_empty_registry_is_no_leak():
    """An application whose sessions are all gone passes."""
    async with TestClient(WithSessions()):
        pass


async def test_the_leak_check_can_be_turned_off():
    """With leak_check=False nothing is looked for."""
    async with TestClient(WithSessions("left"), leak_check=False):
        pass


async def test_a_failing_test_is_not_hidden_by_a_leak():
    """The test's own failure is reported, not what is left because of it."""
    with pytest.raises(AssertionError, match="own"):
        async with TestClient(WithSessions("left")):
            raise AssertionError("own")
