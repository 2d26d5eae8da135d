"""One instance for all who ask at the same time: tasks, event loops, threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import Protocol

import pytest

from cortado.container import (
    NOT_READY,
    AsyncBeanError,
    BeanCreationError,
    CircularDependencyError,
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


class Slow:
    """What a factory makes that waits for the test's word."""


class Gate:
    """A factory under the test's control: it counts its runs and waits until it is opened."""

    def __init__(self) -> None:
        self.runs = 0
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.failure: BaseException | None = None

    async def make(self) -> Slow:
        self.runs += 1
        self.entered.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return Slow()


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
async def container(gate):
    container = Container()
    container.register(gate.make, name="slow")
    async with container:
        yield container


async def test_single_flight(container, gate):
    """Twenty tasks that ask at once get one instance of one factory run."""
    asked = [asyncio.create_task(container.aget(Slow)) for _ in range(20)]
    await gate.entered.wait()
    gate.open.set()
    found = await asyncio.gather(*asked)

    assert gate.runs == 1
    assert len(set(map(id, found))) == 1


async def test_cancelled_first_caller(container, gate):
    """The first caller's cancellation harms no one: the others get the bean, and the factory ran once."""
    first = asyncio.create_task(container.aget(Slow))
    await gate.entered.wait()
    second = asyncio.create_task(container.aget(Slow))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()

    assert type(await second) is Slow
    assert gate.runs == 1


async def test_all_callers_cancelled(container, gate):
    """A creation goes on although all who asked are gone, and the next to ask finds it."""
    only = asyncio.create_task(container.aget(Slow))
    await gate.entered.wait()
    only.cancel()
    await asyncio.wait([only])
    gate.open.set()
    await container.aget(Slow)

    assert gate.runs == 1


async def test_failure_is_not_cached(container, gate):
    """All who wait get the failure with its cause; the next to ask tries again."""
    gate.failure = ValueError("no luck")
    asked = [asyncio.create_task(container.aget(Slow)) for _ in range(3)]
    await gate.entered.wait()
    gate.open.set()
    failures = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(one.__cause__) for one in failures] == [ValueError] * 3
    assert gate.runs == 1
    gate.failure = None
    assert type(await container.aget(Slow)) is Slow
    assert gate.runs == 2


async def test_factory_raises_cancelled(container, gate):
    """A factory that raises CancelledError hangs nobody: those who wait get a creation error."""
    gate.failure = asyncio.CancelledError()
    asked = [asyncio.create_task(container.aget(Slow)) for _ in range(2)]
    await gate.entered.wait()
    gate.open.set()

    for failure in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(failure, BeanCreationError)
        assert isinstance(failure.__cause__, asyncio.CancelledError)


async def test_sync_factory_raises_cancelled():
    """The same holds for a synchronous factory."""

    @component
    class Bad:
        def __init__(self) -> None:
            raise asyncio.CancelledError

    async with Container(Bad) as container:
        with pytest.raises(BeanCreationError):
            container.get(Bad)
        with pytest.raises(BeanCreationError):
            await container.aget(Bad)


async def test_keyboard_interrupt():
    """An interrupt in a constructor reaches the caller as it is, and the bean can be asked for again."""
    failures = [KeyboardInterrupt()]

    @component
    class Interrupted:
        def __init__(self) -> None:
            if failures:
                raise failures.pop()

    async with Container(Interrupted) as container:
        with pytest.raises(KeyboardInterrupt):
            container.get(Interrupted)
        assert container.get(Interrupted) is container.get(Interrupted)


async def test_none_is_an_instance():
    """A factory that returns None ran once all the same."""
    runs = []

    def nothing() -> Slow:
        runs.append(1)

    async with Container(nothing) as container:
        assert container.get("nothing") is None
        assert container.get("nothing") is None
    assert runs == [1]


