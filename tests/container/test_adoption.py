"""dependency-injector containers as sources of beans."""

import asyncio
import functools
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import ClassVar, Self

import pytest
from dependency_injector import containers, providers, resources

from cortado.container import (
    NOT_READY,
    AsyncBeanError,
    BeanCreationError,
    Container,
    DuplicateBeanError,
    NoSuchBeanError,
    ScopeCloseError,
    StartupError,
    Stereotype,
    component,
    pre_destroy,
    rest_controller,
)
from cortado.exceptions import ConfigurationError

events: list[str] = []


@pytest.fixture(autouse=True)
def _clear():
    events.clear()


class Settings: ...


class Pool: ...


class Cache: ...


class Repository:
    def __init__(self, pool: Pool, url: str = "") -> None:
        self.pool, self.url = pool, url


class Service:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository


async def open_pool() -> AsyncIterator[Pool]:
    events.append("pool opened")
    yield Pool()
    events.append("pool closed")


def open_cache(pool: Pool) -> Iterator[Cache]:
    events.append("cache opened")
    yield Cache()
    events.append("cache closed")


class Shop(containers.DeclarativeContainer):
    config = providers.Configuration()
    pool = providers.Resource(open_pool)
    repository = providers.Singleton(Repository, pool=pool, url=config.url)
    service = providers.Factory(Service, repository=repository)
    cache = providers.Resource(open_cache, pool=pool)


@component
class Desk:
    def __init__(self, service: Service, repository: Repository) -> None:
        self.service, self.repository = service, repository


async def test_beans():
    """Each provider is a bean of its name and type; keeping providers are singletons, others prototypes."""
    container = Container(Shop(), Desk)

    assert container.names() == ("config", "pool", "repository", "service", "cache", "desk")
    assert [container.definition(name).type for name in container.names()[1:5]] == [
        Pool,
        Repository,
        Service,
        Cache,
    ]
    assert [container.definition(name).scope.value for name in ("pool", "repository", "service")] == [
        "singleton",
        "singleton",
        "prototype",
    ]
    assert container.definition("pool").location == f"{__name__}.Shop.pool"
    assert container.validate() == []


async def test_injection():
    """Beans get what the providers make, and the adopted container gives out the same instances."""
    shop = Shop()
    shop.config.from_dict({"url": "db://"})
    async with Container(shop, Desk) as container:
        desk = await container.aget(Desk)

        assert desk.repository is desk.service.repository is await shop.repository()
        assert desk.repository.pool is await container.aget(Pool) is await shop.pool()
        assert desk.repository.url == "db://"
        assert await container.aget(Service) is not desk.service
        assert await container.aget("config") == {"url": "db://"}


async def test_ending():
    """Resources open at the start and close in reverse, each after everything that holds it, through singletons too."""

    @component
    class Holder:
        def __init__(self, repository: Repository, cache: Cache) -> None: ...

        @pre_destroy
        def leave(self) -> None:
            events.append("holder left")

    shop = Shop()
    async with Container(shop, Holder) as container:
        assert events == ["pool opened", "cache opened"]
        await container.aget(Holder)
    assert events == ["pool opened", "cache opened", "holder left", "cache closed", "pool closed"]
    assert not shop.pool.initialized


async def test_order_through_singletons():
    """A resource that needs another one only through a singleton is still closed before it."""

    class Late(containers.DeclarativeContainer):
        pool = providers.Resource(open_pool)
        repository = providers.Singleton(Repository, pool=pool)
        cache = providers.Resource(open_cache, pool=repository.provided.pool)

    async with Container(Late()):
        pass
    assert events == ["pool opened", "cache opened", "cache closed", "pool closed"]


async def test_opened_before():
    """A resource that was open before the start stays open after the stop: whoever opened it closes it."""
    shop = Shop()
    await shop.pool.init()
    async with Container(shop):
        pass
    assert events == ["pool opened", "cache opened", "cache closed"]
    await shop.shutdown_resources()
    assert events[-1] == "pool closed"


async def test_another_life():
    """A container started again opens its resources again."""
    container = Container(Shop())
    for _ in range(2):
        async with container:
            pass
    assert events == ["pool opened", "cache opened", "cache closed", "pool closed"] * 2


async def test_failing_resource():
    """A resource that fails stops the start with its own error, and what is open is closed."""

    def fail(pool: Pool) -> Cache:
        raise OSError("no disk")

    shop = Shop()
    shop.cache.set_provides(fail)
    with pytest.raises(StartupError, match=r"'cache'.*OSError: no disk"):
        await Container(shop).start()
    assert events == ["pool opened", "pool closed"]


