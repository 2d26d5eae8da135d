"""Scopes of a session: lenses, what they own, and how it ends."""

import asyncio
import contextlib
import gc
import inspect
import logging
import weakref

import pytest

from cortado.websocket import (
    DestroyedScopeError,
    SessionScope,
    SessionState,
    SessionStateError,
    WebSocketDisconnect,
    WebSocketSession,
)
from cortado.websocket.holdings import Holdings


@pytest.fixture
async def opened(connect):
    """Return an open session that nobody reads from but its echo."""

    async def open_one(**settings):
        wire = connect(**settings)
        await wire.transport.until(lambda: wire.transport.receiving)
        return wire

    return open_one


@pytest.fixture
async def session(opened):
    return (await opened()).session


class Turns:
    """What happened, in order."""

    def __init__(self):
        self.seen = []

    def at(self, name):
        return lambda: self.seen.append(name)

    def later(self, name):
        async def hook():
            await asyncio.sleep(0)
            self.seen.append(name)

        return hook

    async def lasting(self, name):
        """Work until cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            self.seen.append(name)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


# The lens


def test_a_scope_passes_on_all_that_a_session_has():
    """Every public member of a session is the scope's own or passed on to the session; none works on the lens."""
    own = {"root_scope", "make_scope", "ns", "destroy", "create_task", "every", "value", "aget", "flush"}
    own |= {name for name in vars(WebSocketSession) if name.startswith("on_")}
    public = {name for name in vars(WebSocketSession) if not name.startswith("_")} | {"__aiter__", "__repr__"}

    assert public - own <= set(vars(SessionScope))
    for name in public & set(vars(SessionScope)):
        ours, theirs = getattr(SessionScope, name), getattr(WebSocketSession, name)
        if callable(ours) and name != "root_scope":
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), (
                name
            )


async def test_a_scope_is_a_session_of_the_same_connection(opened):
    """A scope may stand wherever a session may: it has the session's facts, messages and end."""
    wire = await opened()
    session, panel = wire.session, wire.session.make_scope("panel")

    assert isinstance(panel, WebSocketSession)
    assert (panel.id, panel.path, panel.client, panel.subprotocols) == (session.id, "/", None, ())
    assert panel.settings is session.settings
    assert panel.attributes is session.attributes
    assert panel.headers is session.headers
    assert (panel.cookies, panel.path_params) == (session.cookies, session.path_params)
    assert panel.query_params is session.query_params
    assert (panel.state, panel.accepted, panel.close_event) == (SessionState.OPEN, True, None)
    assert (panel.is_stub_session(), panel.dropped_frames) == (False, 0)
    assert await panel.send_text("from the panel")
    assert await panel.send_bytes(b"panel")
    assert await panel.send_json({"panel": 1})
    await panel.close(4005, "with the panel")

    assert wire.transport.sent == ["from the panel", b"panel", '{"panel":1}']
    assert (wire.transport.closed.code, wire.transport.closed.reason) == (4005, "with the panel")
    assert panel.state is session.state is SessionState.CLOSED
    await panel.wait_closed()


async def test_a_handler_may_work_on_a_scope(connect):
    """A handler that has only a scope accepts, receives and iterates as on the session."""
    received = []

    async def handle(session):
        panel = session.make_scope("panel")
        await panel.accept()
        received.append(await panel.receive())
        received.append(await panel.receive_text())
        received.append(await panel.receive_bytes())
        received.append(await panel.receive_json())
        received.append(await anext(panel.iter_text()))
        received.append(await anext(panel.iter_bytes()))
        received.append(await anext(panel.iter_json()))
        async for message in panel:
            received.append(message)

    wire = connect(handle)
    wire.transport.feed("1", "2", b"3", "4", "5", b"6", "7", "8")
    await wire.transport.until(lambda: len(received) == 8 and wire.transport.receiving)
    wire.transport.depart()
    await wire.ended()

    assert received == ["1", "2", b"3", 4, "5", b"6", 7, "8"]


async def test_a_scope_may_refuse_the_handshake(connect):
    """deny() on a scope is the session's."""
    wire = connect(lambda session: session.make_scope("panel").deny(401))
    await wire.ended()

    assert wire.transport.denied.status == 401


