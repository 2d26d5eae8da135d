"""Events: who is told, in which order, and what a failing or hanging listener does."""

import asyncio
import typing
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import pytest
from typing_extensions import TypeAliasType

from cortado.container import (
    AnnotationError,
    BeanCreationError,
    Container,
    ContextClosedError,
    ContextClosing,
    ContextReady,
    Lazy,
    ScopeCloseError,
    StartupError,
    bean,
    component,
    configuration,
    event_listener,
    order,
    post_construct,
    pre_destroy,
    profile,
    prototype,
    session_scope,
)
from cortado.exceptions import ConfigurationError

T = typing.TypeVar("T")
Number = typing.NewType("Number", int)


class Log(list[Any]):
    """What happened, in order."""


@dataclass(frozen=True)
class Ordered:
    """An event."""

    number: int


class OrderedTwice(Ordered):
    """An event of a subclass."""


@dataclass(frozen=True)
class Cancelled:
    """Another event."""

    number: int


@pytest.fixture
def log():
    return Log()


def container_of(log: Log, *sources: Any, **options: Any) -> Container:
    container = Container(*sources, **options)
    container.register_instance(log)
    return container


class Logging:
    """A bean that writes to the log."""

    def __init__(self, log: Log) -> None:
        self.log = log


# Who is told


async def test_listeners_by_type(log):
    """A listener is told of events of its annotation's type and of subclasses, and of no others."""

    @component
    class Bean(Logging):
        @event_listener
        def placed(self, event: Ordered) -> None:
            self.log.append(event)

    async with container_of(log, Bean) as container:
        await container.publish(Ordered(1))
        await container.publish(Cancelled(2))
        await container.publish(OrderedTwice(3))

    assert log == [Ordered(1), OrderedTwice(3)]


Either = Ordered | Cancelled
Aliased = TypeAliasType("Aliased", Either)


@pytest.mark.parametrize(
    "annotation",
    [
        Ordered | Cancelled,
        typing.Union[Ordered, Cancelled],  # noqa: UP007 - the other way to write it
        Annotated[Ordered | Cancelled, "note"],
        "Ordered | Cancelled",
        Aliased,
    ],
)
async def test_unions(log, annotation):
    """A union of types listens to each, however it is written."""

    @component
    class Bean(Logging):
        @event_listener
        def changed(self, event: annotation) -> None:
            self.log.append(event)

    async with container_of(log, Bean) as container:
        await container.publish(Ordered(1))
        await container.publish(Cancelled(2))
        await container.publish("other")

    assert log == [Ordered(1), Cancelled(2)]


async def test_types_in_parentheses(log):
    """With types in parentheses the annotation doesn't matter, and the parameter may be missing."""

    @component
    class Bean(Logging):
        @event_listener(Ordered, Cancelled)
        def both(self) -> None:
            self.log.append("both")

        @event_listener(Ordered | Cancelled)
        def joined(self, event) -> None:
            self.log.append(event)

        @event_listener(Ordered)
        def optional(self, event=None, more=None) -> None:
            self.log.append((event, more))

    async with container_of(log, Bean) as container:
        await container.publish(Cancelled(1))
        await container.publish(Ordered(2))

    assert log == ["both", Cancelled(1), "both", Ordered(2), (Ordered(2), None)]


async def test_local_names(log):
    """A string may name what is local to the function around the class, or a registered class."""

    class Local(Logging):
        pass

    @component
    class Bean(Logging):
        @event_listener
        def local(self, event: "Local") -> None:
            self.log.append("local")

    async with container_of(log, Bean) as container:
        await container.publish(Local(log))

    assert log == ["local"]


async def test_inherited_listeners(log):
    """A parent's listener counts once, before the child's own; overridden without a decorator it is none."""

    class Parent(Logging):
        @event_listener
        def kept(self, event: Ordered) -> None:
            self.log.append("kept")

        @event_listener
        def overridden(self, event: Ordered) -> None:
            self.log.append("wrong")

        @event_listener
        def replaced(self, event: Ordered) -> None:
            self.log.append("wrong")

    @component
    class Child(Parent):
        @event_listener
        def own(self, event: Ordered) -> None:
            self.log.append("own")

        def overridden(self, event: Ordered) -> None:
            self.log.append("wrong")

        @event_listener
        def replaced(self, event: Cancelled) -> None:
            self.log.append("replaced")

    async with container_of(log, Child) as container:
        await container.publish(Ordered(1))
        await container.publish(Cancelled(1))

    assert log == ["kept", "own", "replaced"]


