"""Whatever is asked, cancelled, overridden and stopped: created once, destroyed once, dependants first."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cortado.container import BeanCreationError, Container, pre_destroy

SIZE = 6
beans = st.integers(0, SIZE - 1)
kinds = st.sampled_from(["class", "def", "async", "generator", "async generator"])


class Part:
    """What every bean of the machine is: it knows what it holds."""

    def __init__(self, holds: tuple["Part", ...]) -> None:
        self.holds = holds


class Life:
    """Who was created and destroyed, in order, and who is to fail next."""

    def __init__(self) -> None:
        self.created: list[Part] = []
        self.destroyed: list[Part] = []
        self.failing: set[int] = set()

    def create(self, number: int, part: Part) -> Part:
        if number in self.failing:
            self.failing.remove(number)
            raise ValueError(number)
        self.created.append(part)
        return part


def factory(life: Life, number: int, kind: str, cls: type, needs: list[type]) -> object:
    """Return a factory, or class, of one kind whose parameters ask for the given types."""

    if kind == "class":

        class Made(cls):
            def __init__(self, *holds: Part) -> None:
                super().__init__(holds)
                life.create(number, self)

            @pre_destroy
            async def down(self) -> None:
                await asyncio.sleep(0)
                life.destroyed.append(self)

        return _asking(Made, needs, made=True)

    def function(*holds: Part) -> cls:
        return life.create(number, cls(holds))

    async def afunction(*holds: Part) -> cls:
        await asyncio.sleep(0)
        return life.create(number, cls(holds))

    def generator(*holds: Part) -> Iterator[cls]:
        part = life.create(number, cls(holds))
        yield part
        life.destroyed.append(part)

    async def agenerator(*holds: Part) -> AsyncIterator[cls]:
        await asyncio.sleep(0)
        part = life.create(number, cls(holds))
        yield part
        await asyncio.sleep(0)
        life.destroyed.append(part)

    made = {"def": function, "async": afunction, "generator": generator, "async generator": agenerator}[kind]
    if kind in ("def", "async"):
        cls.close = lambda self: life.destroyed.append(self)
    return _asking(made, needs, made=False)


def _asking(target: object, needs: list[type], *, made: bool) -> object:
    """Give a factory that takes any number of arguments one parameter for each type."""
    parameters = [
        inspect.Parameter(f"p{number}", inspect.Parameter.POSITIONAL_ONLY, annotation=need)
        for number, need in enumerate(needs)
    ]
    first = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)] if made else []
    function = target.__init__ if made else target
    signature = inspect.signature(function)
    function.__signature__ = signature.replace(parameters=[*first, *parameters])
    return target


class Beans(RuleBasedStateMachine):
    """A random graph of beans of all kinds, in one container that is started and will be stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.life = Life()
        self.overrides: list[ExitStack] = []
        self.seen: dict[tuple[int, ...], Part] = {}

    @initialize(shape=st.lists(st.tuples(kinds, st.sets(beans)), min_size=SIZE, max_size=SIZE))
    def start(self, shape):
        self.types = [type(f"T{number}", (Part,), {}) for number in range(SIZE)]
        self.container = Container(close_timeout=5)
        for number, (kind, needs) in enumerate(shape):
            below = [self.types[need] for need in sorted(needs) if need < number]
            made = factory(self.life, number, kind, self.types[number], below)
            self.container.register(made, name=f"b{number}")
        self.runner.run(self.container.start())

    @rule(asked=st.lists(beans, min_size=1, max_size=8))
    def ask_together(self, asked):
        """Tasks that ask at once all get what those before them got."""

        async def ask():
            return await asyncio.gather(
                *(self.container.aget(f"b{one}") for one in asked), return_exceptions=True
            )

        self.check(asked, self.runner.run(ask()))

    @rule(asked=st.lists(beans, min_size=2, max_size=8), ticks=st.integers(0, 4), data=st.data())
    def cancel_some(self, asked, ticks, data):
        """A cancellation harms only the one who is cancelled."""
        cancelled = data.draw(st.sets(st.integers(0, len(asked) - 1)))

        async def ask():
            tasks = [asyncio.create_task(self.container.aget(f"b{one}")) for one in asked]
            for _ in range(ticks):
                await asyncio.sleep(0)
            for number in cancelled:
                tasks[number].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        found = self.runner.run(ask())
        for number, one in enumerate(found):
            assert number in cancelled or not isinstance(one, asyncio.CancelledError)
        self.check(asked, found)

    @rule(number=beans)
    def fail_next(self, number):
        """The next creation of a bean fails."""
        self.life.failing.add(number)

    @precondition(lambda self: len(self.overrides) < 4)
    @rule(number=beans, kind=kinds)
    def override(self, number, kind):
        """A bean is replaced."""
        stack = ExitStack()
        replacement = factory(self.life, -1, kind, type("Other", (self.types[number],), {}), [])
        stack.enter_context(self.container.override(f"b{number}", replacement))
        self.overrides.append(stack)
        stack.callback(self.overrides.remove, stack)

    @precondition(lambda self: self.overrides)
    @rule(data=st.data())
    def restore(self, data):
        """Any of the overrides ends."""
        data.draw(st.sampled_from(self.overrides)).close()

    @invariant()
    def nothing_ends_early(self):
        assert not self.life.destroyed

    def check(self, asked, found):
        state = tuple(map(id, self.overrides))
        for number, one in zip(asked, found, strict=True):
            if isinstance(one, Part):
                assert self.seen.setdefault((number, *state), one) is one
            else:
                assert isinstance(one, BeanCreationError | asyncio.CancelledError)

    def teardown(self):
        created, destroyed = self.life.created, self.life.destroyed

        async def stop_cancelled():
            underway = [asyncio.create_task(self.container.aget(f"b{number}")) for number in range(SIZE)]
            await asyncio.sleep(0)
            stopping = asyncio.create_task(self.container.stop())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            stopping.cancel()
            await asyncio.wait([stopping, *underway])
            for one in (stopping, *underway):
                assert one.cancelled() or one.exception() is None or isinstance(one.exception(), Exception)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        if hasattr(self, "container"):
            self.runner.run(stop_cancelled())
        self.runner.close()
        places = {part: place for place, part in enumerate(destroyed)}
        assert len(destroyed) == len(places)
        assert set(places) == set(created)
        for part in created:
            assert all(places[part] < places[held] for held in part.holds)


TestBeans = Beans.TestCase
TestBeans.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