async def test_lenses_of_one_id_are_the_same_scope(session):
    """A scope has no state but its id: lenses of one id are equal, of others, or of nested ones, aren't."""
    panel = session.make_scope("panel")

    assert panel == session.make_scope("panel")
    assert hash(panel) == hash(session.make_scope("panel"))
    assert panel != session.make_scope("panel_extra")
    assert panel.make_scope("a") != session.make_scope("a")
    assert panel.make_scope("a").make_scope("b") == session.make_scope("panel").make_scope("a").make_scope(
        "b"
    )
    assert panel not in (session, "panel")
    assert repr(panel).startswith("<SessionScope panel of <WebSocketSession")
    assert panel.make_scope("a").root_scope() is panel.root_scope() is session.root_scope() is session


async def test_names_carry_the_scopes_before_them(session):
    """ns() is the name as the client knows it."""
    chart = session.make_scope("panel").make_scope("chart")

    assert session.ns("save") == "save"
    assert session.make_scope("panel").ns("save") == "panel-save"
    assert chart.ns("save") == "panel-chart-save"
    for name in ("", None, 7):
        with pytest.raises(ValueError, match="a name is"):
            chart.ns(name)


@pytest.mark.parametrize(
    "id", ["", "a-b", "a b", "a\n", ".a", "a/b", None, 7, b"a", ["a"], ("a", "b")], ids=repr
)
async def test_an_id_is_one_word(session, id):
    """Anything but letters, digits and underscores is a ValueError, and changes nothing."""
    with pytest.raises(ValueError, match="a scope's id is"):
        session.make_scope(id)
    with pytest.raises(ValueError, match="a scope's id is"):
        session.make_scope("panel").make_scope(id)
    if id is not None:
        with pytest.raises(ValueError, match="a scope's id is"):
            await session.destroy(id)


@pytest.mark.parametrize("id", ["a", "A9_", "_", "0", "größe", "面板"])
async def test_ids_of_all_alphabets(session, id):
    """Letters and digits are those of any alphabet."""
    assert session.make_scope(id).ns("x") == f"{id}-x"


# destroy()


async def test_callbacks_deepest_first(session):
    """Destroying a scope runs its callbacks and those within, the deepest of all branches first; then it is gone."""
    turns, panel = Turns(), session.make_scope("panel")
    for scope, name in [
        (session, "session"),
        (panel, "panel"),
        (panel.make_scope("a").make_scope("deep"), "a-deep"),
        (panel.make_scope("b"), "b"),
        (panel.make_scope("a"), "a"),
        (session.make_scope("sibling"), "sibling"),
        (session.make_scope("panel_extra"), "panel_extra"),
    ]:
        scope.on_destroy(turns.at(f"{name} 1"))
        scope.on_destroy(turns.later(f"{name} 2"))
    await panel.destroy()

    assert turns.seen[:2] == ["a-deep 1", "a-deep 2"]
    assert sorted(turns.seen[2:6]) == ["a 1", "a 2", "b 1", "b 2"]
    assert turns.seen[6:] == ["panel 1", "panel 2"]


async def test_a_callback_gets_the_scope(session):
    """A callback that takes an argument is given the scope that it was registered in."""
    got, panel = [], session.make_scope("panel")
    panel.on_destroy(got.append)
    panel.make_scope("a").on_destroy(lambda scope: got.append(scope))
    await panel.destroy()

    assert got == [panel.make_scope("a"), panel]


async def test_everything_ends_in_order(session):
    """Callbacks see live tasks, values and beans; then tasks end, then beans, the deepest first, then the rest."""
    turns, beans = Turns(), []

    class Beans:
        def __init__(self, around, scope):
            beans.append((around, scope))
            self.name = scope.ns("bean")

        async def aget(self, bean, qualifier=None):
            return self.name

        async def aclose(self):
            turns.seen.append(f"{self.name} closed")

    root_beans = Beans(None, session)
    session._holdings.beans, session._holdings.open_beans = root_beans, Beans
    panel = session.make_scope("panel")
    inner = panel.make_scope("inner")
    value = panel.value(1)
    for scope in (panel, inner):
        scope.create_task(turns.lasting(scope.ns("task")))
        session._holdings.known(scope._ids).enter(turns.at(scope.ns("route")))
        scope.on_destroy(turns.at(scope.ns("callback")))
    assert await inner.aget(str) == await inner.aget(str) == "panel-inner-bean"
    assert await panel.aget(str) == "panel-bean"
    panel.on_destroy(lambda: turns.seen.append(value.get()))
    assert await session.aget(str) == "bean"
    await asyncio.sleep(0)
    await panel.destroy()

    assert beans[1:][0] == (root_beans, panel)
    assert beans[2][1] == inner
    assert len(beans) == 3
    assert turns.seen[:3] == ["panel-inner-callback", "panel-callback", 1]
    assert set(turns.seen[3:5]) == {"panel-inner-task", "panel-task"}
    assert turns.seen[5:] == [
        "panel-inner-bean closed",
        "panel-bean closed",
        "panel-inner-route",
        "panel-route",
    ]
    assert await session.aget(str) == "bean"


