"""How beans end: in order, each by itself, within its time, and all of them."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import Context, ContextVar

import anyio
import pytest

from cortado.container import (
    BeanCreationError,
    Container,
    ContextClosedError,
    Lazy,
    ScopeCloseError,
    StartupError,
    bean,
    component,
    configuration,
    post_construct,
    pre_destroy,
    prototype,
)
from cortado.container.teardown import Finaliser
from cortado.exceptions import ConfigurationError
from cortado.tasks import Starter


class Log(list[str]):
    """What happened, in order."""


class Thing: ...


@pytest.fixture
def log():
    return Log()


@component
class Database:
    def __init__(self, log: Log) -> None:
        self.log = log

    @pre_destroy
    def down(self) -> None:
        self.log.append("database")


@component
class Repository:
    def __init__(self, log: Log, database: Database) -> None:
        self.log = log

    @pre_destroy
    async def down(self) -> None:
        await asyncio.sleep(0)
        self.log.append("repository")


@component
class Service:
    def __init__(self, log: Log, repository: Repository) -> None:
        self.log = log

    @pre_destroy
    def down(self) -> None:
        self.log.append("service")


def container_of(log: Log, *sources: object, **options: object) -> Container:
    container = Container(*sources, **options)
    container.register_instance(log)
    return container


async def test_dependants_first(log):
    """Beans end in the reverse order of completed creation, so dependants first."""
    async with container_of(log, Service, Database, Repository) as container:
        container.get(Service)

    assert log == ["service", "repository", "database"]


async def test_never_used(log):
    """A bean that was never created has no end."""
    async with container_of(log, Service, Database, Repository) as container:
        container.get(Database)

    assert log == ["database"]


async def test_resources(log):
    """A generator goes on after its `yield`; `aclose` or `close` of what a `@bean` returns is called."""

    class Closing:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            log.append(f"close {self.name}")

    class Aclosing(Closing):
        async def aclose(self) -> None:
            log.append(f"aclose {self.name}")

    @configuration
    class Config:
        @bean
        def one(self) -> Iterator[Closing]:
            yield Closing("one")
            log.append("after one")

        @bean
        async def two(self) -> AsyncIterator[Closing]:
            yield Closing("two")
            log.append("after two")

        @bean
        def three(self) -> Closing:
            return Closing("three")

        @bean
        async def four(self) -> Aclosing:
            return Aclosing("four")

    async with Container(Config) as container:
        for name in ("one", "two", "three", "four"):
            await container.aget(name)

    assert log == ["aclose four", "close three", "after two", "after one"]


async def test_hooks_of_parents(log):
    """`post_construct` runs the parent's first, `pre_destroy` the child's first; an overridden hook once."""

    class Parent:
        @post_construct
        async def parent_up(self) -> None:
            log.append("parent up")

        @post_construct
        def both_up(self) -> None:
            log.append("wrong")

        @pre_destroy
        def parent_down(self) -> None:
            log.append("parent down")

    @component
    class Child(Parent):
        @post_construct
        def child_up(self) -> None:
            log.append("child up")

        def both_up(self) -> None:
            log.append("both up")

        @pre_destroy
        def child_down(self) -> None:
            log.append("child down")

    async with Container(Child) as container:
        await container.aget(Child)

    assert log == ["parent up", "both up", "child up", "child down", "parent down"]


async def test_prototype_has_no_end(log):
    """A prototype's `post_construct` runs, its `pre_destroy` never."""

    @prototype
    @component
    class Cursor:
        @post_construct
        def up(self) -> None:
            log.append("up")

        @pre_destroy
        def down(self) -> None:
            log.append("down")

    async with Container(Cursor) as container:
        container.get(Cursor)
        container.get(Cursor)

    assert log == ["up", "up"]


async def test_instances_are_not_ours(log):
    """An object that was registered ready gets no hooks: neither of its construction nor of its end."""

    class Ready(Database):
        @post_construct
        def up(self) -> None:
            log.append("up")

    thing = Ready(log)
    container = Container()
    container.register_instance(thing)
    async with container:
        assert container.get(Database) is thing

    assert log == []


async def test_failing_post_construct_closes_the_resource(log):
    """A failing `post_construct` closes what the factory opened; the bean isn't created."""

    class Broken:
        @post_construct
        async def up(self) -> None:
            raise ValueError("no")

        @pre_destroy
        def down(self) -> None:
            log.append("pre_destroy")

    async def broken() -> AsyncIterator[Broken]:
        yield Broken()
        log.append("closed")

    async with Container(broken) as container:
        with pytest.raises(BeanCreationError, match="no"):
            await container.aget(Broken)

    assert log == ["closed"]