async def test_cancelled_start():
    """A start that is cancelled while a resource opens cancels the opening and closes what is open."""
    opening = asyncio.Event()

    async def open_slowly(pool: Pool) -> AsyncIterator[Cache]:
        opening.set()
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")
        yield Cache()

    shop = Shop()
    shop.cache.set_provides(open_slowly)
    starting = asyncio.create_task(Container(shop).start())
    await opening.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert events == ["pool opened", "cancelled", "pool closed"]
    assert not shop.cache.initialized


async def test_failing_end():
    """Each resource is closed, whatever another one does at that."""

    async def open_badly(pool: Pool) -> AsyncIterator[Cache]:
        yield Cache()
        raise OSError("no disk")

    shop = Shop()
    shop.cache.set_provides(open_badly)
    container = Container(shop)
    await container.start()
    with pytest.raises(ScopeCloseError) as raised:
        await container.stop()
    assert str(raised.value.exceptions[0]) == "no disk"
    assert events == ["pool opened", "pool closed"]


async def test_cancelled_first():
    """An asynchronous singleton is made once, and the first who waits harms nobody by going away."""
    gate, made = asyncio.Event(), []

    async def connect() -> Pool:
        made.append(1)
        await gate.wait()
        return Pool()

    class Slow(containers.DeclarativeContainer):
        pool = providers.Singleton(connect)
        repository = providers.Singleton(Repository, pool=pool)

    async with Container(Slow()) as container:
        waiting = [asyncio.create_task(container.aget(kind)) for kind in (Pool, Repository, Repository, Pool)]
        while not made:
            await asyncio.sleep(0)
        for one in waiting[:2]:
            one.cancel()
        await asyncio.wait(waiting[:2])
        gate.set()
        repository, pool = await asyncio.gather(*waiting[2:])
        assert repository.pool is pool
        assert made == [1]


async def test_threads():
    """Threads that race for a singleton get the same one."""

    class Fast(containers.DeclarativeContainer):
        pool = providers.Singleton(SlowPool)

    async with Container(Fast()) as container:
        found = await asyncio.gather(*(asyncio.to_thread(container.get, SlowPool) for _ in range(8)))
        assert len(set(found)) == 1
        assert len(SlowPool.made) == 1


class SlowPool:
    made: ClassVar[list[object]] = []

    def __init__(self) -> None:
        self.made.append(self)
        threading.Event().wait(0.01)


async def test_context():
    """What a resource sees of context variables is nobody's request."""
    seen = []

    async def look() -> Pool:
        seen.append(request.get(None))
        return Pool()

    class Looking(containers.DeclarativeContainer):
        pool = providers.Singleton(look)

    async with Container(Looking()) as container:
        request.set("mine")
        await container.aget(Pool)
    assert seen == [None]


request: ContextVar[str] = ContextVar("request")


async def test_override_before_the_start():
    """An override of the adopted container holds, configuration included."""
    shop, fake = Shop(), Pool()
    shop.pool.override(fake)
    shop.config.url.override("fake://")
    async with Container(shop, Desk) as container:
        desk = await container.aget(Desk)
        assert (desk.repository.pool, desk.repository.url) == (fake, "fake://")
    assert events == ["cache opened", "cache closed"]


async def test_override_while_running():
    """An override of the adopted container reaches beans that hold the replaced one, and its end brings them back."""
    shop = Shop()
    fake = Service(Repository(Pool()))
    async with Container(shop, Desk) as container:
        desk = await container.aget(Desk)
        resolver = container.resolver(Desk)
        with shop.service.override(fake):
            assert (await container.aget(Desk)).service is fake
            found = resolver.get_if_ready()
            assert (found if found is not NOT_READY else await resolver.get()) is await container.aget(Desk)
            assert (await container.aget(Desk)).repository is desk.repository
        assert await container.aget(Desk) is desk
        assert await resolver.get() is desk


async def test_reset():
    """Resetting a singleton of the adopted container holds for whoever asks next."""
    shop = Shop()
    async with Container(shop) as container:
        first = await container.aget(Repository)
        shop.repository.reset()
        assert await container.aget(Repository) is not first


@pytest.mark.parametrize("through", ["container", "di"])
async def test_override_through_the_container(through):
    """An override of the bean reaches the adopted container's other providers, too, and is taken back there."""
    shop = Shop()
    fake = Repository(Pool())
    async with Container(shop, Desk) as container:
        desk = await container.aget(Desk)
        replaced = (
            container.override(Repository, fake)
            if through == "container"
            else container.di.repository.override(fake)
        )
        with replaced:
            assert (await container.aget(Service)).repository is fake
            assert (await container.aget(Desk)).service.repository is fake
            assert await shop.repository() is fake
        assert await container.aget(Desk) is desk
        assert (await container.aget(Service)).repository is desk.repository
        assert shop.repository.overridden == ()