async def test_around_a_destroyed_scope_nothing_changes(session):
    """Parent, siblings and root keep their values, tasks and callbacks."""
    turns, panel = Turns(), session.make_scope("panel")
    others = [
        session,
        session.make_scope("panel_extra"),
        session.make_scope("pan"),
        session.make_scope("other"),
    ]
    values = [scope.value(scope.ns("v")) for scope in others]
    tasks = [scope.create_task(turns.lasting("ended")) for scope in others]
    for scope in others:
        scope.on_destroy(turns.at("destroyed"))
    gone = panel.value(0)
    await panel.destroy()

    assert [value.get() for value in values] == ["v", "panel_extra-v", "pan-v", "other-v"]
    assert not any(task.done() for task in tasks)
    assert turns.seen == []
    assert not gone.is_set()


async def test_a_destroyed_inner_scope_leaves_the_outer_one(session):
    """What is destroyed within a scope leaves that scope."""
    panel = session.make_scope("panel")
    outer, inner = panel.value("outer"), panel.make_scope("inner").value("inner")
    await panel.destroy("inner")

    assert outer.get() == "outer"
    assert not inner.is_set()


async def test_destroying_twice_does_nothing_more(session):
    """A scope's callbacks run once; a scope that owns nothing, or was never made, is left alone."""
    turns, panel = Turns(), session.make_scope("panel")
    panel.on_destroy(turns.at("destroyed"))
    await panel.destroy()
    await panel.destroy()
    await session.destroy("panel")
    await session.destroy("unknown")

    assert turns.seen == ["destroyed"]
    assert session._holdings.children == {}


