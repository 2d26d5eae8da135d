"""Whatever is opened, asked, cancelled, overridden and stopped: once in each scope, ended once, and nothing is left."""

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cortado.container import (
    AsyncBeanError,
    BeanCreationError,
    BeanScope,
    Container,
    ContextClosedError,
    NoActiveScopeError,
    ScopeClosedError,
    ScopeCloseError,
    pre_destroy,
)

SIZE = 8
KINDS = ("class", "def", "async", "generator", "async generator")
SCOPES = ("singleton", "session", "child", "request", "job", "prototype")
LEVELS = {"singleton": 0, "session": 1, "child": 2, "request": 3, "job": 4}
EXPECTED = (
    BeanCreationError,
    ScopeClosedError,
    ContextClosedError,
    NoActiveScopeError,
    AsyncBeanError,
    asyncio.CancelledError,
)
"""What asking may end with; anything else is a defect."""

beans = st.integers(0, SIZE - 1)
shapes = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(SCOPES), st.sets(beans, max_size=4)),
    min_size=SIZE,
    max_size=SIZE,
)


class Part:
    """What every bean of the machine is: it knows what it holds, and that whatever it holds is alive."""

    def __init__(self, life: "Life", number: int, kept: bool, holds: tuple["Part", ...]) -> None:
        self.number, self.kept, self.holds = number, kept, holds
        self.life, self.ended = life, 0
        if number in life.failing:
            life.failing.remove(number)
            raise ValueError(number)
        life.wrong += [f"{held.number} was handed over after its end" for held in holds if held.ended]
        with life.lock:
            life.created.append(self)

    def end(self) -> None:
        early = [held.number for held in self.holds if held.ended]
        self.life.wrong += [f"{number} has ended before {self.number}" for number in early]
        with self.life.lock:
            self.ended += 1
            fails = self.number in self.life.failing_ends
            self.life.failing_ends.discard(self.number)
        if fails:
            raise ValueError("the end fails")