async def test_override_kept_by_the_stop():
    """The stop leaves the adopted container with its own overrides only."""
    shop, own = Shop(), Repository(Pool())
    shop.repository.override(own)
    container = Container(shop)
    async with container:
        with container.override("repository", Repository(Pool())):
            await container.stop()
            assert shop.repository() is own


async def test_nested():
    """Providers of nested containers are beans with dotted names; what only passes a provider on is no second bean."""

    class Data(containers.DeclarativeContainer):
        pool = providers.Dependency(instance_of=Pool)
        repository = providers.Singleton(Repository, pool=pool)

    class Outer(containers.DeclarativeContainer):
        pool = providers.Resource(open_pool)
        data = providers.Container(Data, pool=pool)
        service = providers.Factory(Service, repository=data.repository)

    async with Container(Outer(), name_of_nothing) as container:
        assert container.names() == ("pool", "data.repository", "service", "name_of_nothing")
        service = await container.aget(Service)
        assert service.repository is await container.aget("data.repository")
        assert service.repository.pool is await container.aget(Pool)
        edges = json.loads(container.graph("json"))["edges"]
        assert [(one["from"], one["to"], one["kind"]) for one in edges] == [
            ("data.repository", "pool", "injected"),
            ("service", "data.repository", "injected"),
        ]
    assert events == ["pool opened", "pool closed"]


def name_of_nothing() -> Settings:
    return Settings()


async def test_dynamic_container():
    """A dynamic container is adopted like a declarative one."""
    shop = containers.DynamicContainer()
    shop.pool = providers.Object(Pool())
    shop.repository = providers.Factory(Repository, pool=shop.pool)
    async with Container(shop) as container:
        assert container.get(Repository).pool is container.get(Pool)


class Opener(resources.Resource):
    def init(self) -> Pool:
        events.append("opened")
        return Pool()

    def shutdown(self, resource: Pool) -> None:
        events.append("closed")


class AsyncOpener(resources.AsyncResource):
    async def init(self) -> Cache:
        return Cache()


class Managed:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        events.append("left")


@asynccontextmanager
async def managed() -> AsyncIterator[Settings]:
    yield Settings()


def make() -> Pool:
    return Pool()


async def amake() -> Pool:
    return Pool()


def unsaid():
    return 1


PROVIDED = [
    (providers.Factory(Pool), Pool),
    (providers.Factory(make), Pool),
    (providers.Callable(make), Pool),
    (providers.Coroutine(amake), Pool),
    (providers.Callable(functools.partial(make)), Pool),
    (providers.ThreadSafeSingleton(Pool), Pool),
    (providers.ContextLocalSingleton(Pool), Pool),
    (providers.Singleton(amake), Pool),
    (providers.Object(Pool()), Pool),
    (providers.Resource(make), Pool),
    (providers.Resource(amake), Pool),
    (providers.Resource(open_pool), Pool),
    (providers.Resource(managed), Settings),
    (providers.Resource(Opener), Pool),
    (providers.Resource(AsyncOpener), Cache),
    (providers.Resource(Managed), Managed),
    (providers.Object(Pool), object),
    (providers.Callable(unsaid), object),
    (providers.Configuration(), object),
    (providers.List(providers.Factory(Pool)), object),
    (providers.Selector(providers.Object("a"), a=providers.Factory(Pool)), object),
]


@pytest.mark.parametrize(("provider", "made"), PROVIDED, ids=range(len(PROVIDED)))
async def test_types(provider, made):
    """A bean's type is the class or the return annotation; where neither tells, it is found by its name only."""
    shop = containers.DynamicContainer()
    shop.it = provider
    async with Container(shop) as container:
        assert container.definition("it").type is made
        assert isinstance(await container.aget("it"), made)


async def test_no_beans():
    """Delegates and aggregates make no beans, and a delegate is no circle."""

    class Odd(containers.DeclarativeContainer):
        first = providers.Factory(dict)
        second = providers.Factory(dict, first=first.provider)
        both = providers.FactoryAggregate(one=first, two=second)
        given = providers.Dependency(instance_of=Pool)

    Odd.first.add_kwargs(second=Odd.second.provider)
    async with Container(Odd()) as container:
        assert container.names() == ("first", "second")
        assert container.get("second")["first"]()["second"]


async def test_controllers():
    """A class that is a controller by its decorator is one through a provider, too."""

    @rest_controller
    class Controller: ...

    shop = containers.DynamicContainer()
    shop.controller = providers.Factory(Controller)

    assert Container(shop).definition("controller").stereotype is Stereotype.REST_CONTROLLER


