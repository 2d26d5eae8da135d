"""Whatever is made, nested, destroyed and ended in a session's scopes, in whatever order: a model says the same."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cortado.problems import INTERNAL_ERROR
from cortado.settings import WebSocketSettings
from cortado.testing import MemoryTransport
from cortado.websocket import (
    DestroyedScopeError,
    ScopedValue,
    SessionRegistry,
    SessionState,
    WebSocketSession,
)
from cortado.websocket.lifecycle import Handler, run_session
from cortado.websocket.session import Refusal
from tests.properties.test_session_machine import JumpingLoop, stubborn

LIMITS = WebSocketSettings(hook_timeout=3.0, disconnect_grace_period=1.0, idle_timeout=None)
LONGEST = 300.0
"""Seconds of the loop's own clock after which an end is no end any more."""
IDS = ["a", "a_b", "b"]
WAYS = [(), *((one,) for one in IDS), ("a", "a"), ("a", "b"), ("b", "a"), ("a", "b", "a"), ("a", "b", "b")]
BEHAVIOURS = (
    "sync",
    "async",
    "raises",
    "hangs",
    "registers",
    "makes",
    "destroys itself",
    "destroys the outer one",
)

Way = tuple[str, ...]


@dataclass(eq=False)
class Thing:
    """What the model knows of something that a scope owns."""

    way: Way
    name: str
    real: Any = None
    alive: bool = True


@dataclass
class Model:
    """What should be there: every callback, task, value, bean and flush callback that lives."""

    callbacks: list[Thing] = field(default_factory=list)
    tasks: list[Thing] = field(default_factory=list)
    values: list[Thing] = field(default_factory=list)
    beans: list[Thing] = field(default_factory=list)
    flushes: list[Thing] = field(default_factory=list)

    def within(self, way: Way) -> list[Thing]:
        everything = [*self.callbacks, *self.tasks, *self.values, *self.beans, *self.flushes]
        return [one for one in everything if one.alive and one.way[: len(way)] == way]


