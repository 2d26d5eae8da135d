"""The container as a whole: registering, asking, starting and stopping."""

import asyncio
import dataclasses
import functools
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import pytest

from cortado.container import (
    NOT_READY,
    AsyncBeanError,
    Container,
    ContextClosedError,
    NoSuchBeanError,
    NoUniqueBeanError,
    Scope,
    Stereotype,
    bean,
    component,
    configuration,
    lazy,
    order,
    rest_controller,
    service,
)
from cortado.exceptions import ConfigurationError
from cortado.settings import Settings


@service
class Greeter:
    """Says hello."""


@rest_controller(name="hello", qualifiers=["web"], order=3)
class HelloController:
    def __init__(self, greeter: Greeter) -> None:
        self.greeter = greeter


class Number: ...


async def test_registered_by_hand():
    """Classes, with or without a stereotype, factories and instances can be registered."""

    class Undecorated: ...

    def make(greeter: Greeter) -> Number:
        return Number()

    container = Container(Greeter)
    container.register(Undecorated)
    container.register(make, name="number")
    container.register_instance("text", name="text")
    container.register_instance(Greeter(), as_type=object, name="thing")
    async with container:
        assert container.names() == ("greeter", "undecorated", "number", "text", "thing")
        assert type(container.get(Number)) is Number
        assert container.get("text") == container.get(str) == "text"
        assert container.get(Greeter) is container.get("greeter")


class Shelf:
    def __init__(self, greeter: Greeter, height: int, *, label: str = "") -> None:
        self.greeter, self.height, self.label = greeter, height, label


@dataclasses.dataclass
class Box:
    label: str
    greeter: "Greeter"


async def open_shelf(height: int, greeter: Greeter, label: str = "") -> AsyncIterator[Shelf]:
    shelf = Shelf(greeter, height, label=label)
    yield shelf
    shelf.label = "closed"


async def test_partial_function():
    """What a partial has supplied isn't injected, though there are beans of the type; the rest is."""
    container = Container(Greeter)
    container.register_instance("text")
    container.register(functools.partial(open_shelf, 3, label="low"))
    async with container:
        shelf = await container.aget(Shelf)
        assert container.names() == ("greeter", "str", "open_shelf")
        assert (shelf.greeter, shelf.height, shelf.label) == (container.get(Greeter), 3, "low")
    assert shelf.label == "closed"


async def test_partial_class():
    """A partial of a class is registered like the class."""
    container = Container(functools.partial(Shelf, height=4), functools.partial(Box, "small"), Greeter)
    async with container:
        assert container.names() == ("shelf", "box", "greeter")
        assert (container.get(Shelf).height, container.get(Shelf).label) == (4, "")
        assert container.get(Box) == Box("small", container.get(Greeter))


async def test_partial_configuration():
    """A partial of a configuration brings the beans of its methods along."""

    @configuration
    class Shelves:
        def __init__(self, greeter: Greeter, height: int) -> None:
            self.greeter, self.height = greeter, height

        @bean
        def shelf(self) -> Shelf:
            return Shelf(self.greeter, self.height)

    async with Container(Greeter, functools.partial(Shelves, height=5)) as container:
        assert container.get(Shelf).height == 5


async def test_override_with_a_partial():
    """A partial can stand in for a bean, too."""
    async with Container(Greeter, functools.partial(Shelf, height=4)) as container:
        with container.override(Shelf, functools.partial(open_shelf, 7)):
            assert (await container.aget(Shelf)).height == 7
        assert container.get(Shelf).height == 4


def test_definitions_before_the_start():
    """What is known of the beans can be read before the start."""
    container = Container(HelloController, Greeter)
    hello, greeter = container.definitions()

    assert hello is container.definition("hello")
    assert hello.stereotype is Stereotype.REST_CONTROLLER
    assert (hello.type, hello.scope, hello.order) == (HelloController, Scope.SINGLETON, 3)
    assert hello.qualifiers == ("web",)
    assert hello.location == f"{__name__}.HelloController"
    assert str(greeter) == f"greeter ({__name__}.Greeter, singleton)"
    assert container.candidates(Greeter) == (greeter,)
    assert container.candidates(int) == ()