async def test_text_of_failures():
    """The text of the error names every failure with its bean, each in a line; a part of it names its own."""

    @component
    class Bad:
        @pre_destroy
        def flush(self) -> None:
            raise OSError("disk full\nnothing was written")

        @pre_destroy
        def close(self) -> None:
            raise ValueError

    container = Container(Bad)
    await container.start()
    container.get(Bad)
    with pytest.raises(ScopeCloseError) as failed:
        await container.stop()

    bad = container.definition("bad")
    assert str(failed.value).splitlines() == [
        "not everything could be ended as it should:",
        f"  while destroying {bad} with close(): ValueError",
        f"  while destroying {bad} with flush(): OSError: disk full",
    ]
    assert "flush" not in str(failed.value.subgroup(ValueError))


async def test_finalisers_are_isolated(log):
    """A failing finaliser doesn't keep the others from running; the stop raises all failures, with their beans."""

    @component
    class Bad:
        def __init__(self, database: Database) -> None: ...

        @pre_destroy
        def sync_down(self) -> None:
            raise ValueError("sync")

        @pre_destroy
        async def async_down(self) -> None:
            raise OSError("async")

        @pre_destroy
        async def cancelled_down(self) -> None:
            raise asyncio.CancelledError

    container = container_of(log, Bad, Database)
    await container.start()
    container.get(Bad)
    with pytest.raises(ScopeCloseError) as failed:
        await container.stop()

    assert [type(one) for one in failed.value.exceptions] == [RuntimeError, OSError, ValueError]
    assert "while destroying bad (" in failed.value.exceptions[0].__notes__[0]
    assert log == ["database"]
    assert failed.value.subgroup(OSError).exceptions == (failed.value.exceptions[1],)


async def test_finalisers_are_limited_in_time(log):
    """A finaliser that hangs is cut after `close_timeout`; the others still run."""

    @component
    class Hanging:
        def __init__(self, database: Database) -> None: ...

        @pre_destroy
        async def down(self) -> None:
            await asyncio.Event().wait()

    container = container_of(log, Hanging, Database, close_timeout=0.01)
    await container.start()
    container.get(Hanging)
    with pytest.raises(ScopeCloseError) as failed:
        await container.stop()

    assert isinstance(failed.value.exceptions[0], TimeoutError)
    assert log == ["database"]


async def test_finaliser_that_swallows_its_cancellation(log, monkeypatch):
    """A finaliser that won't be cut is left behind; the stop ends all the same."""
    monkeypatch.setattr("cortado.container.teardown.GRACE", 0.01)
    leave = asyncio.Event()
    left = asyncio.Event()

    @component
    class Stubborn:
        def __init__(self, database: Database) -> None: ...

        @pre_destroy
        async def down(self) -> None:
            while not leave.is_set():
                try:
                    await leave.wait()
                except asyncio.CancelledError:
                    continue
            left.set()

    container = container_of(log, Stubborn, Database, close_timeout=0.01)
    await container.start()
    container.get(Stubborn)
    with pytest.raises(ScopeCloseError):
        await container.stop()
    assert log == ["database"]
    leave.set()
    await left.wait()


async def test_cancelled_stop(log):
    """A stop that is cancelled, twice, still runs to its end, and the cancellation goes on then."""
    entered, leave = asyncio.Event(), asyncio.Event()

    @component
    class Waiting:
        def __init__(self, service: Service) -> None: ...

        @pre_destroy
        async def down(self) -> None:
            entered.set()
            await leave.wait()
            log.append("waiting")

    container = container_of(log, Service, Database, Repository, Waiting)
    await container.start()
    container.get(Waiting)
    stopping = asyncio.create_task(container.stop())
    await entered.wait()
    for _ in range(2):
        stopping.cancel()
        await asyncio.sleep(0)
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert log == ["waiting", "service", "repository", "database"]


async def test_failure_in_a_cancelled_stop_is_logged(log, caplog):
    """What fails in a cancelled stop is logged, for the cancellation takes its place."""
    entered, leave = asyncio.Event(), asyncio.Event()

    @component
    class Bad:
        @pre_destroy
        async def down(self) -> None:
            entered.set()
            await leave.wait()
            raise ValueError

    container = Container(Bad)
    await container.start()
    container.get(Bad)
    stopping = asyncio.create_task(container.stop())
    await entered.wait()
    stopping.cancel()
    leave.set()
    with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
        await stopping

    assert caplog.records[0].exc_info[0] is ScopeCloseError