async def test_clean_context():
    """No context variable of the caller's gets into a bean, whether it is created synchronously or not."""
    user = ContextVar("user", default="nobody")
    seen = []

    @component
    class Plain:
        def __init__(self) -> None:
            seen.append(user.get())

    async def made() -> Slow:
        seen.append(user.get())
        return Slow()

    async with Container(Plain, made) as container:
        user.set("somebody")
        container.get(Plain)
        await container.aget(Slow)

    assert seen == ["nobody", "nobody"]


async def test_unrelated_beans_do_not_wait(container, gate):
    """While one bean is being created, others can be had."""

    def quick() -> int:
        return 7

    other = Container(gate.make, quick)
    async with other:
        waiting = asyncio.create_task(other.aget(Slow))
        await gate.entered.wait()
        assert await other.aget(int) == 7
        gate.open.set()
        await waiting


def test_threads():
    """Threads that race for one bean get the same instance, created once."""
    runs = []
    barrier = threading.Barrier(8)

    @component
    class Shared:
        def __init__(self) -> None:
            runs.append(threading.get_ident())

    @component
    class Holder:
        def __init__(self, shared: Shared) -> None:
            self.shared = shared

    container = Container(Holder, Shared)
    asyncio.run(container.start())

    def ask(number: int) -> object:
        barrier.wait()
        return container.get(Holder).shared if number % 2 else container.get(Shared)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))

    assert len(runs) == 1
    assert len(set(map(id, found))) == 1


async def test_task_waits_for_thread():
    """A task waits for a bean that a thread is creating, without blocking the loop; `get_if_ready` doesn't wait."""
    entered, leave = threading.Event(), threading.Event()
    runs = []

    @component
    class Shared:
        def __init__(self) -> None:
            runs.append(1)
            entered.set()
            leave.wait(10)

    async with Container(Shared) as container:
        in_thread = asyncio.create_task(asyncio.to_thread(container.get, Shared))
        await asyncio.to_thread(entered.wait, 10)
        here = asyncio.create_task(container.aget(Shared))
        assert container.resolver(Shared).get_if_ready() is NOT_READY
        leave.set()
        assert await here is await in_thread
    assert runs == [1]


async def test_task_waits_for_a_plan_of_a_thread():
    """The same holds for a bean of a scope."""
    entered, leave = threading.Event(), threading.Event()
    runs = []

    @component
    class Shared:
        def __init__(self) -> None:
            runs.append(1)
            entered.set()
            leave.wait(10)

    container = Container()
    container.register(Shared, scope="session")
    async with container, container.scope("session") as session:
        in_thread = asyncio.create_task(asyncio.to_thread(session.get, Shared))
        await asyncio.to_thread(entered.wait, 10)
        here = asyncio.create_task(session.aget(Shared))
        assert container.resolver(Shared).get_if_ready() is NOT_READY
        leave.set()
        assert await here is await in_thread
    assert runs == [1]


async def test_a_plan_ends_as_somebody_begins_to_wait():
    """Whoever finds a bean of a scope under construction gets it, however soon the construction ends."""
    entered, leave = threading.Event(), threading.Event()

    class Shared:
        def __init__(self) -> None:
            entered.set()
            leave.wait(10)

    class Lock:
        """The container's lock: whoever of the waiting thread gives it back lets the construction end first."""

        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __enter__(self) -> None:
            self.lock.acquire()

        def __exit__(self, *error: object) -> None:
            self.lock.release()
            if threading.current_thread() is waiting and not leave.is_set():
                leave.set()
                constructing.join(10)

    container = Container()
    container.register(Shared, scope="session")
    async with container, container.scope("session") as session:
        container.lifetime.shared.lock = Lock()  # type: ignore[assignment]
        got: list[object] = []
        constructing, waiting = (
            threading.Thread(target=lambda: got.append(session.get(Shared)), daemon=True) for _ in range(2)
        )
        constructing.start()
        await asyncio.to_thread(entered.wait, 10)
        waiting.start()
        await asyncio.to_thread(waiting.join, 10)
        assert got == [session.get(Shared)] * 2


