"""Callbacks: which arguments they get, and how they are run."""

import asyncio
import functools
import gc
import logging
import weakref

import pytest

from cortado.websocket import SessionStateError, WebSocketDisconnect
from cortado.websocket.hooks import Callbacks, FlushCallbacks, call_hook, wants_argument


class Callable1:
    def __call__(self, session): ...

    async def method(self): ...


@pytest.mark.parametrize(
    ("callback", "wanted"),
    [
        (lambda: None, False),
        (lambda session: None, True),
        (lambda session=None: None, False),
        (lambda *all: None, False),
        (Callable1(), True),
        (Callable1().method, False),
        (functools.partial(lambda a, b: None, 1), True),
        ({1}.discard, True),
        ([].append, True),
    ],
    ids=[
        "nothing",
        "session",
        "optional",
        "any",
        "object",
        "method",
        "partial",
        "discard",
        "append",
    ],
)
def test_a_callback_gets_the_session_if_it_needs_it(callback, wanted):
    """A callback that needs no argument gets none; one that needs one gets the session."""
    assert wants_argument(callback) is wanted


@pytest.mark.parametrize(
    "callback",
    [None, "name", lambda a, b: None, lambda *, key: None],
    ids=["none", "string", "two arguments", "keyword"],
)
def test_what_cannot_be_called_is_refused_at_registration(callback):
    """What isn't callable, or needs more than the session, is a TypeError when it is registered."""
    with pytest.raises(TypeError):
        Callbacks("on_ended").add(callback)


def test_callbacks_come_once_in_order():
    """Each registration comes once, in order; the same function registered twice comes twice."""
    seen, callbacks = [], Callbacks("on_ended")
    callbacks.add(seen.append)
    callbacks.add(lambda: seen.append("second"))
    callbacks.add(seen.append)
    while (callback := callbacks.pop()) is not None:
        callback("session")
        if len(seen) == 3:
            callbacks.add(lambda: seen.append("late"))

    assert seen == ["session", "second", "session", "late"]


def test_after_their_turn_registration_is_refused():
    """When the callbacks have run, a registration that would be lost is an error."""
    callbacks = Callbacks("on_destroy")
    callbacks.finish()
    with pytest.raises(SessionStateError, match="on_destroy"):
        callbacks.add(lambda: None)


def test_callbacks_that_had_their_turn_are_not_held():
    """What has run, or was cancelled, is kept alive neither by the callbacks nor by what cancels it."""
    callbacks, objects = Callbacks("on_ended"), [Callable1(), Callable1()]
    cancels = [callbacks.add(one.method) for one in objects]
    held = [weakref.ref(one) for one in objects]
    callbacks.pop()
    cancels[1]()
    objects.clear()
    gc.collect()

    assert [one() for one in held] == [None, None]
    assert not callbacks


def test_callbacks_may_be_given_another_session_and_have_an_owner():
    """A callback is given the session that it was registered with; those of an owner can be withdrawn together."""
    seen, callbacks, owner = [], Callbacks("on_ended"), object()
    callbacks.add(seen.append, "scope")
    callbacks.add(seen.append, "withdrawn", owner)
    callbacks.add(seen.append)
    callbacks.withdraw({owner})
    while (callback := callbacks.pop()) is not None:
        callback("session")

    assert seen == ["scope", "session"]


def test_callbacks_of_a_flush_come_once_or_always():
    """Callbacks come in order, `once` ones once; those registered meanwhile come the next time."""
    seen, callbacks, owner = [], FlushCallbacks("on_flush"), object()

    def flush():
        for callback in callbacks.turn():
            callback("session")

    callbacks.add(lambda: seen.append("once"), "scope", None, once=True)
    callbacks.add(seen.append, "always", owner, once=False)
    callbacks.add(
        lambda: callbacks.add(lambda: seen.append("late"), "scope", None, once=True), 1, 2, once=True
    )
    flush()
    assert seen == ["once", "always"]
    flush()
    assert seen == ["once", "always", "always", "late"]
    callbacks.withdraw({owner})
    flush()
    assert len(seen) == 4
    assert not callbacks


@pytest.mark.parametrize(
    "error", [ValueError("v"), asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(1)]
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "after a turn"])
async def test_whatever_a_hook_raises_is_returned_and_logged_once(error, late, caplog):
    """Not even a BaseException leaves call_hook; it is logged once, with the session's id."""

    async def hook():
        if late:
            await asyncio.sleep(0)
        raise error

    assert await call_hook("on_ended", "id-7", hook, 5) is error
    assert len(caplog.records) == 1
    assert "on_ended of session id-7 failed" in caplog.text


async def test_a_hook_that_finds_the_session_ended_is_no_error(caplog):
    """A hook that sends to the ended session is told so; that is nothing to alarm anybody with."""
    caplog.set_level(logging.INFO)

    async def hook():
        raise WebSocketDisconnect(1000)

    assert await call_hook("on_ended", "id", hook, 5) is None
    assert caplog.text == ""


async def test_cancelling_the_caller_does_not_reach_the_hook():
    """A hook runs to its end although whoever runs it is cancelled again and again."""
    done = []

    async def hook():
        for _ in range(10):
            await asyncio.sleep(0)
        done.append(True)

    task = asyncio.create_task(call_hook("on_ended", "id", hook, 5))
    for _ in range(5):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])

    assert done == [True]


async def test_a_hook_that_swallows_its_cancellation_is_left_behind(caplog):
    """A hook that can't be cut holds up the end for little more than its limit."""
    release = asyncio.Event()

    async def hook():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    loop = asyncio.get_running_loop()
    begun = loop.time()
    failed = await call_hook("on_ended", "id", hook, 0.05)
    assert loop.time() - begun < 3
    release.set()

    assert isinstance(failed, TimeoutError)
    assert "left behind" in caplog.text


async def test_a_function_that_returns_an_awaitable_is_awaited():
    """A plain function that returns a coroutine is a hook like any other."""
    done = []

    async def work():
        await asyncio.sleep(0)
        done.append(True)

    await call_hook("on_ended", "id", lambda: work(), 5)

    assert done == [True]
