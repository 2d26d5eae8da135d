"""Profiles: their expressions, and which beans exist in which of them."""

import asyncio

import pytest

from cortado import ConfigurationError, Cortado, StartupError
from cortado.container import (
    Container,
    DuplicateBeanError,
    NoSuchBeanError,
    bean,
    component,
    configuration,
    profile,
)


class Store: ...


def exists(expression, *active):
    """Return whether a bean with this profile exists where those are active."""

    @component(profile=expression)
    class Thing: ...

    return "thing" in Container(Thing, profiles=active).names()


@pytest.mark.parametrize(
    ("expression", "active", "held"),
    [
        ("dev", ["dev"], True),
        ("dev", ["test"], False),
        ("!dev", ["dev"], False),
        ("!!dev", ["dev"], True),
        ("dev & !cloud | test", ["dev"], True),
        ("dev & !cloud | test", ["dev", "cloud"], False),
        ("dev & !cloud | test", ["cloud", "test"], True),
        ("dev&(cloud|test)", ["dev"], False),
        ("dev&(cloud|test)", ["dev", "test"], True),
        ("!(dev | test)", ["cloud"], True),
        ("a & b & c", ["a", "b"], False),
        ("eu-west.1", ["eu-west.1"], True),
        ("café", ["café"], True),
        ("default", [], True),
        ("default", ["dev"], False),
        ("!default", ["dev"], True),
    ],
)
def test_expressions(expression, active, held):
    """`!` binds closest, then `&`, then `|`; parentheses group; "default" is active when nothing else is."""
    assert exists(expression, *active) is held


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "ends too early"),
        ("dev &", "ends too early"),
        ("(dev", "ends too early"),
        ("dev test", "'test' at position 5 is out of place"),
        ("dev && test", "'&' at position 6 is out of place"),
        ("dev)", "')' at position 4 is out of place"),
        ("de,v", "',' at position 3 is out of place"),
        (5, "takes a string in parentheses, not 5"),
    ],
)
def test_unreadable_expression(expression, said):
    """An expression that can't be read is an error where it is written, and names the place."""
    with pytest.raises(ConfigurationError, match="profile") as raised:
        profile(expression)

    assert said in str(raised.value)


@pytest.mark.parametrize("given", [["dev & test"], [""], [1], "dev,test"])
def test_wrong_active_profile(given):
    """An active profile is one word; anything else is an error with the cure."""
    with pytest.raises(ConfigurationError, match="must be one word"):
        Container(profiles=given)


def test_active_profiles():
    """The container tells its active profiles; a single word may stand alone."""
    assert Container().profiles == {"default"}
    assert Container(profiles="dev").profiles == {"dev"}
    assert Container(profiles=["dev", "test"]).profiles == {"dev", "test"}


def test_profiles_add_up():
    """Several profiles on one bean must all hold, those given at the registration too."""

    @profile("dev")
    @component(profile="!cloud")
    class Thing: ...

    container = Container(profiles=["dev"])
    container.register(Thing, name="first")
    container.register(Thing, name="second", profile="test")

    assert container.names() == ("first",)
    assert Container(Thing, profiles=["dev", "cloud"]).names() == ()


async def test_one_name_in_two_profiles():
    """Beans of one name and type may take turns by profile; where both exist they are duplicates."""

    @component(name="store", profile="dev")
    class Memory(Store): ...

    @component(name="store", profile="!dev | both")
    class Disk(Store): ...

    async with Container(Memory, Disk, profiles=["dev"]) as container:
        assert type(container.get(Store)) is type(container.get("store")) is Memory
        assert type(container.di.store()) is Memory
    async with Container(Memory, Disk) as container:
        assert type(container.get(Store)) is Disk
    (problem,) = Container(Memory, Disk, profiles=["dev", "both"]).validate()
    assert isinstance(problem, DuplicateBeanError)


async def test_configuration():
    """A configuration takes its beans along; each of them may have a profile of its own."""

    def storage(word):
        @configuration(name="storage", profile=word)
        class Storage:
            @bean
            def store(self) -> Store:
                return Store()

            @profile("test")
            @bean
            def number(self) -> int:
                return 5

        return Storage

    first, second = storage("dev"), storage("cloud | test")

    assert Container(first, second).names() == ()
    assert Container(first, second, profiles=["dev"]).names() == ("storage", "store")
    async with Container(first, second, profiles=["test"]) as container:
        assert type(container.get("storage")) is second
        assert container.get(int) == 5


def test_excluded_bean_is_named():
    """Whoever misses a bean that a profile excludes is told so, by type and by name."""

    @component(profile="dev & !cloud")
    class Memory(Store): ...

    @configuration(profile="dev")
    class Numbers:
        @bean
        def number(self) -> int:
            return 5

    @component
    class Needy:
        def __init__(self, store: Store, number: int) -> None: ...

    store, number = Container(Memory, Numbers, Needy).validate()
    assert isinstance(store, NoSuchBeanError)
    assert "required by: parameter 'store' of needy" in str(store)
    assert "Memory, singleton) exists but is excluded by profile 'dev & !cloud' (active: default)" in str(
        store
    )
    assert "the exclusion of its configuration numbers, by profile 'dev' (active: default)" in str(number)
    assert "fix: start with profiles=[...] in which it exists" in str(store)
    assert "fix: start with profiles=[...] in which it exists" in str(number)
    with pytest.raises(NoSuchBeanError, match="exists but is excluded by profile"):
        Container(Memory).definition("memory")


async def test_optional_and_lists():
    """An excluded bean counts for no injection point: None, and not in the list."""

    @component(profile="dev")
    class Memory(Store): ...

    class Needy:
        def __init__(self, one: Store | None, every: list[Store]) -> None:
            self.found = (one, every)

    async with Container(Memory, Needy) as container:
        assert container.get(Needy).found == (None, [])
        assert not hasattr(container.di, "memory")


def test_application():
    """An application passes its profiles on; beside a container with profiles of its own they are an error."""

    @component(profile="dev")
    class Memory(Store): ...

    @component
    class Needy:
        def __init__(self, store: Store) -> None: ...

    asyncio.run(Cortado(Memory, Needy, profiles=["dev"]).start())
    with pytest.raises(StartupError, match="excluded by profile 'dev'"):
        asyncio.run(Cortado(Memory, Needy).start())
    with pytest.raises(ConfigurationError, match=r"Container\(profiles="):
        Cortado(Container(), profiles=["dev"])