class ScopeMachine(RuleBasedStateMachine):
    """Drives the scopes of one session; destructions may overlap, be cancelled, and be overtaken by the end."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.CRITICAL)
        self.loop = JumpingLoop()
        self.model = Model()
        self.log: list[tuple[str, Thing]] = []
        self.waiting: list[tuple[Way, asyncio.Task[Any]]] = []
        self.count = 0
        self.ended = self.hard = False
        self.transport, self.registry = MemoryTransport(), SessionRegistry()
        self.session: WebSocketSession = self.run(self.connect())

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def connect(self) -> WebSocketSession:
        session = WebSocketSession(self.transport, LIMITS)
        self.server = asyncio.create_task(run_session(session, self, self.registry))
        await self.transport.until(lambda: self.transport.accepted)
        return session

    async def open(self, session: WebSocketSession) -> Handler:
        session._holdings.beans = self.bean(session, ())
        session._holdings.end_beans = session._holdings.beans.aclose
        session._holdings.open_beans = lambda _, scope: self.bean(scope, scope._ids)

        async def handle() -> None:
            await session.accept()
            while True:
                await session.receive()

        return Handler(handle)

    async def explain(self, session: WebSocketSession, error: Exception) -> Refusal:
        return Refusal.of(INTERNAL_ERROR)

    def report(self, error: BaseException) -> None: ...

    # What scopes own

    def thing(self, kept: list[Thing], way: Way, what: str) -> Thing:
        self.count += 1
        kept.append(Thing(way, f"{what} {self.count} of {'-'.join(way)}"))
        return kept[-1]

    def scope(self, way: Way) -> WebSocketSession:
        scope = self.session
        for one in way:
            scope = scope.make_scope(one)
        return scope

    def bean(self, scope: Any, way: Way) -> Any:
        thing, log = self.thing(self.model.beans, way, "bean"), self.log

        class Beans:
            async def aget(self, bean: Any, qualifier: str | None = None) -> Any:
                assert thing.alive
                return thing

            async def aclose(self) -> None:
                await asyncio.sleep(0)
                assert thing.alive, "beans ended twice"
                thing.alive = False
                log.append(("bean", thing))

        return Beans()

    def callback(self, way: Way, behaviour: str) -> None:
        thing = self.thing(self.model.callbacks, way, "callback")

        def begin(scope: WebSocketSession) -> None:
            assert thing.alive, "a callback ran twice"
            assert scope == self.scope(way)
            thing.alive = False
            self.log.append(("callback", thing))
            for one in self.model.within(way):
                if one in self.model.values:
                    assert one.real.get() == one.name, "a value was gone before the callbacks had run"
            if behaviour == "raises":
                raise ValueError(thing.name)
            if behaviour == "registers":
                self.callback((*way, "a"), "sync")
                self.callback(way, "async")
            if behaviour == "makes":
                self.value(way)
                self.task((*way, "b"), 60.0, swallows=False)

        async def run(scope: WebSocketSession) -> None:
            begin(scope)
            await asyncio.sleep(LONGEST if behaviour == "hangs" else 0)
            if behaviour == "destroys itself":
                await scope.destroy()
            elif behaviour == "destroys the outer one" and way:
                await self.scope(way[:1]).destroy()

        self.scope(way).on_destroy(begin if behaviour in {"sync", "raises"} else run)

    def value(self, way: Way) -> None:
        thing = self.thing(self.model.values, way, "value")
        thing.real = self.scope(way).value(thing.name)

    def task(self, way: Way, seconds: float, swallows: bool) -> None:
        thing = self.thing(self.model.tasks, way, "task")

        async def work() -> None:
            try:
                await (stubborn(seconds) if swallows else asyncio.sleep(seconds))
            finally:
                thing.alive = False
                self.log.append(("task", thing))

        thing.real = self.scope(way).create_task(work())
        thing.real.add_done_callback(lambda _: setattr(thing, "alive", False))

    def adds(self, way: Way, add: Callable[[], object]) -> None:
        """Add something where a scope may take it; while it ends, and afterwards, it may refuse."""
        before = {name: len(kept) for name, kept in vars(self.model).items()}

        async def added() -> None:
            try:
                add()
            except DestroyedScopeError:
                for name, kept in vars(self.model).items():
                    del kept[before[name] :]
                assert self.ended or self.being_destroyed(way), "a living scope refused"

        self.run(added())

    def being_destroyed(self, way: Way) -> bool:
        return any(not task.done() for _, task in self.waiting) or bool(self.session._holdings.children)

    @rule(way=st.sampled_from(WAYS), behaviour=st.sampled_from(BEHAVIOURS))
    def on_destroy(self, way: Way, behaviour: str) -> None:
        self.adds(way, lambda: self.callback(way, behaviour))

    @rule(way=st.sampled_from(WAYS))
    def makes_a_value(self, way: Way) -> None:
        self.adds(way, lambda: self.value(way))

    @rule(way=st.sampled_from(WAYS), seconds=st.sampled_from([0.0, 1.0, 600.0]), swallows=st.booleans())
    def starts_a_task(self, way: Way, seconds: float, swallows: bool) -> None:
        self.adds(way, lambda: self.task(way, min(seconds, 5.0) if swallows else seconds, swallows))

    @rule(way=st.sampled_from(WAYS), seconds=st.sampled_from([0.5, 2.0]))
    def repeats(self, way: Way, seconds: float) -> None:
        def add() -> None:
            thing = self.thing(self.model.tasks, way, "every")

            def turn(scope: WebSocketSession) -> None:
                assert thing.alive, "it went on after the end of its scope"
                if self.count % 3 == 0:
                    raise ValueError

            self.scope(way).every(seconds, turn)
            holdings = self.session._holdings.known(way)
            assert holdings is not None
            thing.real = next(task for task in holdings._tasks or () if task not in self.known_tasks())
            thing.real.add_done_callback(lambda _: setattr(thing, "alive", False))

        self.adds(way, add)

    def known_tasks(self) -> set[Any]:
        return {one.real for one in self.model.tasks}

    @rule(way=st.sampled_from(WAYS), once=st.booleans())
    def on_flush(self, way: Way, once: bool) -> None:
        def add() -> None:
            thing = self.thing(self.model.flushes, way, "flush")

            def flushed(scope: WebSocketSession) -> None:
                assert thing.alive
                assert self.session._holdings.known(way) is not None, "its scope is gone"
                thing.alive = not once

            self.scope(way).on_flush(flushed, once=once)

        self.adds(way, add)

    @rule()
    def flush(self) -> None:
        self.run(self.session.flush())

    @rule(way=st.sampled_from(WAYS))
    def gets_a_bean(self, way: Way) -> None:
        async def get() -> None:
            try:
                bean = await self.scope(way).aget(object)
            except (DestroyedScopeError, AssertionError):
                assert self.ended or self.being_destroyed(way)
            else:
                assert bean.way == way

        self.run(get())

    # Ends

    @precondition(lambda self: not self.ended)
    @rule(way=st.sampled_from(WAYS[1:]), patience=st.sampled_from(["waits", "later", "gives up"]))
    def destroys(self, way: Way, patience: str) -> None:
        doomed = self.model.within(way)

        async def destroy() -> None:
            await self.scope(way).destroy()

        async def begin() -> asyncio.Task[Any]:
            return asyncio.create_task(destroy())

        task = self.run(begin())
        if patience == "waits":
            self.run(asyncio.wait_for(task, LONGEST))
            for thing in doomed:
                self.check_dead(thing)
            return
        self.waiting.append((way, task))
        if patience == "gives up":
            self.turn(2)
            task.cancel()

    def check_dead(self, thing: Thing) -> None:
        if isinstance(thing.real, ScopedValue):
            thing.alive = False
            assert not thing.real.is_set(), thing.name
        elif thing in self.model.flushes:
            thing.alive = False
        elif thing in self.model.tasks:
            assert thing.real.done() or thing.real.cancelling(), thing.name  # else it was left behind
        else:
            assert not thing.alive, thing.name

    @precondition(lambda self: not self.ended)
    @rule(hard=st.booleans(), how=st.sampled_from(["close", "destroy", "vanish"]))
    def session_ends(self, hard: bool, how: str) -> None:
        async def end() -> None:
            if how == "vanish":
                self.transport.vanish()
            elif how == "destroy":
                self.waiting.append(((), asyncio.create_task(self.session.destroy())))
            else:
                self.waiting.append(((), asyncio.create_task(self.session.close(hard=hard))))
            await asyncio.sleep(0)

        self.ended, self.hard = True, hard and how == "close"
        self.run(end())

    @rule(turns=st.integers(1, 8))
    def turn(self, turns: int) -> None:
        async def wait() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(wait())

    @rule(seconds=st.sampled_from([0.6, 2.5, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    # What is always true

    @invariant()
    def beans_end_after_the_tasks_of_their_scope(self) -> None:
        for kind, thing in self.log:
            if kind == "bean" and thing.way:
                tasks = [one for one in self.model.tasks if one.way == thing.way and one.alive]
                begun = [one for one in tasks if int(one.name.split()[1]) < int(thing.name.split()[1])]
                assert not begun or self.swallowed(begun)

    def swallowed(self, tasks: list[Thing]) -> bool:
        return all(not one.real.done() and one.real.cancelling() for one in tasks)

    @invariant()
    def lenses_are_equal(self) -> None:
        assert self.scope(("a", "b")) == self.scope(("a",)).make_scope("b")
        assert len({self.scope(way) for way in WAYS * 2}) == len(WAYS)

    # What is true at the end

    def teardown(self) -> None:
        try:
            self.run(self.end())
        finally:
            self.loop.close()
            logging.disable(logging.NOTSET)

    async def end(self) -> None:
        begun, settled = len(self.log), self.count
        for _, task in self.waiting:
            await asyncio.wait([task], timeout=LONGEST)
            assert task.done(), "a destruction does not end"
        overlapping = self.ended or bool(self.waiting)
        if not self.ended:
            self.transport.vanish()
        done, _ = await asyncio.wait([self.server], timeout=LONGEST)
        assert done, "the session does not end"
        assert self.session.state is SessionState.CLOSED
        await asyncio.sleep(10)
        assert not any(one.alive for one in [*self.model.callbacks, *self.model.tasks, *self.model.beans])
        if not overlapping:
            self.check_order(self.log[begun:], settled)
        self.check_values()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=LONGEST)
        assert not left
        assert not self.transport.violations

    def check_order(self, log: list[tuple[str, Thing]], settled: int) -> None:
        """Check the session's own end: callbacks deepest first and root last, then tasks, then beans deepest first."""
        late = {thing for _, thing in log if int(thing.name.split()[1]) > settled}
        called = [len(one.way) for kind, one in log if kind == "callback" and one not in late]
        assert called == sorted(called, reverse=True)
        ended = [len(one.way) for kind, one in log if kind == "bean"]
        assert ended == sorted(ended, reverse=True)
        kinds = [kind for kind, _ in log if kind != "task"]
        assert kinds == sorted(kinds, key=["callback", "bean"].index)

    def check_values(self) -> None:
        for one in self.model.values:
            if self.hard:
                assert not one.real.is_set(), "a value outlived a hard end"
            elif one.alive and not self.waiting:
                assert one.real.get() == one.name, "a soft end took a value away"


ScopeMachine.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.filterwarnings("error")
class TestScopes(ScopeMachine.TestCase):  # type: ignore[misc, name-defined]
    """Any sequence of events leaves nothing of what a scope owned, ends it in order, and takes nothing of others."""
