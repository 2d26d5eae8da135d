"""Code that uses `@inject` and `Provide` of dependency-injector gets the beans of a container."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dependency_injector import containers, providers

from cortado.container import (
    AsyncBeanError,
    Container,
    ContextClosedError,
    NoSuchBeanError,
    bean,
    component,
    configuration,
    profile,
)

events: list[str] = []


@pytest.fixture(autouse=True)
def _clear():
    events.clear()


class Greeter: ...


class Pool: ...


async def pool() -> AsyncIterator[Pool]:
    events.append("opening")
    await asyncio.sleep(0)
    events.append("opened")
    yield Pool()
    events.append("closed")


def load(name: str = "wired"):
    """Return the functions in `wired.py` as a module of a name, by which dependency-injector tells modules apart."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("wired.py"))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def container():
    async with Container(Greeter, pool) as container:
        yield container


@pytest.fixture
def wired(container):
    module = load()
    container.di.wire(modules=[module])
    yield module
    container.di.unwire()


async def test_functions(container, wired):
    """Functions, coroutines, constructors and methods get the beans; `Provider` gives the bean's provider."""
    greeter, asking = container.get(Greeter), wired.Asking()

    assert await wired.ask_async() == (greeter, await container.aget(Pool))
    assert wired.ask() is wired.ask_annotated() is wired.ask_for_provider() is greeter
    assert asking.greeter is await asking.ask() is greeter
    assert wired.ask(greeter="mine") == "mine"


async def test_generators(container, wired):
    """Generators, asynchronous ones too, get the beans; those that aren't run to the end are closed, too."""
    expected = (container.get(Greeter), await container.aget(Pool))
    generator, agenerator = wired.generate(), wired.generate_async()

    assert next(generator) is expected[0]
    generator.close()
    assert await anext(agenerator) == expected
    assert [one async for one in wired.generate_async()] == [expected]
    assert wired.closed == ["generator", "async generator"]
    await agenerator.aclose()
    while len(wired.closed) < 3:  # dependency-injector leaves the inner generator to the event loop
        await asyncio.sleep(0)


async def test_async_bean(container, wired):
    """An async bean is created once for all who ask, and is there for synchronous functions afterwards."""
    found = await asyncio.gather(*(wired.ask_async() for _ in range(5)))

    assert len(set(found)) == 1
    assert events == ["opening", "opened"]
    assert wired.ask_for_pool() is found[0][1]


async def test_cancelled_first(container, wired):
    """The first who waits through `Provide` harms nobody by going away."""
    waiting = [asyncio.create_task(wired.ask_async()) for _ in range(3)]
    while not events:
        await asyncio.sleep(0)
    waiting[0].cancel()
    first, *others = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(first, asyncio.CancelledError)
    assert len(set(others)) == 1
    assert events == ["opening", "opened"]


async def test_closing():
    """`Closing` leaves a bean open: it is the container's to close."""
    module = load()
    async with Container(Greeter, pool) as container:
        container.di.wire(modules=[module])
        assert await module.ask_closing() is container.get(Pool)
        assert events == ["opening", "opened"]
    container.di.unwire()
    assert events == ["opening", "opened", "closed"]


async def test_overrides(container, wired):
    """What is overridden, through the container or through `di`, is what `Provide` gives, until the end of it."""
    greeter, fake = container.get(Greeter), Greeter()

    with container.override(Greeter, fake):
        assert wired.ask() is fake
        with container.di.greeter.override(providers.Object("another")):
            assert wired.ask() == "another"
        assert wired.ask() is fake
    assert wired.ask() is greeter


async def test_traverse(container):
    """`di.traverse()` finds the provider of each bean, and what overrides it."""
    fake = providers.Object("fake")
    with container.di.greeter.override(fake):
        found = set(container.di.traverse())

    assert {container.provider("greeter"), container.provider("pool"), fake} <= found


async def test_life():
    """Functions may be wired before the start, stay wired through the stop, where they say why, and a second life."""
    module, container = load(), Container(Greeter, pool)
    container.di.wire(modules=[module])
    with pytest.raises(ContextClosedError, match=r"await container.start\(\) first"):
        module.ask()
    for _ in range(2):
        async with container:
            assert module.ask() is container.get(Greeter)
        with pytest.raises(ContextClosedError, match="the container is stopped"):
            module.ask()
    container.di.unwire()


async def test_adopted_beans():
    """`Provide` gives the beans of an adopted container, too, whichever of both containers is wired."""

    class Shop(containers.DeclarativeContainer):
        greeter = providers.Singleton(Greeter)
        pool = providers.Resource(pool)

    ours, theirs, shop = load("ours"), load("theirs"), Shop()
    async with Container(shop) as container:
        container.di.wire(modules=[ours])
        shop.wire(modules=[theirs])
        assert await ours.ask_async() == await theirs.ask_async()
        assert ours.ask() is container.get(Greeter)
    container.di.unwire()
    shop.unwire()
    assert events == ["opening", "opened", "closed"]


async def test_two_containers():
    """Two containers with beans of the same names, wired to a module each, don't mix."""
    one, other = load("one"), load("other")
    async with Container(Greeter, pool) as first, Container(Greeter, pool) as second:
        first.di.wire(modules=[one])
        second.di.wire(modules=[other])
        found = await asyncio.gather(one.ask_async(), other.ask_async())
        with first.override(Greeter, Greeter()):
            assert other.ask() is second.get(Greeter)
        first.di.unwire()

        assert found == [
            (first.get(Greeter), first.get(Pool)),
            (second.get(Greeter), second.get(Pool)),
        ]
        assert other.ask() is second.get(Greeter)
    second.di.unwire()


async def test_two_containers_of_one_module():
    """Of two containers wired to one module the last counts, as dependency-injector has it; their beans don't mix."""
    module = load()
    async with Container(Greeter, pool) as first, Container(Greeter, pool) as second:
        first.di.wire(modules=[module])
        second.di.wire(modules=[module])
        assert module.ask() is second.get(Greeter)
        second.di.unwire()
        first.di.wire(modules=[module])
        assert module.ask() is first.get(Greeter)
    first.di.unwire()


async def test_names_in_turns():
    """Of two beans that share a name by profile, functions wired before the start get the one that exists.

    What has no bean, they say.
    """

    @component(name="greeter")
    @profile("test")
    class Quiet(Greeter): ...

    @component(name="greeter")
    @profile("!test")
    class Loud(Greeter): ...

    module, container = load(), Container(Quiet, Loud, pool)
    container.di.wire(modules=[module])
    async with container:
        assert type(module.ask()) is Loud
    container.di.unwire()

    container = Container(Quiet, pool)
    container.di.wire(modules=[module])
    async with container:
        with pytest.raises(NoSuchBeanError, match="excluded by profile"):
            module.ask()
    container.di.unwire()


async def test_synchronous_request():
    """A synchronous function without a running loop can't get an async bean: that is said, and nothing hangs."""

    @configuration
    class Config:
        @bean
        async def pool(self) -> Pool:
            return Pool()

    module = load()
    async with Container(Greeter, Config) as container:
        container.di.wire(modules=[module])
        with pytest.raises(AsyncBeanError):
            await asyncio.to_thread(module.ask_for_pool)
        assert type(await module.ask_for_pool()) is Pool
    container.di.unwire()