async def test_every_kind_of_bean(log):
    """What a `@bean` method makes listens by its declared type, an object that was handed over by its own."""

    class Made(Logging):
        @event_listener
        def on_made(self, event: Ordered) -> None:
            self.log.append("made")

    class Given(Logging):
        @event_listener
        def on_given(self, event: Ordered) -> None:
            self.log.append("given")

    class Generic(Logging, typing.Generic[T]):
        @event_listener
        def on_generic(self, event: Ordered) -> None:
            self.log.append("generic")

    @configuration
    class Config:
        @bean
        async def made(self, log: Log) -> AsyncIterator[Made]:
            yield Made(log)

        @bean
        def generic(self, log: Log) -> Generic[int]:
            return Generic(log)

        @bean
        def number(self) -> Number:
            return Number(1)

        @event_listener
        def on_event(self, event: Ordered) -> None:
            log.append("config")

    container = container_of(log, Config)
    container.register_instance(Given(log), as_type=Logging)
    async with container:
        await container.publish(Ordered(1))

    assert log == ["config", "made", "generic", "given"]


async def test_excluded_beans_do_not_listen(log):
    """A bean that its profile excludes isn't told."""

    @component
    @profile("production")
    class Bean(Logging):
        @event_listener
        def placed(self, event: Ordered) -> None:
            self.log.append("wrong")

    async with container_of(log, Bean) as container:
        await container.publish(Ordered(1))
        assert container.listeners(Ordered) == ()

    assert log == []


async def test_beans_are_created_for_the_first_event(log):
    """A listener's bean is created when the first event comes, a prototype for each event."""

    @component
    class Once(Logging):
        @post_construct
        async def up(self) -> None:
            self.log.append("once")

        @event_listener
        async def placed(self, event: Ordered) -> None: ...

    @prototype
    @component
    class Each(Logging):
        @post_construct
        def up(self) -> None:
            self.log.append("each")

        @event_listener
        def placed(self, event: Ordered) -> None: ...

    async with container_of(log, Once, Each) as container:
        assert log == []
        await container.publish(Ordered(1))
        await container.publish(Ordered(2))

    assert log == ["once", "each", "each"]


async def test_overridden_beans(log):
    """The replacement of a bean is told in its place; one that lacks the method isn't."""

    @component
    class Bean(Logging):
        @event_listener
        def _placed(self, event: Ordered) -> None:
            self.log.append("real")

    class Quiet:
        """Has no such method."""

    class Fake(Bean):
        def _placed(self, event: Ordered) -> None:
            self.log.append("fake")

    async with container_of(log, Bean) as container:
        with container.override(Bean, Fake):
            await container.publish(Ordered(1))
        with container.override(Bean, Quiet()):
            await container.publish(Ordered(2))
        await container.publish(Ordered(3))

    assert log == ["fake", "real"]


async def test_listeners_in_a_scope(log):
    """A bean in a scope is told where such a scope is active, each scope's own; elsewhere it is passed over."""

    @session_scope
    @component
    class OfSession(Logging):
        @event_listener
        async def placed(self, event: Ordered) -> None:
            self.log.append(self)

    @prototype
    @component
    class Holder(Logging):
        def __init__(self, log: Log, held: OfSession) -> None:
            super().__init__(log)
            self.held = held

        @event_listener
        def placed(self, event: Ordered) -> None:
            self.log.append(self.held)

    @component
    class Single(Logging):
        @event_listener
        def placed(self, event: Ordered) -> None:
            self.log.append("single")

    async with container_of(log, OfSession, Holder, Single) as container:
        await container.publish(Ordered(0))
        async with container.scope("request"):
            await container.publish(Ordered(1))
        assert log == ["single"] * 2
        log.clear()
        async with container.scope("session") as first:
            await container.publish(Ordered(2))
            async with container.scope("request", parent=first):
                await container.publish(Ordered(3))
            mine = await first.aget(OfSession)
        assert log == [mine, mine, "single"] * 2
        log.clear()
        async with container.scope("session") as second:
            await container.publish(Ordered(4))
            assert log == [await second.aget(OfSession), await second.aget(OfSession), "single"]
            assert mine not in log