async def test_concurrent_stops(log):
    """Stops at the same time wait for the same end; each bean ends once."""
    container = container_of(log, Service, Database, Repository)
    await container.start()
    container.get(Service)
    await asyncio.gather(*(container.stop() for _ in range(3)))
    await container.stop()

    assert log == ["service", "repository", "database"]


async def test_failed_start_undoes_itself(log):
    """A start that fails ends what it had created, and its error is what is raised."""

    @component(lazy=False)
    class Broken:
        def __init__(self, service: Service) -> None:
            raise ValueError("broken")

    container = container_of(log, Broken, Service, Database, Repository)
    with pytest.raises(StartupError) as failed:
        await container.start()

    assert isinstance(failed.value.problems[0], BeanCreationError)
    assert log == ["service", "repository", "database"]
    with pytest.raises(ContextClosedError):
        container.get(Service)


async def test_failed_start_logs_failed_ends(log, caplog):
    """What fails while a failed start undoes itself is logged."""

    @component
    class Bad:
        @pre_destroy
        def down(self) -> None:
            raise OSError

    @component(lazy=False)
    class Broken:
        def __init__(self, bad: Bad) -> None:
            raise ValueError("broken")

    with pytest.raises(StartupError, match="broken"):
        await Container(Broken, Bad).start()

    assert caplog.records[0].exc_info[0] is OSError


async def test_cancelled_start_undoes_itself(log):
    """So does a start that is cancelled."""
    entered = asyncio.Event()

    @component(lazy=False)
    class Slow:
        def __init__(self, service: Service) -> None: ...

        @post_construct
        async def up(self) -> None:
            entered.set()
            await asyncio.Event().wait()

    container = container_of(log, Slow, Service, Database, Repository)
    starting = asyncio.create_task(container.start())
    await entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert log == ["service", "repository", "database"]


async def test_after_the_end(log):
    """After the stop every way to a bean is an error; nothing hangs."""

    @component
    class Holder:
        def __init__(self, database: Lazy[Database]) -> None:
            self.database = database

    container = container_of(log, Database, Holder)
    await container.start()
    holder = container.get(Holder)
    resolver = container.resolver(Database)
    await container.stop()

    for ask in (holder.database.get, resolver.get_if_ready, lambda: container.get(Database)):
        with pytest.raises(ContextClosedError, match="stopped"):
            ask()
    for coroutine in (holder.database.aget(), resolver.get(), container.aget(Database)):
        with pytest.raises(ContextClosedError, match="stopped"):
            await coroutine


async def test_asking_while_ending(log):
    """A finaliser may use what its bean holds, and gets an error for what would have to be created."""

    @component
    class Asking:
        def __init__(self, database: Lazy[Database], thing: Lazy[Thing]) -> None:
            self.database, self.thing = database, thing

        @pre_destroy
        def down(self) -> None:
            assert type(self.database.get()) is Database
            with pytest.raises(ContextClosedError):
                self.thing.get()
            log.append("asked")

    async with container_of(log, Asking, Database, Thing) as container:
        container.get(Database)
        container.get(Asking)

    assert log == ["asked", "database"]


@pytest.mark.parametrize("scope", ["singleton", "session"])
async def test_a_finaliser_cannot_stop_the_container(scope):
    """The stop would wait for the finaliser, and that for the stop: it is an error at once."""
    told = []

    class Stopping:
        def __init__(self, container: Container) -> None:
            self.container = container

        @pre_destroy
        async def down(self) -> None:
            with pytest.raises(ConfigurationError, match="a finaliser can't"):
                await self.container.stop()
            told.append("refused")

    container = Container()
    container.register(Stopping, scope=scope)
    async with container, container.scope("session") as session:
        session.get(Stopping)
    assert told == ["refused"]


async def test_the_creating_thread_is_still_in_the_context():
    """A bean may end before the thread that has created it has left its context: the end waits for that."""
    ended = []
    entered, leave = threading.Event(), threading.Event()

    def create() -> None:
        entered.set()
        leave.wait(10)

    context = Context()
    creating = asyncio.create_task(asyncio.to_thread(Context().run, context.run, create))
    await asyncio.to_thread(entered.wait, 10)
    finaliser = Finaliser("a bean", context, (lambda: ended.append("step"),))
    ending = asyncio.create_task(finaliser.run(10, Starter(), None))
    await asyncio.sleep(0)
    assert ended == []
    leave.set()
    assert await ending == []
    assert ended == ["step"]
    await creating