async def test_get_all():
    """All beans of a type come by order, then registration."""

    @component
    @order(2)
    class Late(Greeter): ...

    @component(order=-2)
    class Early(Greeter): ...

    async with Container(Late, Greeter, Early) as container:
        assert [type(one) for one in container.get_all(Greeter)] == [Early, Greeter, Late]
        assert container.get_all(Number) == []


async def test_asking_for_what_is_not_there():
    """Unknown names and types, and ambiguous types, are errors with a cure."""

    @component
    class Other(Greeter): ...

    async with Container(Greeter, Other) as container:
        with pytest.raises(NoSuchBeanError, match="did you mean: greeter"):
            container.get("greter")
        with pytest.raises(NoSuchBeanError, match="no bean of type Number is registered"):
            await container.aget(Number)
        with pytest.raises(NoUniqueBeanError, match="qualifier='greeter'"):
            container.get(Greeter)
        assert type(container.get(Greeter, "other")) is Other
        assert type(await container.aget(Greeter, qualifier="other")) is Other
        with pytest.raises(NoSuchBeanError):
            container.provider("nobody")
        with pytest.raises(NoSuchBeanError):
            container.definition("nobody")


async def test_own_beans():
    """The container itself and the settings are injectable, and aren't counted among the user's beans."""

    @component
    class Needy:
        def __init__(self, container: Container, settings: Settings) -> None:
            self.found = (container, settings)

    async with Container(Needy, settings={"drain_timeout": 1}) as container:
        assert container.get(Needy).found == (container, container.settings)
        assert container.settings.drain_timeout == 1
        assert container.names() == ("needy",)


async def test_start_and_stop_are_idempotent():
    """Starting twice, stopping twice and stopping what never ran change nothing."""
    container = Container(Greeter)
    await container.stop()
    await asyncio.gather(container.start(), container.start())
    greeter = container.get(Greeter)
    await container.start()
    assert container.get(Greeter) is greeter
    await container.stop()
    await container.stop()


async def test_another_life():
    """A stopped container can be started again, with new instances."""
    container = Container(Greeter)
    async with container:
        first = container.get(Greeter)
    container.register(HelloController)
    async with container:
        assert container.get(HelloController).greeter is not first


async def test_registered_between_two_lives():
    """What is registered between two lives counts in the next, for what was asked for in the first one too."""

    @component(primary=True, qualifiers=["warm"])
    class WarmGreeter(Greeter): ...

    container = Container(Greeter)
    async with container:
        assert type(container.get(Greeter)) is type(container.get(Greeter, "greeter")) is Greeter
        with pytest.raises(NoSuchBeanError):
            container.get(Greeter, "warm")
    container.register(WarmGreeter)
    async with container:
        assert type(container.get(Greeter)) is type(container.get(Greeter, "warm")) is WarmGreeter
        assert type(await container.aget(Greeter)) is WarmGreeter
        assert type(container.get(Greeter, "greeter")) is Greeter


async def test_asking_for_what_cannot_be_hashed():
    """An annotation that can't be hashed is answered like any other."""
    async with Container(Greeter) as container:
        assert container.get(Annotated[Greeter, []]) is container.get(Greeter)
        with pytest.raises(NoSuchBeanError) as raised:
            container.get(Annotated[int, []])

        assert raised.value.__context__ is None


async def test_before_the_start():
    """A bean can't be had before the start or after the end; the error says so, and what to do."""
    container = Container(Greeter)
    resolver = container.resolver(Greeter)

    with pytest.raises(ContextClosedError, match=r"await container\.start\(\) first"):
        container.get(Greeter)
    with pytest.raises(ContextClosedError):
        resolver.get_if_ready()
    async with container:
        container.get(Greeter)
    with pytest.raises(
        ContextClosedError, match="'greeter' can't be had: the container is stopped\n  fix:"
    ) as closed:
        container.get(Greeter)
    assert (closed.value.name, closed.value.state) == ("greeter", "stopped")