async def test_a_plan_begins_as_somebody_else_creates():
    """A plan that begins between another thread's look and its creation creates nothing twice."""
    moved, leave = threading.Event(), threading.Event()
    runs = []

    class Shared:
        def __init__(self) -> None:
            runs.append(threading.current_thread())
            moved.set()
            if threading.current_thread() is planning:
                leave.wait(10)

    class Runs(dict):
        """The plans under way: when the creating thread has looked, the other thread begins."""

        def get(self, *key: object) -> object:
            found = super().get(*key)
            if threading.current_thread() is creating and not planning.ident:
                planning.start()
                moved.wait(10)
            return found

        def setdefault(self, *item: object) -> object:
            return None if threading.current_thread() is creating else super().setdefault(*item)

    class Lock:
        """The container's lock, which tells when the other thread comes to it."""

        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __enter__(self) -> None:
            if threading.current_thread() is planning:
                moved.set()
            self.lock.acquire()

        def __exit__(self, *error: object) -> None:
            self.lock.release()

    container = Container()
    container.register(Shared, scope="session")
    async with container, container.scope("session") as session:
        container.lifetime.shared.lock = Lock()  # type: ignore[assignment]
        container.lifetime.shared.runs = Runs()
        creating, planning = (threading.Thread(target=session.get, args=(Shared,)) for _ in range(2))
        creating.start()
        await asyncio.to_thread(creating.join, 10)
        leave.set()
        await asyncio.to_thread(planning.join, 10)
        assert runs == [creating]


@pytest.mark.parametrize("hooked", [False, True])
async def test_prototype_that_raises_cancelled_error(hooked):
    """What nobody has cancelled is a creation error of a prototype, too."""

    class Plain:
        def __init__(self) -> None:
            raise asyncio.CancelledError

    class Hooked(Plain):
        @post_construct
        def up(self) -> None: ...

    wanted = Hooked if hooked else Plain
    container = Container()
    container.register(wanted, scope="prototype")
    async with container:
        with pytest.raises(BeanCreationError):
            container.get(wanted)
        with pytest.raises(BeanCreationError):
            await container.aget(wanted)
        with pytest.raises(BeanCreationError):
            await asyncio.to_thread(container.get, wanted)