# In which order


async def test_order(log):
    """Listeners run by `@order` of the method, else of the bean, then in the order of registration."""

    @component
    class First(Logging):
        @event_listener
        def second(self, event: Ordered) -> None:
            self.log.append("first.second")

        @order(5)
        @event_listener
        def last(self, event: Ordered) -> None:
            self.log.append("first.last")

        @event_listener
        @order(-5)
        async def first(self, event: Ordered) -> None:
            self.log.append("first.first")

    @component(order=1)
    class Third(Logging):
        @event_listener
        def third(self, event: Ordered) -> None:
            self.log.append("third")

    @component
    class Second(Logging):
        @event_listener
        def second(self, event: Ordered) -> None:
            self.log.append("second.second")

    async with container_of(log, First, Third, Second) as container:
        await container.publish(Ordered(1))

    assert log == ["first.first", "first.second", "second.second", "third", "first.last"]


async def test_one_after_another_in_the_flow_of_the_publisher(log):
    """Each listener is done before the next begins, and all before `publish` returns; they see the caller's context."""
    user: ContextVar[str] = ContextVar("user", default="nobody")

    @component
    class Bean(Logging):
        @event_listener
        async def slow(self, event: Ordered) -> None:
            self.log.append((user.get(), asyncio.current_task()))
            await asyncio.sleep(0)
            self.log.append("slow done")

        @event_listener
        def quick(self, event: Ordered) -> None:
            self.log.append("quick")

    async with container_of(log, Bean) as container:
        user.set("Ada")
        await container.publish(Ordered(1))
        log.append("published")

    assert log == [("Ada", asyncio.current_task()), "slow done", "quick", "published"]


async def test_nested_publish(log):
    """A listener may publish; its event is dealt with before its own goes on to the next."""

    @component
    class Cashier(Logging):
        def __init__(self, log: Log, container: Container) -> None:
            super().__init__(log)
            self.container = container

        @event_listener
        async def placed(self, event: Ordered) -> None:
            await self.container.publish(Cancelled(event.number))
            self.log.append("cashier")

    @component
    class Kitchen(Logging):
        @event_listener
        def changed(self, event: Ordered | Cancelled) -> None:
            self.log.append(event)

    async with container_of(log, Cashier, Kitchen) as container:
        await container.publish(Ordered(1))

    assert log == [Cancelled(1), "cashier", Ordered(1)]


# What can go wrong


async def test_first_failure_goes_to_the_publisher(log):
    """The first exception reaches the publisher as it is, and the listeners after it aren't told."""
    failure = ValueError("out of beans")

    @component
    class Bean(Logging):
        @event_listener
        def one(self, event: Ordered) -> None:
            self.log.append("one")

        @event_listener
        async def two(self, event: Ordered) -> None:
            raise failure

        @event_listener
        def three(self, event: Ordered) -> None:
            self.log.append("wrong")

    async with container_of(log, Bean) as container:
        with pytest.raises(ValueError) as raised:
            await container.publish(Ordered(1))

    assert raised.value is failure
    assert log == ["one"]


async def test_listener_whose_bean_fails():
    """The publisher learns that a listener's bean can't be created."""

    @component
    class Bean:
        def __init__(self) -> None:
            raise ValueError("broken")

        @event_listener
        def placed(self, event: Ordered) -> None: ...

    async with Container(Bean) as container:
        with pytest.raises(BeanCreationError, match="broken"):
            await container.publish(Ordered(1))


