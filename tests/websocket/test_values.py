"""Values of a scope: get, set, follow, and what is left when the scope is gone."""

import asyncio
import gc
import weakref

import pytest

from cortado.websocket import DestroyedScopeError, SessionStateError, StubWebSocketSession


@pytest.fixture
async def panel():
    """Return a scope of a session without a connection."""
    session = StubWebSocketSession()
    yield session.make_scope("panel")
    await session.close()


async def test_a_value_is_got_and_set(panel):
    """A value is what it was set to last, None included."""
    value = panel.value(1)
    assert (value.get(), value.is_set()) == (1, True)
    value.set(2)
    assert value.get() == 2
    nothing = panel.value(None)
    assert (nothing.get(), nothing.is_set()) == (None, True)
    assert repr(value) == "<ScopedValue of panel: 2>"


async def test_a_value_may_be_unset(panel):
    """Without an initial value there is none until it is set."""
    value = panel.value()
    assert not value.is_set()
    with pytest.raises(SessionStateError, match="never set"):
        value.get()
    value.set(None)
    assert value.get() is None
    assert repr(panel.value()) == "<ScopedValue of panel: UNSET>"


async def test_a_value_dies_with_its_scope(panel):
    """After its scope's end a value can be neither read, set nor followed; the error says which scope, and the cure."""
    value = panel.value("v")
    await panel.destroy()

    for use in (value.get, lambda: value.set(1), lambda: value.on_change(print)):
        with pytest.raises(
            DestroyedScopeError, match="scope 'panel' is destroyed; what shall outlive"
        ) as caught:
            use()
        assert caught.value.scope == "panel"
    assert not value.is_set()
    assert "destroyed" in repr(value)


async def test_what_the_caller_passed_in_survives(panel):
    """A scope may write to a value of its caller's, who reads on when the scope is gone."""
    result = panel.root_scope().value(0)
    panel.on_destroy(lambda: result.set(42))
    await panel.destroy()

    assert result.get() == 42


async def test_changes_are_told_in_order(panel):
    """Followers are called at every change before set() returns, with the value if they want it."""
    told, value = [], panel.value(1)
    value.on_change(told.append)
    cancel = value.on_change(lambda: told.append("changed"))
    value.set(2)
    assert told == [2, "changed"]
    cancel()
    cancel()
    value.set(3)
    assert told == [2, "changed", 3]


@pytest.mark.parametrize(
    ("before", "now", "changes"),
    [
        (1, 1, False),
        ("ab", "aab"[1:], False),
        ([1], [1], False),
        (1, True, True),
        (1, 1.0, True),
        (None, 0, True),
        (float("nan"), float("nan"), True),
    ],
    ids=repr,
)
async def test_only_another_value_is_a_change(panel, before, now, changes):
    """An equal value of the same type is no change, but it is set."""
    told, value = [], panel.value(before)
    value.on_change(told.append)
    value.set(now)

    assert bool(told) is changes
    assert value.get() is now


async def test_values_that_cannot_be_compared_have_changed(panel):
    """An object whose comparison fails, or isn't true or false, has changed."""

    class Array:
        def __eq__(self, other):
            raise ValueError("ambiguous")

        __hash__ = None

    told, value = [], panel.value(Array())
    value.on_change(lambda: told.append("changed"))
    value.set(Array())

    assert told == ["changed"]


async def test_the_first_value_is_a_change(panel):
    """Setting what had no value is a change."""
    told, value = [], panel.value()
    value.on_change(told.append)
    value.set(None)

    assert told == [None]


async def test_a_follower_that_fails_hurts_nobody(panel, caplog):
    """A follower that raises is logged once; set() and the other followers go on."""
    told, value = [], panel.value(1)
    value.on_change(lambda: 1 // 0)
    value.on_change(told.append)
    value.set(2)

    assert told == [2]
    assert len(caplog.records) == 1
    assert "on_change of a value of scope 'panel' failed" in caplog.text


async def test_a_follower_may_set_the_value(panel):
    """Where a follower sets another value, nobody hears of the old one after the new one."""
    told, value = [], panel.value(0)
    value.on_change(lambda now: value.set(10) if now < 10 else None)
    value.on_change(told.append)
    value.set(1)

    assert (value.get(), told) == (10, [10])


async def test_a_follower_may_cancel_another_one(panel):
    """A follower that an earlier one takes back isn't called."""
    told, value = [], panel.value(0)
    value.on_change(lambda: cancel())
    cancel = value.on_change(told.append)
    value.set(1)

    assert told == []


async def test_async_followers_run_in_the_scope(panel, caplog):
    """An async follower runs in a task of the value's scope, which ends it; a failure is logged."""
    told, value = [], panel.value(0)

    async def follow(now):
        if now == 2:
            raise ValueError("no")
        try:
            told.append(now)
            await asyncio.Event().wait()
        finally:
            told.append("cancelled")

    value.on_change(follow)
    value.set(1)
    value.set(2)
    for _ in range(3):
        await asyncio.sleep(0)
    await panel.destroy()

    assert told == [1, "cancelled"]
    assert "cortado-on_change" in caplog.text


async def test_any_awaitable_of_a_follower_is_awaited(panel):
    """A plain function that returns a future is an async follower, too."""
    loop, value = asyncio.get_running_loop(), panel.value(0)
    future = loop.create_future()
    value.on_change(lambda: future)
    value.set(1)
    await asyncio.sleep(0)
    await panel.destroy()

    assert future.cancelled()


async def test_the_object_of_a_bound_method_is_held_weakly(panel):
    """A follower that is a method goes with its object; other functions stay."""

    class Chart:
        def __init__(self):
            self.drawn = []

        def draw(self, value):
            self.drawn.append(value)

    value, chart, told = panel.value(0), Chart(), []
    value.on_change(chart.draw)
    value.on_change(told.append)
    value.set(1)
    assert chart.drawn == [1]
    gone = weakref.ref(chart)
    del chart
    gc.collect()
    value.set(2)

    assert gone() is None
    assert told == [1, 2]


async def test_a_method_whose_object_cannot_be_held_weakly_is_held(panel):
    """An object without weak references is held as functions are."""
    told = []

    class Small:
        __slots__ = ()

        def draw(self, value):
            told.append(value)

    value = panel.value(0)
    value.on_change(Small().draw)
    value.set(1)

    assert told == [1]


async def test_a_value_outlives_a_soft_end_alone(caplog):
    """After a soft end a value can be read, set and followed; nothing async is begun any more."""
    session = StubWebSocketSession()
    value, told = session.make_scope("panel").value(1), []
    value.on_change(told.append)

    async def follow():
        told.append("never")

    value.on_change(follow)
    kept = weakref.ref(session)
    await session.close()
    value.set(2)
    await asyncio.sleep(0)
    del session
    gc.collect()
    value.set(3)

    assert told == [2, 3]
    assert kept() is None
    assert caplog.text == ""