async def test_failing_factory():
    """A provider's error is a BeanCreationError that names the bean once, and the next request tries again."""
    attempts = []

    async def connect() -> Pool:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("not there")
        return Pool()

    shop = containers.DynamicContainer()
    shop.pool = providers.Singleton(connect)
    async with Container(shop) as container:
        with pytest.raises(BeanCreationError, match="not there") as raised:
            await container.aget(Pool)
        assert raised.value.path == ("pool",)
        assert type(await container.aget(Pool)) is Pool


@pytest.mark.parametrize("tasks", ["usual", "eager"])
async def test_factory_raises_cancelled(tasks):
    """A factory that raises CancelledError hangs nobody: who waits gets the failure, the next request tries again."""
    if tasks == "eager":
        if sys.version_info < (3, 12):
            pytest.skip("eager tasks came with Python 3.12")
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    failing = iter(range(6))

    async def connect() -> Pool:
        for number in failing:
            for _ in range(number % 2):
                await asyncio.sleep(0)
            raise asyncio.CancelledError
        return Pool()

    shop = containers.DynamicContainer()
    shop.pool = providers.Singleton(connect)
    shop.repository = providers.Singleton(Repository, pool=shop.pool)
    async with Container(shop) as container:
        for _ in range(2):
            asking = [container.aget(Pool), container.aget(Repository), container.aget(Pool)]
            found = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 5)
            assert [type(one) for one in found] == [BeanCreationError] * 3
        failing = iter(())
        assert type((await container.aget(Repository)).pool) is Pool


async def test_override_raises_cancelled():
    """The same holds for a provider of the user's own in a bean's place: who asks isn't left waiting."""

    async def connect() -> Pool:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async with Container(make) as container:
        with container.di.make.override(providers.Singleton(connect)):
            for _ in range(2):
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(container.aget(Pool), 5)
        assert type(await container.aget(Pool)) is Pool


async def test_tasks_of_constructors():
    """A task that a constructor has begun, and that is cancelled, does no harm to what is being made."""
    gate = asyncio.Event()

    class Starting(Pool):
        def __init__(self, cache: Cache) -> None:
            self.task = asyncio.create_task(gate.wait())

    async def connect() -> Cache:
        await gate.wait()
        return Cache()

    shop = containers.DynamicContainer()
    shop.cache = providers.Singleton(connect)
    shop.pool = providers.Singleton(Starting, cache=shop.cache)
    async with Container(shop) as container:
        asking = asyncio.create_task(container.aget(Starting))
        gate.set()
        pool = await asking
        pool.task.cancel()
        assert await container.aget(Starting) is pool


def test_undefined_dependencies():
    """A dependency that nobody has provided is a problem of the start for each bean that asks for it itself."""

    shop = Partly()
    first, second = Container(shop).validate()

    assert isinstance(first, NoSuchBeanError)
    assert "no bean of type Pool for dependency 'Partly.pool' is registered" in str(first)
    assert f"required by: repository ({__name__}.Partly.repository, singleton)" in str(first)
    assert "fix: provide it where the adopted container is made" in str(first)
    assert "'Partly.others.one'" in str(second)
    shop.pool.override(providers.Object(Pool()))
    shop.others.override(containers.DynamicContainer())
    shop.settings.override(providers.Object({}))
    assert Container(shop).validate() == []
    assert Container(Partly(pool=providers.Object(Pool()), others=Whole())).validate() == []


class Whole(containers.DeclarativeContainer):
    one = providers.Object(1)


class Partly(containers.DeclarativeContainer):
    pool = providers.Dependency(instance_of=Pool)
    spare = providers.Dependency(default=Pool())
    unused = providers.Dependency()
    others = providers.DependenciesContainer()
    repository = providers.Singleton(Repository, pool=pool)
    service = providers.Factory(Service, repository=repository)
    settings = providers.Factory(dict, one=others.one, two=providers.Factory(dict, pool=spare))
    passed_on = providers.Factory(dict, make=repository.provider)


async def test_asked_synchronously():
    """`get` of what has to be awaited is an AsyncBeanError; once it is there, `get` returns it."""
    async with Container(Shop()) as container:
        assert type(container.get(Pool)) is Pool
    shop = containers.DynamicContainer()
    shop.pool = providers.Singleton(amake)
    async with Container(shop) as container:
        with pytest.raises(AsyncBeanError):
            container.get(Pool)
        pool = await container.aget(Pool)
        assert container.get(Pool) is pool


def test_class_of_a_container():
    """The class of a container is refused with what to give instead."""
    with pytest.raises(ConfigurationError, match=r"give an instance of it, Shop\(\)"):
        Container(Shop)


def test_two_containers():
    """Two providers of one name are an error, as any two beans are."""
    problems = Container(Shop(), Shop()).validate()
    assert {type(one) for one in problems} == {DuplicateBeanError}