async def test_context_of_creation():
    """A generator's end sees the context in which it began."""
    variable = ContextVar("variable")
    log = []

    async def resource() -> AsyncIterator[Thing]:
        token = variable.set("mine")
        yield Thing()
        log.append(variable.get())
        variable.reset(token)

    async with Container(resource) as container:
        await container.aget(Thing)

    assert log == ["mine"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_generators_yield_once(asynchronous):
    """A generator that ends without a `yield`, or yields again, is an error that names it."""

    def never() -> Iterator[Thing]:
        if never is None:
            yield Thing()

    def twice() -> Iterator[Thing]:
        yield Thing()
        yield Thing()

    async def anever() -> AsyncIterator[Thing]:
        if anever is None:
            yield Thing()

    async def atwice() -> AsyncIterator[Thing]:
        yield Thing()
        yield Thing()

    container = Container(anever, atwice) if asynchronous else Container(never, twice)
    prefix = "a" if asynchronous else ""
    await container.start()
    with pytest.raises(BeanCreationError, match="ends without a yield"):
        await container.aget(f"{prefix}never")
    await container.aget(f"{prefix}twice")
    with pytest.raises(ScopeCloseError) as failed:
        await container.stop()
    assert "yields more than once" in str(failed.value.exceptions[0])


async def test_interrupt_in_a_finaliser(log):
    """An interrupt in a finaliser goes on, but only when all have run."""

    class Interrupt(BaseException): ...

    @component
    class Interrupted:
        def __init__(self, database: Database) -> None: ...

        @pre_destroy
        def down(self) -> None:
            raise Interrupt

    container = container_of(log, Interrupted, Database)
    await container.start()
    container.get(Interrupted)
    with pytest.raises(Interrupt):
        await container.stop()

    assert log == ["database"]


async def test_close_that_is_a_hook_too(log: Log):
    """What is `close()` and a `pre_destroy` hook at once runs once."""

    class Pool:
        @pre_destroy
        async def close(self) -> None:
            log.append("closed")

    @configuration
    class Resources:
        @bean
        def pool(self) -> Pool:
            return Pool()

    async with Container(Resources) as container:
        await container.aget(Pool)

    assert log == ["closed"]


@pytest.mark.parametrize("steps", range(1, 8))
async def test_a_stop_is_complete_even_when_every_task_is_cancelled(steps):
    """As by the end of an event loop, at whatever step; and the next stop doesn't wait for ever."""
    ended = []

    @component
    class Held:
        @pre_destroy
        async def end(self) -> None:
            ended.append(self)

    container = Container(Held)
    await container.start()
    held = container.get(Held)
    stopping = asyncio.create_task(container.stop())
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await container.stop()
    assert ended == [held]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_failed_start_that_is_cancelled_loses_no_failure(caplog):
    """What fails while it undoes itself is logged, though somebody cancels that as well."""
    begun, undoing, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @component(lazy=False)
    class First:
        @pre_destroy
        async def end(self) -> None:
            undoing.set()
            await go.wait()
            raise RuntimeError("no end")

    @component(lazy=False)
    class Second:
        @post_construct
        async def begin(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    starting = asyncio.create_task(Container(First, Second).start())
    await begun.wait()
    starting.cancel()
    await undoing.wait()
    starting.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [str(record.exc_info[1]) for record in caplog.records] == ["no end"]


async def test_an_end_waits_quietly_in_a_cancelled_scope_of_anyio():
    """Its cancellation comes back at every await, which must not keep the processor busy."""
    ended, go = [], asyncio.Event()

    async def end() -> None:
        asyncio.get_running_loop().call_later(0.4, go.set)
        await go.wait()
        ended.append(True)

    async with Container() as container:
        before = time.process_time()
        with anyio.move_on_after(0.01) as limit:
            async with container.scope("session") as session:
                session.on_close(end)
                await asyncio.Event().wait()
    assert limit.cancelled_caught
    assert ended == [True]
    assert time.process_time() - before < 0.2


async def test_a_replacement_of_a_prototype_has_no_yield():
    """Nothing would resume it, as nothing would resume the prototype itself."""

    @prototype
    @component
    class Note: ...

    def note() -> Iterator[Note]:
        yield Note()

    async with Container(Note) as container:
        with pytest.raises(ConfigurationError, match="prototype"), container.override(Note, note):
            pytest.fail("it is in force")