async def test_cancelling_the_publisher(log):
    """Cancelling the publisher cancels the listener that runs, and no other is told."""
    entered = asyncio.Event()

    @component
    class Bean(Logging):
        @event_listener
        async def hanging(self, event: Ordered) -> None:
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.log.append("cancelled")

        @event_listener
        def after(self, event: Ordered) -> None:
            self.log.append("wrong")

    async with container_of(log, Bean) as container:
        publishing = asyncio.create_task(container.publish(Ordered(1)))
        await entered.wait()
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing

    assert log == ["cancelled"]


async def test_container_that_does_not_run(log):
    """Nothing is published before the start, while beans are destroyed, and after the stop."""

    @component
    class Bean(Logging):
        def __init__(self, log: Log, container: Container) -> None:
            super().__init__(log)
            self.container = container

        @event_listener
        def placed(self, event: Ordered) -> None:
            self.log.append(event)

        @pre_destroy
        async def down(self) -> None:
            with pytest.raises(ContextClosedError, match="stopping"):
                await self.container.publish(Ordered(2))
            self.log.append("down")

    container = container_of(log, Bean)
    with pytest.raises(
        ContextClosedError, match="type Ordered can't be published: the container is not started"
    ):
        await container.publish(Ordered(0))
    async with container:
        await container.publish(Ordered(1))
    with pytest.raises(ContextClosedError, match="stopped"):
        await container.publish(Ordered(3))

    assert log == [Ordered(1), "down"]


class Structural(Protocol):
    number: int


def bad_listeners() -> Iterator[Any]:
    class TwoParameters:
        @event_listener
        def listen(self, event: Ordered, more: int) -> None: ...

    class KeywordOnly:
        @event_listener(Ordered)
        def listen(self, *, event: Ordered) -> None: ...

    class NoType:
        @event_listener
        def listen(self, event) -> None: ...

    class NoParameter:
        @event_listener
        def listen(self) -> None: ...

    class NoTypeInParentheses:
        @event_listener()
        def listen(self) -> None: ...

    class AnyNumber:
        @event_listener
        def listen(self, *events: Ordered) -> None: ...

    class Unknown:
        @event_listener
        def listen(self, event: "Nowhere") -> None: ...  # noqa: F821 - the point

    class UnknownWithDefault:
        @event_listener
        def listen(self, event: "Nowhere" = None) -> None: ...  # noqa: F821 - the point

    class NoClass:
        @event_listener
        def listen(self, event: list[Ordered]) -> None: ...

    class Anything:
        @event_listener
        def listen(self, event: Any) -> None: ...

    class Like:
        @event_listener
        def listen(self, event: Structural) -> None: ...

    class Static:
        @staticmethod
        @event_listener
        def listen(event: Ordered) -> None: ...

    class OfTheClass:
        @classmethod
        @event_listener
        def listen(cls, event: Ordered) -> None: ...

    yield pytest.param(TwoParameters, "given the event and nothing else", id="two parameters")
    yield pytest.param(KeywordOnly, "given the event and nothing else", id="keyword-only")
    yield pytest.param(NoType, "doesn't say to which events", id="no type")
    yield pytest.param(NoParameter, "doesn't say to which events", id="no parameter")
    yield pytest.param(NoTypeInParentheses, "doesn't say to which events", id="no type in parentheses")
    yield pytest.param(AnyNumber, "doesn't say to which events", id="any number")
    yield pytest.param(Unknown, "'Nowhere'", id="unknown")
    yield pytest.param(UnknownWithDefault, "'Nowhere'", id="unknown with default")
    yield pytest.param(NoClass, "is no class", id="no class")
    yield pytest.param(Anything, "is no class", id="Any")
    yield pytest.param(Like, "is no class", id="protocol")
    yield pytest.param(Static, "is no method of an instance", id="static")
    yield pytest.param(OfTheClass, "is no method of an instance", id="class method")


@pytest.mark.parametrize(("cls", "reason"), list(bad_listeners()))
async def test_bad_listeners_are_found_at_the_start(cls, reason):
    """A listener that can't be told, or doesn't say of what, keeps the container from starting."""
    container = Container(cls)
    (problem,) = container.validate()

    assert isinstance(problem, AnnotationError)
    assert f"{cls.__qualname__}.listen" in str(problem)
    assert reason in str(problem)
    with pytest.raises(StartupError):
        await container.start()