async def test_the_second_caller_waits(session):
    """Whoever destroys a scope, or one within, while it is being destroyed waits for the same end."""
    release, turns, panel = asyncio.Event(), Turns(), session.make_scope("panel")
    panel.on_destroy(release.wait)
    panel.make_scope("a").on_destroy(turns.at("a"))

    async def destroyed(scope, name):
        await scope.destroy()
        turns.seen.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(destroyed(panel, "first"))
        await until(lambda: turns.seen)
        group.create_task(destroyed(panel, "second"))
        group.create_task(destroyed(panel.make_scope("a"), "within"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert turns.seen == ["a"]
        release.set()

    assert sorted(turns.seen[1:]) == ["first", "second", "within"]


async def test_the_outer_end_waits_for_an_inner_one(session):
    """A scope's callbacks come when a destruction within, begun before, is complete."""
    release, turns, panel = asyncio.Event(), Turns(), session.make_scope("panel")
    inner = panel.make_scope("inner")
    inner.on_destroy(release.wait)
    inner.create_task(turns.lasting("inner task"))
    panel.on_destroy(turns.at("panel"))
    async with asyncio.TaskGroup() as group:
        group.create_task(inner.destroy())
        for _ in range(3):
            await asyncio.sleep(0)
        group.create_task(panel.destroy())
        for _ in range(5):
            await asyncio.sleep(0)
        assert turns.seen == []
        release.set()

    assert turns.seen == ["inner task", "panel"]


async def test_cancelling_stops_the_waiting_only(session):
    """A destruction goes on however often its caller is cancelled."""
    release, turns, panel = asyncio.Event(), Turns(), session.make_scope("panel")
    panel.on_destroy(release.wait)
    panel.on_destroy(turns.at("second"))
    waiting = asyncio.create_task(panel.destroy())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await panel.destroy()

    assert turns.seen == ["second"]


async def test_a_destruction_cannot_be_cancelled(session):
    """Whoever cancels the destruction's own task, as often as they like, doesn't keep it from its end."""
    turns = Turns()

    class Beans:
        async def aget(self, bean, qualifier=None):
            return 1

        async def aclose(self):
            try:
                for _ in range(3):
                    await asyncio.sleep(0)
            finally:
                turns.seen.append("bean")

    session._holdings.beans, session._holdings.open_beans = Beans(), lambda around, scope: Beans()
    panel = session.make_scope("panel")
    inner = panel.make_scope("inner")
    values = [panel.value(1), inner.value(1)]
    for scope in (panel, inner):
        await scope.aget(int)
        scope.on_destroy(turns.later("callback"))
        scope.create_task(turns.lasting("task"))
    await asyncio.sleep(0)
    asking = asyncio.create_task(panel.destroy())
    while not asking.done():
        for task in asyncio.all_tasks():
            if task.get_name() == "cortado-destroy panel":
                task.cancel()
        for _ in range(3):  # a task that is cancelled before its first step has to begin again
            await asyncio.sleep(0)

    assert turns.seen == ["callback"] * 2 + ["task"] * 2 + ["bean"] * 2
    assert not any(value.is_set() for value in values)


async def test_a_report_that_fails_skips_nothing(opened, caplog):
    """Where taking note of a failed callback fails itself, the rest of the destruction goes on."""
    wire = await opened()
    turns, panel = Turns(), wire.session.make_scope("panel")
    wire.report = lambda error: 1 // 0
    value = panel.value(1)
    panel.on_destroy(lambda: {}[0])
    panel.create_task(turns.lasting("task"))
    await asyncio.sleep(0)
    await panel.destroy()

    assert turns.seen == ["task"]
    assert not value.is_set()
    assert "Step _run_callbacks in the destruction" in caplog.text


async def test_an_id_can_be_used_afresh(session):
    """After its destruction an id stands for a new scope, also through a lens from before."""
    turns, panel = Turns(), session.make_scope("panel")
    panel.on_destroy(turns.at("old"))
    old = panel.value("old")
    await panel.destroy()
    panel.on_destroy(turns.at("new"))
    new = panel.value("new")

    assert turns.seen == ["old"]
    assert (old.is_set(), new.get()) == (False, "new")
    await panel.destroy()
    assert turns.seen == ["old", "new"]


async def test_callbacks_that_fail_or_hang_skip_no_other(opened, caplog):
    """A callback that raises is logged once and reported; one that hangs is cut; all others run, and all else ends."""
    wire = await opened(hook_timeout=0.05)
    turns, panel = Turns(), wire.session.make_scope("panel")
    panel.make_scope("a").on_destroy(lambda: 1 // 0)
    panel.on_destroy(lambda: asyncio.sleep(30))
    panel.on_destroy(turns.at("last"))
    task = panel.create_task(turns.lasting("task"))
    await asyncio.sleep(0)
    await panel.destroy()

    assert turns.seen == ["last", "task"]
    assert task.cancelled()
    assert [type(error) for error in wire.reported] == [ZeroDivisionError, TimeoutError]
    assert len(caplog.records) == 2
    assert "on_destroy of session" in caplog.text
    assert "scope panel-a failed" in caplog.text


async def test_callbacks_registered_meanwhile_run_too(session):
    """What a callback registers still runs, the deepest first; and what it makes dies with the rest."""
    turns, panel, made = Turns(), session.make_scope("panel"), []

    def register():
        turns.seen.append("panel 1")
        panel.make_scope("late").on_destroy(turns.at("late"))
        panel.on_destroy(turns.at("panel 3"))
        made.append(panel.value(1))
        made.append(panel.create_task(turns.lasting("task")))

    panel.on_destroy(register)
    panel.on_destroy(turns.at("panel 2"))
    await panel.destroy()

    assert turns.seen[:4] == ["panel 1", "late", "panel 2", "panel 3"]
    assert not made[0].is_set()
    assert made[1].cancelled()


async def test_callbacks_that_register_for_ever_come_to_an_end(session, caplog):
    """A callback that registers itself again and again doesn't keep the scope alive."""
    count, panel = [], session.make_scope("panel")

    def again():
        count.append(1)
        panel.on_destroy(again)

    panel.on_destroy(again)
    await panel.destroy()

    assert 1000 <= len(count) <= 1100
    assert "keep registering" in caplog.text


async def test_a_cancelled_registration_does_not_run(session):
    """on_destroy() returns what takes it back; taking it back again does nothing."""
    turns, panel = Turns(), session.make_scope("panel")
    cancel = panel.on_destroy(turns.at("cancelled"))
    panel.on_destroy(turns.at("kept"))
    cancel()
    cancel()
    await panel.destroy()

    assert turns.seen == ["kept"]


@pytest.mark.parametrize("who", ["callback", "callback within", "callback of a sibling"])
async def test_callbacks_are_not_made_to_wait_for_their_own_end(session, who):
    """A callback may destroy its own scope, the one around, or one that is destroying it: nothing waits for itself."""
    turns, panel, sibling = Turns(), session.make_scope("panel"), session.make_scope("sibling")
    target = panel.make_scope("inner") if who == "callback within" else panel

    async def again():
        await (sibling if who == "callback of a sibling" else panel).destroy()
        await target.destroy()
        turns.seen.append("callback")

    target.on_destroy(again)
    sibling.on_destroy(panel.destroy)
    async with asyncio.timeout(5):
        await target.destroy()
        await panel.destroy()
        await sibling.destroy()

    assert turns.seen == ["callback"]


async def test_a_task_that_destroys_its_own_scope_is_cancelled(session):
    """A scope's own task may ask for the end: it is cancelled as all of them are."""
    turns, panel = Turns(), session.make_scope("panel")

    async def work():
        try:
            await panel.destroy()
            turns.seen.append("never")
        finally:
            turns.seen.append("task")

    panel.on_destroy(turns.at("callback"))
    task = panel.create_task(work())
    await asyncio.wait([task], timeout=5)
    await panel.destroy()

    assert turns.seen == ["callback", "task"]
    assert task.cancelled()


async def test_during_the_end_nothing_may_be_added(session):
    """When the callbacks have run, tasks, callbacks and values are refused, and the error names the scope."""
    panel, caught = session.make_scope("panel"), []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            for add in (
                lambda: panel.on_destroy(print),
                panel.value,
                lambda: panel.make_scope("a").value(),
                lambda: panel.on_flush(print),
                lambda: panel.on_ended(print),
                lambda: panel.create_task(asyncio.sleep(0)),
                lambda: panel.every(1, print),
            ):
                with pytest.raises(DestroyedScopeError, match="panel") as error:
                    add()
                caught.append(error.value.scope)

    panel.create_task(work())
    await asyncio.sleep(0)
    await panel.destroy()

    assert caught == ["panel"] * 7


async def test_a_task_that_swallows_its_cancellation_is_left_behind(opened, caplog):
    """A task that doesn't give way holds up the end of its scope for no longer than hook_timeout."""
    wire, release = await opened(hook_timeout=0.05), asyncio.Event()

    async def stubborn():
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    panel = wire.session.make_scope("panel")
    task = panel.create_task(stubborn(), name="mule")
    await asyncio.sleep(0)
    async with asyncio.timeout(3):
        await panel.destroy()
    release.set()
    await task

    assert "Task mule of session" in caplog.text
    assert "scope panel swallowed its cancellation" in caplog.text


async def test_beans_that_cannot_be_ended_are_reported(opened, caplog):
    """Beans that fail to end are logged and reported, and the rest of the scope ends."""
    wire = await opened()

    class Beans:
        async def aget(self, bean, qualifier=None):
            return 1

        async def aclose(self):
            raise ValueError("broken")

    holdings = wire.session._holdings
    holdings.beans, holdings.open_beans = Beans(), lambda around, scope: Beans()
    panel = wire.session.make_scope("panel")
    value = panel.value(await panel.aget(int))
    await panel.destroy()

    assert [str(error) for error in wire.reported] == ["broken"]
    assert "could not be ended" in caplog.text
    assert not value.is_set()


async def test_a_bean_without_a_container(session):
    """Where no container serves the session, its scopes have none either."""
    with pytest.raises(SessionStateError, match="no container"):
        await session.make_scope("panel").aget(int)


async def test_tasks_belong_to_their_scope(session, caplog):
    """A scope's task is the session's own code; a failure is logged with the scope; what is done isn't kept."""
    panel, seen = session.make_scope("panel"), []

    async def work():
        seen.append(session._is_own())
        raise ValueError("failed")

    task = panel.create_task(work(), name="worker")
    await asyncio.wait([task])
    await until(lambda: "failed" in caplog.text)

    assert seen == [True]
    assert "Task worker of session" in caplog.text
    assert "scope panel failed" in caplog.text
    assert not session._holdings.known(("panel",))._tasks


# The end of the session


async def test_the_end_of_a_session_destroys_its_scopes(connect):
    """A session ends its scopes deepest first and itself last; their tasks end when all callbacks have run."""
    turns = Turns()

    async def handle(session):
        inner = session.make_scope("panel").make_scope("inner")
        for scope in (session, session.make_scope("panel"), inner, session.make_scope("other")):
            scope.on_destroy(turns.later(scope.ns("callback")))
            scope.create_task(turns.lasting("task"))
        session.on_ended(turns.at("on_ended"))
        inner.on_ended(turns.at("inner on_ended"))
        await session.accept()

    wire = connect(handle)
    await wire.ended()

    assert turns.seen[:3] == ["on_ended", "inner on_ended", "panel-inner-callback"]
    assert sorted(turns.seen[3:5]) == ["other-callback", "panel-callback"]
    assert turns.seen[5:] == ["callback", *["task"] * 4]


async def test_the_end_of_a_session_waits_for_a_destruction(connect):
    """A destruction under way is complete before the session's own callbacks run."""
    turns, release = Turns(), asyncio.Event()

    async def handle(session):
        panel = session.make_scope("panel")
        panel.on_destroy(release.wait)
        panel.create_task(turns.lasting("panel task"))
        session.on_destroy(turns.at("session"))
        await session.accept()
        session.create_task(panel.destroy())
        await asyncio.sleep(0)
        await session.receive()

    wire = connect(handle)
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.vanish()
    await until(lambda: "on_disconnect done" in wire.events)
    assert turns.seen == []
    release.set()
    await wire.ended()

    assert turns.seen == ["panel task", "session"]


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
async def test_values_after_the_end(opened, hard):
    """After a soft end values stay readable, those of scopes too; after a hard one all of them are gone."""
    wire = await opened()
    session = wire.session
    values = [session.value(1), session.make_scope("panel").value(2)]
    dead = session.make_scope("dead").value(3)
    removed = []
    session._holdings.enter(lambda: removed.append("root"))
    session.make_scope("panel").on_destroy(lambda: removed.append([value.get() for value in values]))
    session._holdings.known(("panel",)).enter(lambda: removed.append("panel"))
    await session.destroy("dead")
    await session.close(hard=hard)

    assert [value.is_set() for value in values] == [not hard] * 2
    assert removed == [[1, 2], "panel", "root"][: 3 if hard else 2]
    for value in values[: 2 if hard else 0]:
        with pytest.raises(DestroyedScopeError):
            value.get()
    assert not dead.is_set()


async def test_after_the_end_nothing_may_be_added(opened):
    """A session that has ended owns nothing any more, nor do its scopes."""
    wire = await opened()
    session = wire.session
    await session.close()
    for scope in (session, session.make_scope("panel")):
        for add in (
            scope.value,
            lambda scope=scope: scope.on_destroy(print),
            lambda s=scope: s.every(1, print),
        ):
            with pytest.raises(DestroyedScopeError, match="the session is destroyed"):
                add()
        await scope.destroy()
        await scope.flush()
    with pytest.raises(SessionStateError):
        session.on_ended(print)


@pytest.mark.parametrize("id", ["none", "None given"])
async def test_destroying_the_session_ends_it(opened, id):
    """destroy() on the session itself is its end, with all hooks in their order."""
    wire = await opened()
    turns, session = Turns(), wire.session
    session.on_ended(turns.at("ended"))
    session.make_scope("panel").on_destroy(turns.at("panel"))
    session.on_destroy(turns.at("session"))
    await (session.destroy() if id == "none" else session.destroy(None))

    assert wire.session.state is SessionState.CLOSED
    assert wire.transport.closed.code == 1000
    assert turns.seen == ["ended", "panel", "session"]


async def test_a_shutdown_waits_for_a_destruction(opened):
    """Destructions are held, and awaited before the application's beans go."""
    wire, release, turns = await opened(), asyncio.Event(), Turns()
    panel = wire.session.make_scope("panel")
    panel.on_destroy(release.wait)
    panel.on_destroy(turns.at("done"))
    asking = asyncio.create_task(panel.destroy())
    await asyncio.sleep(0)
    draining = asyncio.create_task(wire.registry.drain(jitter=0, timeout=5))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not draining.done()
    release.set()
    await draining
    await asking

    assert turns.seen == ["done"]


async def test_hooks_registered_by_a_scope_go_with_it(opened):
    """on_ended and on_hard_close callbacks of a destroyed scope don't run; those of others do."""
    wire = await opened()
    turns, session = Turns(), wire.session
    for name in ("panel", "other"):
        session.make_scope(name).on_ended(turns.at(f"{name} ended"))
        session.make_scope(name).on_hard_close(lambda scope: turns.seen.append(scope.ns("hard")))
    await session.destroy("panel")
    await session.close(hard=True)

    assert turns.seen == ["other ended", "other-hard"]


async def test_a_dead_scope_keeps_nothing_alive(opened):
    """Neither the session nor what its registrations returned holds a destroyed scope's objects."""

    class Part:
        def hook(self): ...

    wire = await opened()
    session, part = wire.session, Part()
    kept, panel, alive = session.value(0), session.make_scope("panel"), weakref.ref(part)
    returned = [
        panel.on_destroy(part.hook),
        panel.on_ended(part.hook),
        panel.on_flush(part.hook, once=False),
        panel.on_flushed(part.hook),
        panel.every(60, part.hook),
        kept.on_change(part.hook),
    ]
    value = panel.value(part)
    value.on_change(lambda held=part: held)
    panel.create_task(asyncio.sleep(60, part))
    del part
    await panel.destroy()
    await asyncio.sleep(0)
    gc.collect()

    assert alive() is None
    assert (len(returned), session._holdings.children) == (6, {})
    assert not session._on_ended
    assert not session._flush.before


async def test_dropped_values_are_not_kept(session):
    """A scope keeps no value alive that nobody uses."""
    value = weakref.ref(session.value([1]))
    gc.collect()

    assert value() is None


# every()


async def test_every_repeats_until_the_scope_ends(session):
    """every() calls again and again, sync or async, with the scope if it is wanted, and ends with the scope."""
    panel, calls = session.make_scope("panel"), []

    async def work(scope):
        await asyncio.sleep(0)
        calls.append(scope)

    panel.every(0.001, work)
    panel.every(0, lambda: calls.append("sync"))
    assert calls == []
    await until(lambda: calls.count(panel) >= 3 and calls.count("sync") >= 3)
    await panel.destroy()
    count = len(calls)
    await asyncio.sleep(0.01)

    assert len(calls) == count


async def test_every_never_overlaps(session):
    """A call that takes longer than its time is awaited, and missed turns are left out."""
    panel, running, most = session.make_scope("panel"), [], []

    async def slow():
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.02)
        running.pop()

    panel.every(0.001, slow)
    await until(lambda: len(most) >= 3)
    await panel.destroy()

    assert set(most) == {1}


async def test_every_goes_on_after_a_failure(session, caplog):
    """Each failure is logged once, also a cancellation from elsewhere, and the next turn comes."""
    panel, calls = session.make_scope("panel"), []

    def work():
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("one")
        if len(calls) == 2:
            raise asyncio.CancelledError

    panel.every(0, work)
    await until(lambda: len(calls) >= 3)
    await panel.destroy()

    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "every(0) of session" in caplog.text


async def test_every_can_be_stopped(session):
    """What every() returns stops it; a call under way runs to its end."""
    panel, calls, release = session.make_scope("panel"), [], asyncio.Event()

    async def work():
        calls.append("begun")
        await release.wait()
        calls.append("done")

    stop, rest = panel.every(0, work), panel.every(60, work)
    await until(lambda: calls)
    stop()
    rest()
    release.set()
    await until(lambda: not session._holdings.known(("panel",))._tasks)

    assert calls == ["begun", "done"]


async def test_every_stops_when_the_session_has_ended(connect, caplog):
    """A turn that finds the session ended is the last one, and nothing to log."""
    caplog.set_level(logging.INFO)
    calls = []

    async def handle(session):
        async def push():
            calls.append(1)
            await session.send_text("tick")

        session.on_ended(lambda: asyncio.sleep(0.02))
        await session.accept()
        session.make_scope("panel").every(0.001, push)
        await session.receive()

    wire = connect(handle)
    await wire.transport.until(lambda: len(wire.transport.sent) > 1)
    wire.transport.vanish()
    await wire.ended()

    assert len(calls) <= len(wire.transport.sent) + 1
    assert caplog.text == ""


async def test_every_ends_although_a_call_swallows_the_cancellation(session):
    """A call that swallows the scope's cancellation isn't followed by another one."""
    panel, calls = session.make_scope("panel"), []

    async def work():
        calls.append(1)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)

    panel.every(0, work)
    await until(lambda: calls)
    async with asyncio.timeout(3):
        await panel.destroy()

    assert calls == [1]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_every_takes_seconds(session, seconds):
    """What can't be waited for is a ValueError."""
    with pytest.raises(ValueError, match="every"):
        session.every(seconds, print)


# flush()


async def test_flush_runs_callbacks_in_order(session):
    """on_flush callbacks of the session and its scopes come in the order of registration, then on_flushed ones."""
    turns, panel = Turns(), session.make_scope("panel")
    session.on_flushed(turns.at("after"))
    session.on_flush(turns.later("once"))
    panel.on_flush(lambda scope: turns.seen.append(scope.ns("always")), once=False)
    session.on_flush(turns.at("last"))
    cancel = session.on_flush(turns.at("cancelled"), once=False)
    cancel()
    await session.flush()
    await panel.flush()

    assert turns.seen == ["once", "panel-always", "last", "after", "panel-always"]


async def test_flush_callbacks_are_isolated(opened, caplog):
    """A callback that raises is logged, reported and skips no other; one that came once doesn't come again."""
    wire = await opened()
    turns, session = Turns(), wire.session
    session.on_flush(lambda: 1 // 0)
    session.on_flush(turns.at("next"))
    session.on_flushed(turns.at("after"))
    await session.flush()
    await session.flush()

    assert turns.seen == ["next", "after"]
    assert [type(error) for error in wire.reported] == [ZeroDivisionError]
    assert session.state is SessionState.OPEN


async def test_what_is_registered_in_a_flush_waits_for_the_next(session):
    """A callback that registers itself again, or flushes, begins no endless flush."""
    calls = []

    async def again():
        calls.append(1)
        session.on_flush(again)
        await session.flush()

    session.on_flush(again)
    await session.flush()
    assert len(calls) == 1
    await session.flush()
    assert len(calls) == 2


async def test_flushes_come_one_after_another(session):
    """Two flushes at once don't mix their callbacks."""
    turns = Turns()

    async def slow():
        turns.seen.append("begun")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    session.on_flush(slow, once=False)
    session.on_flushed(turns.at("flushed"), once=False)
    await asyncio.gather(session.flush(), session.flush())

    assert turns.seen == ["begun", "flushed"] * 2


async def test_a_callback_cancelled_in_a_flush_does_not_come(session):
    """A callback that an earlier one takes back doesn't run."""
    turns = Turns()
    session.on_flush(lambda: cancel())
    cancel = session.on_flush(turns.at("cancelled"))
    await session.flush()

    assert turns.seen == []


async def test_flush_callbacks_go_with_their_scope(session):
    """A destroyed scope hears of no flush any more."""
    turns, panel = Turns(), session.make_scope("panel")
    panel.make_scope("inner").on_flush(turns.at("inner"), once=False)
    panel.on_flushed(turns.at("panel"), once=False)
    session.on_flush(turns.at("session"), once=False)
    await session.flush()
    await panel.destroy()
    await session.flush()

    assert turns.seen == ["inner", "session", "panel", "session"]


# Entries


async def test_entries_can_be_left(session):
    """A handler, route or download that is removed by hand isn't removed again."""
    removed = []
    holdings = Holdings(session)
    leave = holdings.enter(lambda: removed.append(1))
    leave()
    leave()
    holdings.forget()

    assert removed == [1]


async def test_a_disconnect_in_a_scope_is_the_sessions(connect):
    """What a scope's send and receive raise at the end is the session's own disconnect."""
    caught = []

    async def handle(session):
        panel = session.make_scope("panel")
        await panel.accept()
        try:
            await panel.receive()
        except WebSocketDisconnect as disconnect:
            caught.append((disconnect.code, disconnect.session_id == session.id))
            raise

    wire = connect(handle)
    await wire.transport.until(lambda: wire.transport.receiving)
    wire.transport.depart(4001)
    await wire.ended()

    assert caught == [(4001, True)]
    assert wire.reported == []