async def test_nothing_is_created_before_use():
    """Singletons are created at first use, those with `lazy=False` at the start."""
    created = []

    @component
    class Idle:
        def __init__(self) -> None:
            created.append("idle")

    @lazy(False)
    @component
    class Warm:
        def __init__(self) -> None:
            created.append("warm")

    @configuration
    class Config:
        @bean(lazy=False)
        async def number(self) -> Number:
            created.append("number")
            return Number()

    async with Container(Idle, Warm, Config) as container:
        assert created == ["warm", "number"]
        assert type(container.get(Number)) is Number
        container.get(Idle)
        container.get(Idle)
        assert created == ["warm", "number", "idle"]


async def test_no_registration_after_the_start():
    """Registering in a running container is an error."""
    async with Container() as container:
        for register in (
            lambda: container.register(Greeter),
            lambda: container.register_instance(1),
            lambda: container.scan("json"),
        ):
            with pytest.raises(ConfigurationError, match="running"):
                register()


@pytest.mark.parametrize("source", [5, None, object(), ["shop"]])
def test_wrong_sources(source):
    """A source that is no class, factory or package name is an error."""
    with pytest.raises(ConfigurationError, match="source of beans"):
        Container(source)


async def test_dependency_injector_underneath():
    """`di` is a dependency-injector container with a provider per bean; its own names are escaped."""
    from dependency_injector.containers import DynamicContainer
    from dependency_injector.providers import Provider

    @component(name="wire")
    class Wire: ...

    @component(name="providers")
    class Providers: ...

    async with Container(Greeter, HelloController, Wire, Providers) as container:
        assert type(container.di) is DynamicContainer
        assert container.di.greeter() is container.get(Greeter) is container.provider("greeter")()
        assert isinstance(container.di.greeter, Provider)
        assert type(container.di.wire_()) is Wire
        assert type(container.di.providers_()) is Providers
        assert container.provider("greeter") in list(container.di.traverse())
        with pytest.raises(TypeError):
            container.di.greeter(1)


async def test_dependency_injector_gets_coroutines():
    """A provider of a bean that has to be awaited returns a coroutine in a running loop, then the bean."""

    async def number() -> Number:
        return Number()

    async with Container(number) as container:
        first = await container.di.number()
        assert container.di.number() is first
    container = Container(number)
    await container.start()
    with pytest.raises(AsyncBeanError):
        await asyncio.to_thread(container.di.number)
    await container.stop()


async def test_resolver():
    """A resolver returns what exists, creates what can be created without waiting, and else waits."""
    async with Container(Greeter, HelloController) as container:
        resolver = container.resolver("hello")
        assert resolver.definition is container.definition("hello")
        hello = resolver.get_if_ready()
        assert hello is not NOT_READY
        assert hello is await resolver.get() is container.get(HelloController)
        with pytest.raises(NoSuchBeanError):
            container.resolver("nobody")


async def test_configuration_beans():
    """`@bean` methods are called on their configuration, once, with their parameters injected."""

    class Base:
        @bean
        def base(self, greeter: Greeter) -> Number:
            return Number()

        @bean
        def hidden(self) -> int:
            return 1

    @configuration
    class Config(Base):
        def __init__(self, greeter: Greeter) -> None:
            self.greeter = greeter

        @bean(name="own")
        def other(self) -> Greeter:
            return self.greeter

        hidden = None

    async with Container(Greeter, Config) as container:
        assert container.names() == ("greeter", "config", "base", "own")
        assert type(container.get("base")) is Number
        assert container.get("own") is container.get("greeter")


def test_importing_decorators_is_cheap():
    """Importing the container imports neither dependency-injector nor a web framework."""
    script = (
        "import sys, cortado.container.stereotypes, cortado.container.container;"
        "print([name for name in ('dependency_injector', 'fastapi', 'pydantic_settings') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