async def generator(self):
    yield


@pytest.mark.parametrize("target", [Ordered, lambda self: (yield), generator, staticmethod(len), "listen"])
def test_what_can_not_be_decorated(target):
    """`@event_listener` refuses what isn't a plain method, where it is written."""
    with pytest.raises(ConfigurationError):
        event_listener(Ordered)(target)


@pytest.mark.parametrize("given", ["Ordered", 1, None, list[int]])
def test_what_is_no_type(given):
    """`@event_listener(...)` takes classes only."""
    with pytest.raises(ConfigurationError, match="takes classes of events"):
        event_listener(given)


# One class of events


async def test_listeners_of_a_class(log):
    """`listeners` returns what tells each listener by itself, before the start too."""

    @component
    class Bean(Logging):
        @event_listener
        def placed(self, event: Ordered) -> None:
            self.log.append(event)

        @event_listener
        async def anything(self, event: object) -> None:
            self.log.append("anything")

    container = container_of(log, Bean)
    tellers = container.listeners(Ordered)

    assert len(container.listeners(Cancelled)) == 1
    async with container:
        log.clear()
        for tell in tellers:
            await tell(Ordered(1))
        assert log == [Ordered(1), "anything"]


# The container's own events


async def test_ready_and_closing(log):
    """`ContextReady` comes when warm beans exist, `ContextClosing` while all of them do; each once for each life."""

    @component(lazy=False)
    class Warm(Logging):
        @post_construct
        async def up(self) -> None:
            self.log.append("up")

        @pre_destroy
        async def down(self) -> None:
            self.log.append("down")

    @component
    class Watcher(Logging):
        def __init__(self, log: Log, warm: Lazy[Warm]) -> None:
            super().__init__(log)
            self.warm = warm

        @event_listener
        async def ready(self, event: ContextReady) -> None:
            self.log.append(("ready", await event.container.aget(Warm) is self.warm.get()))

        @event_listener
        def closing(self, event: ContextClosing) -> None:
            self.log.append(("closing", event.container.get(Warm) is self.warm.get()))

    container = container_of(log, Watcher, Warm)
    life = ["up", ("ready", True), ("closing", True), "down"]
    async with container:
        await container.start()
    await container.stop()

    assert log == life
    async with container:
        pass
    assert log == life * 2


async def test_publishing_while_starting_and_closing(log):
    """Listeners of the container's own events may publish others."""

    @component
    class Bean(Logging):
        @event_listener
        async def ready(self, event: ContextReady) -> None:
            await event.container.publish(Ordered(1))

        @event_listener
        async def closing(self, event: ContextClosing) -> None:
            await event.container.publish(Ordered(2))

        @event_listener
        def placed(self, event: Ordered) -> None:
            self.log.append(event)

    async with container_of(log, Bean):
        pass

    assert log == [Ordered(1), Ordered(2)]


async def test_failing_listener_of_ready(log):
    """A listener of `ContextReady` that fails makes the start fail; everything is undone, and no closing follows."""

    @component(lazy=False)
    class Warm(Logging):
        @pre_destroy
        def down(self) -> None:
            self.log.append("down")

        @event_listener
        def ready(self, event: ContextReady) -> None:
            if not self.log:
                raise ValueError("not today")

        @event_listener
        def closing(self, event: ContextClosing) -> None:
            self.log.append("closing")

    container = container_of(log, Warm)
    with pytest.raises(ValueError, match="not today"):
        await container.start()
    assert log == ["down"]
    await container.stop()
    assert log == ["down"]

    async with container:
        pass
    assert log == ["down", "closing", "down"]


async def test_cancelled_while_listeners_of_ready_run(log):
    """A start that is cancelled meanwhile is undone."""
    entered = asyncio.Event()

    @component
    class Bean(Logging):
        @event_listener
        async def ready(self, event: ContextReady) -> None:
            entered.set()
            await asyncio.Event().wait()

        @pre_destroy
        def down(self) -> None:
            self.log.append("down")

    container = container_of(log, Bean)
    starting = asyncio.create_task(container.start())
    await entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert log == ["down"]