async def test_prototype_whose_caller_is_cancelled():
    """A prototype's factory runs in its caller's task, so the caller's cancellation ends it, as itself."""
    entered = asyncio.Event()

    @prototype
    @component
    class Waiting:
        @post_construct
        async def up(self) -> None:
            entered.set()
            await asyncio.Event().wait()

    async with Container(Waiting) as container:
        asking = asyncio.create_task(container.aget(Waiting))
        await entered.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_thread_in_a_thread():
    """Two threads wait for one creation without each other's locks: an unrelated bean is had meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    def slow() -> Slow:
        entered.set()
        leave.wait(10)
        return Slow()

    def quick() -> int:
        return 1

    async with Container(slow, quick) as container:
        asked = [asyncio.create_task(asyncio.to_thread(container.get, Slow)) for _ in range(2)]
        await asyncio.to_thread(entered.wait, 10)
        assert container.get(int) == 1
        leave.set()
        one, two = await asyncio.gather(*asked)
        assert one is two


async def test_sync_get_of_async_bean(container, gate):
    """A synchronous request for what has to be awaited is an error with the cure, not a coroutine."""
    with pytest.raises(AsyncBeanError, match=r"await container\.aget") as failed:
        container.get(Slow)
    assert failed.value.name == "slow"

    gate.open.set()
    slow = await container.aget(Slow)
    assert container.get(Slow) is slow


async def test_async_bean_below():
    """A synchronous bean over an async one is awaited the first time, and had synchronously then."""

    async def engine() -> Slow:
        await asyncio.sleep(0)
        return Slow()

    @component
    class Repository:
        def __init__(self, engine: Slow) -> None:
            self.engine = engine

    async with Container(engine, Repository) as container:
        resolver = container.resolver(Repository)
        assert resolver.get_if_ready() is NOT_READY
        with pytest.raises(AsyncBeanError) as failed:
            container.get(Repository)
        assert (failed.value.name, failed.value.requested) == ("engine", "repository")
        repository = await resolver.get()
        assert resolver.get_if_ready() is repository is container.get("repository")


async def test_prototype_over_async():
    """A prototype is new each time, awaits what has to be awaited, and is synchronous over ready beans."""

    async def engine() -> Slow:
        return Slow()

    @prototype
    @component
    class Cursor:
        def __init__(self, engine: Slow) -> None:
            self.engine = engine

    async with Container(engine, Cursor) as container:
        resolver = container.resolver(Cursor)
        assert resolver.get_if_ready() is NOT_READY
        first = await resolver.get()
        second = resolver.get_if_ready()
        assert type(second) is Cursor
        assert first is not second
        assert first.engine is second.engine


async def test_async_prototype():
    """A prototype that is made asynchronously is awaited for each holder."""

    @configuration
    class Config:
        @bean(scope="prototype")
        async def token(self) -> Slow:
            await asyncio.sleep(0)
            return Slow()

    @component
    class Holder:
        def __init__(self, one: Slow, two: Slow) -> None:
            self.found = (one, two)

    async with Container(Config, Holder) as container:
        with pytest.raises(AsyncBeanError):
            container.get(Holder)
        assert container.resolver("token").get_if_ready() is NOT_READY
        one, two = (await container.aget(Holder)).found
        assert one is not two


async def test_path_of_a_failure():
    """A creation error names the way from the bean asked for to the one that failed, and keeps the cause."""

    @component
    class Database:
        def __init__(self) -> None:
            raise OSError("refused")

    @prototype
    @component
    class Session:
        def __init__(self, database: Database) -> None: ...

    @component
    class Service:
        def __init__(self, session: Session) -> None: ...

    async with Container(Database, Session, Service) as container:
        with pytest.raises(BeanCreationError, match="OSError: refused") as failed:
            container.get(Service)
        with pytest.raises(BeanCreationError) as again:
            await container.aget(Service)

    assert failed.value.path == again.value.path == ("service", "session", "database")
    assert isinstance(failed.value.__cause__, OSError)
    assert failed.value.__notes__ == ["while creating service -> session -> database"]


async def test_failing_prototype():
    """A failing prototype is named as part of the bean that needs it."""

    @prototype
    @component
    class Part:
        def __init__(self) -> None:
            raise ValueError

    @component
    class Whole:
        def __init__(self, part: Part) -> None: ...

    async with Container(Part, Whole) as container:
        with pytest.raises(BeanCreationError) as failed:
            container.get(Whole)
    assert failed.value.path == ("whole", "part")


async def test_cycle_at_run_time():
    """A circle that only exists at run time is an error with its path, not a deadlock."""

    @component
    class Egg:
        def __init__(self, hen: "Lazy[Hen]") -> None:
            hen.get()

    @component
    class Hen:
        def __init__(self, egg: Egg) -> None: ...

    async with Container(Egg, Hen) as container:
        with pytest.raises(CircularDependencyError) as failed:
            container.get(Hen)
    assert failed.value.path == ("egg", "egg")


async def test_async_cycle_at_run_time():
    """The same holds for factories that wait for each other, whoever asked for them."""

    class One: ...

    class Two: ...

    both = asyncio.Barrier(2)

    async def one(container: Container) -> One:
        await both.wait()
        await container.aget(Two)

    async def two(container: Container) -> Two:
        await both.wait()
        await container.aget(One)

    async with Container(one, two) as container:
        async with asyncio.timeout(10):
            failures = await asyncio.gather(container.aget(One), container.aget(Two), return_exceptions=True)

    assert all(isinstance(one, CircularDependencyError) for one in failures)


def test_cycle_between_threads():
    """The same holds for threads that would wait for each other."""

    class One: ...

    class Two: ...

    both = threading.Barrier(2)

    def one(container: Container) -> One:
        both.wait(10)
        container.get(Two)

    def two(container: Container) -> Two:
        both.wait(10)
        container.get(One)

    container = Container(one, two)
    asyncio.run(container.start())
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(container.get, One), pool.submit(container.get, Two)]
        failures = [one.exception(10) for one in asked]

    assert all(isinstance(one, CircularDependencyError) for one in failures)


async def test_prototype_cycle_at_run_time():
    """A prototype whose constructor asks for itself is a circle too."""

    @prototype
    @component
    class Mirror:
        def __init__(self, other: "Lazy[Mirror]") -> None:
            other.get()

    async with Container(Mirror) as container:
        with pytest.raises(CircularDependencyError) as failed:
            container.get(Mirror)
    assert failed.value.path == ("mirror", "mirror")


async def test_background_task_of_a_prototype():
    """A task that a prototype's constructor has started may ask for the same prototype later."""

    @prototype
    @component
    class Worker:
        def __init__(self, next_one: "Lazy[Worker]") -> None:
            self.next_one = next_one
            self.go = asyncio.Event()
            self.task = asyncio.create_task(self.respawn())

        async def respawn(self) -> object:
            await self.go.wait()
            return self.next_one.get()

    async with Container(Worker) as container:
        first = await container.aget(Worker)
        first.go.set()
        second = await first.task
        assert type(second) is Worker
        second.task.cancel()
        await asyncio.wait([second.task])


