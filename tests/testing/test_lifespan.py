"""The lifespan as the test client runs it: failures come to the test, waits have a limit."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette

from cortado.testing import LifespanError, TestClient, WaitTimeoutError
from cortado.testing.lifespan import Lifespan


def lifespan_app(handler):
    """Return a bare application with a lifespan only."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await handler(receive, send)

    return app


def starlette(start=None, stop=None):
    """Return a Starlette application that raises at its start or at its stop."""

    @asynccontextmanager
    async def lifespan(app):
        if start:
            raise start
        yield
        if stop:
            raise stop

    return Starlette(lifespan=lifespan)


async def test_a_failed_start_raises_the_original_exception():
    """The application's own exception stops the test, body not run."""
    with pytest.raises(LookupError, match="no database"):
        async with TestClient(starlette(start=LookupError("no database"))):
            pytest.fail("the body was run")


async def test_a_failed_shutdown_raises_the_original_exception():
    """An exception at the shutdown fails the test."""
    with pytest.raises(LookupError, match="at the end"):
        async with TestClient(starlette(stop=LookupError("at the end"))):
            pass


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_failure_that_is_only_told_is_raised(phase):
    """An application that says `failed` and raises nothing fails the test with its words."""

    async def handler(receive, send):
        await receive()
        if phase == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": f"lifespan.{phase}.failed", "message": "out of coffee"})

    with pytest.raises(LifespanError, match=f"{phase} failed: out of coffee") as failed:
        async with TestClient(lifespan_app(handler)):
            assert phase == "shutdown"

    assert failed.value.phase == phase


async def test_raising_after_the_first_event_is_a_failed_start():
    """An exception instead of an answer is the start's failure."""

    async def handler(receive, send):
        await receive()
        raise LookupError

    with pytest.raises(LookupError):
        async with TestClient(lifespan_app(handler)):
            pytest.fail("the body was run")


async def test_stopping_what_never_started_does_nothing():
    """A lifespan that was not started needs no stop."""
    await Lifespan(starlette(), timeout=1).stop()


async def test_an_application_without_lifespan_is_left_alone():
    """Who raises on the unknown scope, as bare applications do, is simply run without a lifespan."""

    async def app(scope, receive, send):
        if scope["type"] != "websocket":
            raise NotImplementedError(scope["type"])
        await send({"type": "websocket.accept"})

    async with TestClient(app) as client, client.websocket("/"):
        pass


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_lifespan_that_hangs_is_a_timeout(phase):
    """A start or a stop without end is cancelled and named."""
    cancelled = []

    async def handler(receive, send):
        await receive()
        if phase == "shutdown":
            await send({"type": "lifespan.startup.complete"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(WaitTimeoutError, match=f"the application's {phase}"):
        async with TestClient(lifespan_app(handler), timeout=0.03):
            assert phase == "shutdown"

    assert cancelled


async def test_a_lifespan_that_goes_on_after_its_end_is_a_timeout():
    """Saying `complete` isn't enough: the call has to end too."""

    async def handler(receive, send):
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        await asyncio.Event().wait()

    with pytest.raises(WaitTimeoutError, match="end of the application's lifespan"):
        async with TestClient(lifespan_app(handler), timeout=0.03):
            pass