class Life:
    """What was created and ended, and who is to fail next."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.created: list[Part] = []
        self.failing: set[int] = set()
        self.failing_ends: set[int] = set()
        self.wrong: list[str] = []


def factory(life: Life, number: int, kind: str, cls: type, needs: list[type], kept: bool) -> object:
    """Return a factory, or class, of one kind whose parameters ask for the given types."""
    if not kept and "generator" in kind:  # nobody would resume it
        kind = "def"
    if kind == "class":

        class Made(cls):  # type: ignore[valid-type, misc]
            def __init__(self, *holds: Part) -> None:
                super().__init__(life, number, kept, holds)

            @pre_destroy
            async def down(self) -> None:
                await asyncio.sleep(0)
                self.end()

        _ask_for(Made.__init__, needs, ("self",))
        return Made

    def function(*holds: Part) -> cls:  # type: ignore[valid-type]
        return cls(life, number, kept, holds)

    async def afunction(*holds: Part) -> cls:  # type: ignore[valid-type]
        await asyncio.sleep(0)
        return cls(life, number, kept, holds)

    def generator(*holds: Part) -> Iterator[cls]:  # type: ignore[valid-type]
        part = cls(life, number, kept, holds)
        yield part
        part.end()

    async def agenerator(*holds: Part) -> AsyncIterator[cls]:  # type: ignore[valid-type]
        await asyncio.sleep(0)
        part = cls(life, number, kept, holds)
        yield part
        await asyncio.sleep(0)
        part.end()

    made = {"def": function, "async": afunction, "generator": generator, "async generator": agenerator}[kind]
    if kind in ("def", "async"):
        cls.close = lambda self: self.end()  # type: ignore[attr-defined]
    _ask_for(made, needs)
    return made


def _ask_for(function: Callable[..., Any], needs: list[type], first: tuple[str, ...] = ()) -> None:
    """Give a function that takes any number of arguments one parameter for each type."""
    positional = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(name, positional) for name in first]
    parameters += [inspect.Parameter(f"p{n}", positional, annotation=need) for n, need in enumerate(needs)]
    function.__signature__ = inspect.signature(function).replace(parameters=parameters)  # type: ignore[attr-defined]


class ContainerMachine(RuleBasedStateMachine):
    """A random graph of beans of all scopes and kinds, with scopes that open and close within each other."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.CRITICAL)
        self.runner = asyncio.Runner()
        self.threads = ThreadPoolExecutor(4)
        self.life = Life()
        self.scopes: list[BeanScope] = []
        self.closed: list[BeanScope] = []
        self.overrides: list[ExitStack] = []
        self.seen: dict[tuple[object, ...], Part] = {}
        self.lives = 0

    @initialize(shape=shapes)
    def build(self, shape: list[tuple[str, str, set[int]]]) -> None:
        self.container = Container(close_timeout=5)
        self.container.register_scope("job", within="request")
        self.types = [type(f"T{number}", (Part,), {}) for number in range(SIZE)]
        self.kept: list[bool] = []
        self.reach: list[int] = []
        self.scope_of: list[str] = []
        for number, (kind, scope, wanted) in enumerate(shape):
            limit = LEVELS.get(scope, len(LEVELS))
            needs = [one for one in sorted(wanted) if one < number and self.reach[one] <= limit]
            self.kept.append(scope != "prototype")
            self.scope_of.append(scope)
            self.reach.append(LEVELS.get(scope, max([0, *(self.reach[one] for one in needs)])))
            types = [self.types[one] for one in needs]
            made = factory(self.life, number, kind, self.types[number], types, scope != "prototype")
            self.container.register(made, name=f"b{number}", scope=scope)
        assert self.container.validate() == []
        self.start()

    def start(self) -> None:
        self.lives += 1
        self.runner.run(self.container.start())

    # Scopes

    @precondition(lambda self: len(self.scopes) < 6)
    @rule(kind=st.sampled_from(SCOPES[1:5]), data=st.data())
    def open_a_scope(self, kind: str, data: st.DataObject) -> None:
        parents = [
            one for one in self.scopes if LEVELS[one.kind] < LEVELS[kind] or one.kind == kind == "child"
        ]
        parent = data.draw(st.sampled_from([None, *parents]))
        self.scopes.append(self.container.scope(kind, parent=parent))

    @precondition(lambda self: self.scopes)
    @rule(data=st.data(), closers=st.integers(1, 3), ticks=st.integers(0, 4), cancelled=st.booleans())
    def close_a_scope(self, data: st.DataObject, closers: int, ticks: int, cancelled: bool) -> None:
        """Several close it at once, while others ask; one who closes it may be cancelled."""
        scope = data.draw(st.sampled_from(self.scopes))
        asked = data.draw(st.lists(beans, max_size=4))

        async def close() -> list[object]:
            asking = [asyncio.create_task(scope.aget(f"b{one}")) for one in asked]
            await turns(ticks)
            closing = [asyncio.create_task(scope.aclose()) for _ in range(closers)]
            if cancelled:
                await turns(max(1, ticks))  # one that hasn't begun closes nothing
                closing[0].cancel()
            ends = await asyncio.gather(*closing, return_exceptions=True)
            assert all(
                one is None or isinstance(one, ScopeCloseError | asyncio.CancelledError) for one in ends
            )
            assert not any(isinstance(one, asyncio.CancelledError) for one in ends[int(cancelled) :])
            return await asyncio.gather(*asking, return_exceptions=True)

        self.check_outcomes(self.run(close()))
        self.over(scope)

    @precondition(lambda self: self.closed)
    @rule(data=st.data(), number=beans)
    def ask_after_the_end(self, data: st.DataObject, number: int) -> None:
        scope = data.draw(st.sampled_from(self.closed))

        async def ask() -> None:
            for ask in (scope.aget(f"b{number}"), asyncio.to_thread(scope.get, f"b{number}")):
                (found,) = await asyncio.gather(ask, return_exceptions=True)
                assert isinstance(found, ScopeClosedError | ContextClosedError)

        self.run(ask())

    # Asking

    @rule(data=st.data(), asked=st.lists(beans, min_size=1, max_size=8), threads=st.booleans())
    def ask_together(self, data: st.DataObject, asked: list[int], threads: bool) -> None:
        """Tasks and threads that ask at once all get what those before them got."""
        scopes = [data.draw(st.sampled_from([None, *self.scopes])) for _ in asked]

        async def ask() -> list[object]:
            loop = asyncio.get_running_loop()
            waits: list[Any] = []
            for number, (one, scope) in enumerate(zip(asked, scopes, strict=True)):
                where = self.container if scope is None else scope
                if threads and number % 2:
                    waits.append(loop.run_in_executor(self.threads, where.get, f"b{one}"))
                else:
                    waits.append(asyncio.create_task(where.aget(f"b{one}")))
            return await asyncio.gather(*waits, return_exceptions=True)

        self.check(asked, scopes, self.run(ask()))

    @rule(data=st.data(), asked=st.lists(beans, min_size=2, max_size=8), ticks=st.integers(0, 4))
    def cancel_some(self, data: st.DataObject, asked: list[int], ticks: int) -> None:
        """A cancellation harms only the one who is cancelled."""
        scopes = [data.draw(st.sampled_from([None, *self.scopes])) for _ in asked]
        cancelled = data.draw(st.sets(st.integers(0, len(asked) - 1)))

        async def ask() -> list[object]:
            tasks = [
                asyncio.create_task((scope or self.container).aget(f"b{one}"))
                for one, scope in zip(asked, scopes, strict=True)
            ]
            await turns(ticks)
            for number in cancelled:
                tasks[number].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            await quiet()
            return found

        found = self.run(ask())
        for number, one in enumerate(found):
            assert number in cancelled or not isinstance(one, asyncio.CancelledError)
        self.check(asked, scopes, found)

    # What goes wrong, and what is replaced

    @rule(number=beans, at_end=st.booleans())
    def fail_next(self, number: int, at_end: bool) -> None:
        """The next creation of a bean fails, or the next end of one."""
        (self.life.failing_ends if at_end else self.life.failing).add(number)

    @precondition(lambda self: len(self.overrides) < 3)
    @rule(number=beans, kind=st.sampled_from(KINDS))
    def override(self, number: int, kind: str) -> None:
        stack = ExitStack()
        cls = type("Other", (self.types[number],), {})
        replacement = factory(self.life, number, kind, cls, [], self.kept[number])
        stack.enter_context(self.container.override(f"b{number}", replacement))
        self.overrides.append(stack)
        stack.callback(self.overrides.remove, stack)

    @precondition(lambda self: self.overrides)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.overrides)).close()

    @rule(ticks=st.integers(0, 5), cancelled=st.booleans(), asked=st.lists(beans, max_size=4))
    def stop_and_start(self, ticks: int, cancelled: bool, asked: list[int]) -> None:
        """A stop ends all scopes, while others ask, whoever cancels it."""
        self.stop(ticks, cancelled, asked)
        self.start()

    def stop(self, ticks: int, cancelled: bool, asked: list[int]) -> None:
        async def stop() -> list[object]:
            where = [*self.scopes, self.container]
            asking = [asyncio.create_task(one.aget(f"b{number}")) for one in where for number in asked]
            await turns(ticks)
            stopping = asyncio.create_task(self.container.stop())
            if cancelled:
                await turns(max(1, ticks))
                stopping.cancel()
            (end,) = await asyncio.gather(stopping, return_exceptions=True)
            assert end is None or isinstance(end, ScopeCloseError | asyncio.CancelledError)
            assert cancelled or not isinstance(end, asyncio.CancelledError)
            return await asyncio.gather(*asking, return_exceptions=True)

        self.check_outcomes(self.run(stop()))
        for scope in tuple(self.scopes):
            self.over(scope)
        self.nothing_lives()

    # What is always true

    def run(self, work: Any) -> Any:
        async def alone() -> Any:
            result = await asyncio.wait_for(work, 30)
            await quiet()
            return result

        return self.runner.run(alone())

    def over(self, scope: BeanScope) -> None:
        """Move a scope, and those within it, to those that have ended; none of their beans is alive."""
        ended = [one for one in self.scopes if scope in lineage(one)]
        for one in ended:
            assert one.closed
            assert not one._instances
            assert not one._finalisers
            self.scopes.remove(one)
            self.closed.append(one)
        for key, part in self.seen.items():
            if key[1] in ended:
                assert part.ended == 1

    def check_outcomes(self, found: list[object]) -> None:
        for one in found:
            assert isinstance(one, (Part, *EXPECTED)), repr(one)

    def check(self, asked: list[int], scopes: list[BeanScope | None], found: list[object]) -> None:
        self.check_outcomes(found)
        state = tuple(map(id, self.overrides))
        for number, scope, one in zip(asked, scopes, found, strict=True):
            if isinstance(one, NoActiveScopeError):
                assert self.reach[number] > 0
                continue
            if not isinstance(one, Part):
                continue
            everything = [one]
            for part in everything:
                assert not part.ended or not part.kept
                everything += part.holds
            if self.kept[number]:
                home = self.home(number, scope)
                assert self.seen.setdefault((number, home, *state), one) is one

    def home(self, number: int, scope: BeanScope | None) -> object:
        """Return whose instance it is: the scope that keeps the bean, or this life of the container."""
        kind = self.scope_of[number]
        if kind == "singleton":
            return self.lives
        return next(one for one in lineage(scope) if one.kind == kind)

    @invariant()
    def nothing_is_used_after_its_end(self) -> None:
        assert not self.life.wrong

    @invariant()
    def each_ends_once_at_most(self) -> None:
        assert all(part.ended <= part.kept for part in self.life.created)

    @invariant()
    def nothing_ends_early(self) -> None:
        live = {part for key, part in self.seen.items() if key[1] in self.scopes or key[1] == self.lives}
        assert not any(part.ended for part in live)

    @invariant()
    def only_open_scopes_are_remembered(self) -> None:
        if hasattr(self, "container"):
            top = [one for one in self.scopes if not isinstance(one.parent, BeanScope)]
            assert list(self.container.lifetime._children) == top

    def nothing_lives(self) -> None:
        assert not self.scopes
        assert not self.life.wrong
        for part in self.life.created:
            assert part.ended == part.kept, (part.number, part.ended)
        assert not self.container.lifetime._children

    def teardown(self) -> None:
        try:
            if hasattr(self, "container"):
                self.stop(2, cancelled=True, asked=list(range(SIZE)))
        finally:
            self.threads.shutdown()
            self.runner.close()
            logging.disable(logging.NOTSET)


def lineage(scope: BeanScope | None) -> Iterator[BeanScope]:
    """Yield a scope and those around it."""
    while isinstance(scope, BeanScope):
        yield scope
        scope = scope.parent


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def quiet() -> None:
    """Wait until every other task has come to its end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    while others := {
        one for one in others if not one.done() and one.get_name().startswith(("creation", "end"))
    }:
        _, left = await asyncio.wait(others, timeout=10)
        assert not left, f"left behind: {left}"


ContainerMachine.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.filterwarnings("error")
class TestContainer(ContainerMachine.TestCase):  # type: ignore[misc, name-defined]
    """Any sequence of events leaves each bean created once in its scope, ended once, and nothing behind."""