async def test_factory_may_ask_the_container():
    """A factory may ask the container for other beans while it runs; they are ended after the bean."""
    log = []

    async def engine() -> AsyncIterator[Slow]:
        yield Slow()
        log.append("engine")

    @component
    class Repository:
        def __init__(self, container: Container) -> None:
            self.container = container

        @post_construct
        async def up(self) -> None:
            self.engine = await self.container.aget(Slow)

        @pre_destroy
        def down(self) -> None:
            log.append("repository")

    async with Container(engine, Repository) as container:
        repository = await container.aget(Repository)
        assert repository.engine is container.get(Slow)
    assert log == ["repository", "engine"]


async def test_stop_while_creating(gate):
    """A creation under way at the stop is cancelled; who waits for it gets ContextClosedError."""
    container = Container()
    container.register(gate.make, name="slow")
    await container.start()
    asked = [asyncio.create_task(container.aget(Slow)) for _ in range(3)]
    await gate.entered.wait()
    await container.stop()

    for failure in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(failure, ContextClosedError)


async def test_stop_before_creation_begins(gate):
    """The same holds where the creation has not taken its first step."""
    container = Container()
    container.register(gate.make, name="slow")
    await container.start()

    async def ask_then_stop() -> None:
        asked = asyncio.ensure_future(container.aget(Slow))
        stopping = asyncio.ensure_future(container.stop())
        await asyncio.wait([asked, stopping])
        with pytest.raises(ContextClosedError):
            await asked

    async with asyncio.timeout(10):
        await ask_then_stop()


async def test_creation_outlives_the_stop():
    """A creation that won't end is reported, and its instance is ended as soon as it appears."""
    entered, leave, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stubborn() -> AsyncIterator[Slow]:
        entered.set()
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                continue
        yield Slow()
        ended.set()

    container = Container(stubborn, close_timeout=0.02)
    await container.start()
    asked = asyncio.create_task(container.aget(Slow))
    await entered.wait()
    with pytest.raises(ScopeCloseError) as failed:
        await container.stop()
    assert "didn't end" in str(failed.value.exceptions[0])
    leave.set()
    with pytest.raises(ContextClosedError):
        await asked
    await ended.wait()


