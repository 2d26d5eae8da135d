"""Overrides: what they reach, and what comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
from dependency_injector import providers

from cortado.container import (
    AsyncBeanError,
    CircularDependencyError,
    Container,
    Lazy,
    NoSuchBeanError,
    OverrideTypeError,
    StartupError,
    component,
    pre_destroy,
    prototype,
)


@component
class Clock:
    def now(self) -> int:
        return 1


@component
class Stamp:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


@component
class Desk:
    def __init__(self, stamp: Stamp, lazy: Lazy[Clock]) -> None:
        self.stamp = stamp
        self.lazy = lazy


class Stopped(Clock):
    def now(self) -> int:
        return 0


@pytest.fixture
async def container():
    async with Container(Clock, Stamp, Desk) as container:
        yield container


async def test_reaches_existing_instances(container):
    """An override reaches singletons that exist: their holders are rebuilt, and the old ones come back."""
    desk = container.get(Desk)
    with container.override(Clock, Stopped()):
        assert container.get(Desk).stamp.clock.now() == 0
        assert container.get(Desk) is container.get(Desk)
        assert desk.lazy.get().now() == 0

    assert container.get(Desk) is desk
    assert desk.lazy.get().now() == desk.stamp.clock.now() == 1


async def test_unrelated_instances_stay(container):
    """What doesn't hold the overridden bean stays as it is."""
    clock = container.get(Clock)
    with container.override(Stamp, Stamp(clock)):
        assert container.get(Clock) is clock


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_factories(container, asynchronous):
    """The replacement may be a class, a factory, or an async factory, with parameters injected; and back."""

    class Counting(Clock):
        def __init__(self, container: Container) -> None:
            self.container = container

    def make(container: Container) -> Clock:
        return Counting(container)

    async def amake(container: Container):
        await asyncio.sleep(0)
        return Counting(container)

    desk = container.get(Desk)
    with container.override(Clock, Counting):
        assert container.get(Desk).stamp.clock.container is container
    with container.override("clock", amake if asynchronous else make):
        if asynchronous:
            with pytest.raises(AsyncBeanError):
                container.get(Desk)
        assert (await container.aget(Desk)).stamp.clock.container is container
    assert container.get(Desk) is desk


async def test_nesting(container):
    """Overrides nest, of the same bean and of others, and may end in any order."""
    first, second = Stopped(), Stopped()
    inner, outer = ExitStack(), ExitStack()
    outer.enter_context(container.override(Clock, first))
    in_outer = container.get(Desk)
    inner.enter_context(container.override(Clock, second))
    assert container.get(Desk).stamp.clock is second
    outer.close()
    assert container.get(Desk).stamp.clock is second
    inner.close()
    assert type(container.get(Desk).stamp.clock) is Clock
    assert in_outer.stamp.clock is first


async def test_replacement_overridden(container):
    """A replacement's own dependencies can be overridden too."""

    class Sundial(Clock):
        def __init__(self, sun: "Sun") -> None:
            self.sun = sun

    class Sun: ...

    eclipse = Sun()
    async with Container(Clock, Stamp, Desk, Sun) as container:
        with container.override(Clock, Sundial):
            desk = container.get(Desk)
            with container.override(Sun, eclipse):
                assert container.get(Desk).stamp.clock.sun is eclipse
            assert container.get(Desk) is desk


async def test_what_was_built_meanwhile_is_destroyed():
    """What was built under an override is destroyed at the stop, dependants first."""
    log = []

    async def fake() -> AsyncIterator[Clock]:
        yield Stopped()
        log.append("fake")

    @component
    class Holder:
        def __init__(self, clock: Clock) -> None:
            self.clock = clock

        @pre_destroy
        def down(self) -> None:
            log.append(f"holder of {self.clock.now()}")

    async with Container(Clock, Holder) as container:
        await container.aget(Holder)
        with container.override(Clock, fake):
            await container.aget(Holder)
        assert log == []
    assert log == ["holder of 0", "fake", "holder of 1"]


async def test_before_the_start():
    """An override made before the start is in force from the start."""
    container = Container(Clock, Stamp)
    with container.override(Clock, Stopped):
        async with container:
            assert container.get(Stamp).clock.now() == 0


async def test_wrong_replacements(container):
    """A replacement that isn't of the type, or can't be wired, is refused, and nothing has changed."""

    class Half: ...

    class Needy(Clock):
        def __init__(self, missing: bytes) -> None: ...

    class Round(Clock):
        def __init__(self, stamp: Stamp) -> None: ...

    desk = container.get(Desk)
    for replacement, error in (
        (Half(), OverrideTypeError),
        (Half, OverrideTypeError),
        (Needy, NoSuchBeanError),
        (Round, CircularDependencyError),
    ):
        with pytest.raises(error), container.override(Clock, replacement):
            pass
        assert container.get(Desk) is desk
    with pytest.raises(NoSuchBeanError), container.override(bytes, b""):
        pass


async def test_wrong_replacement_before_the_start():
    """A replacement that can't be wired keeps the container from starting."""

    class Needy(Clock):
        def __init__(self, missing: bytes) -> None: ...

    container = Container(Clock)
    with container.override(Clock, Needy), pytest.raises(StartupError):
        await container.start()


async def test_duck(container):
    """A replacement that has all public methods of the type will do."""

    class Duck:
        def now(self) -> int:
            return 5

    with container.override(Clock, Duck()):
        assert container.get(Desk).stamp.clock.now() == 5


async def test_prototype_replacement():
    """A class that replaces a prototype is a prototype."""
    container = Container()
    container.register(Clock, scope="prototype")
    async with container:
        with container.override(Clock, Stopped):
            assert type(container.get(Clock)) is Stopped
            assert container.get(Clock) is not container.get(Clock)


async def test_dependency_injector_overrides(container):
    """Overriding through dependency-injector itself works the same, with any of its providers."""
    desk = container.get(Desk)
    with container.di.clock.override(providers.Factory(Stopped)):
        assert container.get(Desk).stamp.clock.now() == 0
        assert container.get(Clock) is not container.get(Clock)
    assert container.get(Desk) is desk
    container.di.clock.override(Stopped())
    assert container.di.desk().stamp.clock.now() == 0
    container.di.clock.reset_override()
    assert container.get(Desk) is desk
    container.di.clock.override(Stopped())
    container.di.clock.reset_last_overriding()
    assert container.get(Desk) is desk


async def test_awaitable_dependency_injector_override(container):
    """A provider that returns an awaitable is awaited where the caller can wait, and else refused."""

    async def make() -> Clock:
        await asyncio.sleep(0)
        return Stopped()

    with container.di.clock.override(providers.Coroutine(make)):
        assert (await container.aget(Desk)).stamp.clock.now() == 0
        with pytest.raises(AsyncBeanError):
            container.get(Clock)
    with container.di.clock.override(providers.Singleton(make)):
        assert (await container.aget(Clock)).now() == 0


@prototype
@component
class Cursor:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


async def test_resolver_follows(container):
    """A resolver follows overrides at each call."""
    resolver = container.resolver(Clock)
    clock = resolver.get_if_ready()
    stopped = Stopped()
    with container.override(Clock, stopped):
        assert resolver.get_if_ready() is await resolver.get() is stopped
    assert resolver.get_if_ready() is clock