async def test_failing_listeners_of_closing(log):
    """Listeners of `ContextClosing` are isolated and limited in time; what fails is raised when all has ended."""

    @component
    class Bean(Logging):
        @event_listener(ContextClosing)
        def raises(self) -> None:
            raise ValueError("no")

        @event_listener(ContextClosing)
        async def hangs(self) -> None:
            await asyncio.Event().wait()

        @event_listener(ContextClosing)
        async def is_cancelled(self) -> None:
            raise asyncio.CancelledError

        @event_listener(ContextClosing)
        def told(self) -> None:
            self.log.append("told")

        @pre_destroy
        def down(self) -> None:
            self.log.append("down")

    container = container_of(log, Bean, close_timeout=0.05)
    await container.start()
    with pytest.raises(ScopeCloseError) as raised:
        await container.stop()

    failures = raised.value.exceptions
    assert [type(one) for one in failures] == [ValueError, TimeoutError, RuntimeError]
    assert all("that the container closes" in "".join(one.__notes__) for one in failures)
    assert "raises() of bean (" in failures[0].__notes__[0]
    assert log == ["told", "down"]


@pytest.mark.parametrize("call", ["start", "stop"])
@pytest.mark.parametrize("event", [ContextReady, ContextClosing])
async def test_listener_in_the_way_of_its_container(log, event, call):
    """A listener that the start or stop waits for can't start or stop the container: an error, not a deadlock."""

    @component
    class Meddler(Logging):
        @event_listener(event)
        async def meddle(self, event: ContextReady | ContextClosing) -> None:
            with pytest.raises(ConfigurationError, match="can't start or stop it"):
                await getattr(event.container, call)()
            self.log.append("refused")

    container = container_of(log, Meddler)
    async with asyncio.timeout(5):
        async with container:
            pass

    assert log == ["refused"]


@pytest.mark.parametrize("call", ["start", "stop"])
async def test_bean_of_a_listener_in_the_way_of_its_container(log, call):
    """The same holds for a bean that is created for a listener of `ContextClosing`."""

    @component
    class Meddler(Logging):
        def __init__(self, log: Log, container: Container) -> None:
            super().__init__(log)
            self.container = container

        @post_construct
        async def meddle(self) -> None:
            with pytest.raises(ConfigurationError, match="can't start or stop it"):
                await getattr(self.container, call)()
            self.log.append("refused")

        @event_listener
        def closing(self, event: ContextClosing) -> None: ...

    async with asyncio.timeout(5):
        async with container_of(log, Meddler):
            pass

    assert log == ["refused"]


async def test_stop_from_elsewhere(log):
    """A listener of one's own events may stop the container, and so may a task that a listener has left behind."""
    tasks: list[asyncio.Task[None]] = []
    go = asyncio.Event()

    async def later(container: Container) -> None:
        await go.wait()
        await container.stop()

    @component
    class Bean(Logging):
        def __init__(self, log: Log, container: Container) -> None:
            super().__init__(log)
            self.container = container

        @event_listener
        def ready(self, event: ContextReady) -> None:
            tasks.append(asyncio.create_task(later(event.container)))

        @event_listener
        async def placed(self, event: Ordered) -> None:
            await self.container.stop()

        @pre_destroy
        def down(self) -> None:
            self.log.append("down")

    container = container_of(log, Bean)
    await container.start()
    go.set()
    await tasks[0]
    assert log == ["down"]

    go.clear()
    await container.start()
    await container.publish(Ordered(1))
    assert log == ["down", "down"]
    go.set()
    await tasks[1]


async def test_container_in_a_container(log):
    """A listener may start and stop another container, whose listeners can't stop the first one either."""

    @component
    class Inner(Logging):
        @event_listener
        async def ready(self, event: ContextReady) -> None:
            with pytest.raises(ConfigurationError):
                await outer.stop()
            self.log.append("inner")

    @component
    class Outer(Logging):
        @event_listener
        async def ready(self, event: ContextReady) -> None:
            async with container_of(self.log, Inner):
                self.log.append("outer")

    outer = container_of(log, Outer)
    async with asyncio.timeout(5):
        async with outer:
            pass

    assert log == ["inner", "outer"]