async def test_stop_ends_what_a_thread_creates():
    """An instance that a thread completes after the stop has begun is ended at once, and its caller is told."""
    entered, leave, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Iterator[Slow]:
        entered.set()
        leave.wait(10)
        yield Slow()
        ended.set()

    container = Container(slow)
    container.register(Gate, scope="prototype")
    await container.start()
    asked = asyncio.create_task(asyncio.to_thread(container.get, Slow))
    await asyncio.to_thread(entered.wait, 10)
    stopping = asyncio.create_task(container.stop())
    with pytest.raises(ContextClosedError):
        while container.get(Gate):
            await asyncio.sleep(0)
    leave.set()
    await stopping
    with pytest.raises(ContextClosedError):
        await asked
    assert ended.is_set()


async def test_same_thread_other_context():
    """A constructor that asks for its own bean from a foreign context gets an error, not a deadlock."""

    @component
    class Snake:
        def __init__(self, container: Container) -> None:
            Context().run(container.get, Snake)

    async with Container(Snake) as container:
        with pytest.raises(CircularDependencyError):
            container.get(Snake)


async def test_two_event_loops(container, gate):
    """A bean that one event loop creates can be awaited from another."""

    def in_other_loop() -> object:
        return asyncio.run(container.aget(Slow))

    here = asyncio.create_task(container.aget(Slow))
    await gate.entered.wait()
    there = asyncio.create_task(asyncio.to_thread(in_other_loop))
    gate.open.set()

    assert await here is await there
    assert gate.runs == 1


class Plug(Protocol):
    connected: bool


class Socket:
    connected = False

    @post_construct
    async def connect(self) -> None:
        await asyncio.sleep(0)
        self.connected = True


async def test_async_hook_behind_an_interface():
    """A factory may say an interface only: the async hook of what it returns is awaited all the same."""

    @configuration
    class Wires:
        @bean
        def plug(self) -> Plug:
            return Socket()

    async with Container(Wires) as container:
        with pytest.raises(AsyncBeanError):
            container.get(Plug)
        assert (await container.aget(Plug)).connected


@pytest.mark.parametrize("call", ["start", "stop"])
async def test_bean_in_the_way_of_its_container(call: str):
    """A bean that the start waits for can't start or stop the container: that is an error, not a deadlock."""

    class Meddler:
        def __init__(self, container: Container) -> None:
            self.container = container

        @post_construct
        async def meddle(self) -> None:
            await getattr(self.container, call)()

    container = Container()
    container.register(Meddler, lazy=False)
    with pytest.raises(StartupError, match="can't start or stop it"):
        await asyncio.wait_for(container.start(), 5)


def test_a_loop_that_is_closed_takes_no_bean_along():
    """A creation that can't come to its end is given up: who asks later creates it anew, and the stop is quick."""
    made = []

    class Shared: ...

    @configuration
    class Slow:
        @bean
        async def shared(self) -> Shared:
            made.append(1)
            if len(made) < 3:
                await asyncio.Event().wait()
            return Shared()

    container = Container(Slow, close_timeout=60)

    async def begin():
        await container.start()
        waiting = asyncio.create_task(container.aget(Shared))
        while not made:
            await asyncio.sleep(0)
        return waiting

    async def ask_again():
        waiting = asyncio.create_task(container.aget(Shared))
        while len(made) < 2:
            await asyncio.sleep(0)
        return waiting

    async def get_it():
        assert type(await asyncio.wait_for(container.aget(Shared), 10)) is Shared
        await asyncio.wait_for(container.stop(), 10)

    for first in (begin(), ask_again()):
        loop = asyncio.new_event_loop()
        waiting = loop.run_until_complete(first)
        loop.close()
        waiting._log_destroy_pending = False
    asyncio.run(get_it())
    assert len(made) == 3
