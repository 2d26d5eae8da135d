"""Who gets which bean, and what is reported when that can't be decided."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated

import pytest

from cortado.container import (
    AnnotationError,
    BeanDefinitionError,
    CircularDependencyError,
    Container,
    ContainerError,
    DuplicateBeanError,
    Lazy,
    NoSuchBeanError,
    NoUniqueBeanError,
    Qualifier,
    StartupError,
    bean,
    component,
    configuration,
    depends_on,
    fallback,
    order,
    primary,
)
from cortado.exceptions import ConfigurationError


class Store: ...


@component
class Disk(Store): ...


@component
class Memory(Store): ...


def problems_of(*sources: object) -> list[ContainerError]:
    return Container(*sources).validate()


def the_problem(*sources: object) -> ContainerError:
    (problem,) = problems_of(*sources)
    return problem


async def wired(cls, *sources):
    async with Container(cls, *sources) as container:
        return await container.aget(cls)


def test_abstract_class_that_works():
    """What can be created for all that isn't a problem; nor is a class that fills in what its parent leaves open."""

    class Table(ABC):
        @abstractmethod
        def rows(self) -> int: ...

    class Listed(dict[str, int], Table): ...

    class Full(Table):
        def rows(self) -> int:
            return 0

    assert problems_of(Listed, Full) == []


def test_bean_methods_without_a_configuration():
    """`@bean` methods of a class that is no configuration would make no beans, which is a problem."""

    @component
    class Storage:
        @bean
        def disk(self) -> Disk:
            return Disk()

    problem = the_problem(Storage)

    assert isinstance(problem, BeanDefinitionError)
    assert "has the @bean method disk, but is no @configuration" in str(problem)


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_bean_methods_of_the_class(kind):
    """A `@bean` method needs its configuration; one that is static is refused."""

    @configuration
    class Storage:
        disk = kind(bean(lambda: Disk()))

    with pytest.raises(ConfigurationError, match=rf"is a {kind.__name__}; write it as a plain one with self"):
        Container(Storage)


async def test_by_type():
    """A parameter gets the bean of its type, a subclass included."""

    @component
    class Needy:
        def __init__(self, store: Store) -> None:
            self.store = store

    assert type((await wired(Needy, Disk)).store) is Disk


async def test_qualifier():
    """A qualifier narrows to a bean of that name, or with that qualifier."""

    @component(qualifiers=["fast"])
    class Cache(Store): ...

    class Needy:
        def __init__(
            self, a: Annotated[Store, Qualifier("fast")], b: Annotated[Store, Qualifier("disk")]
        ) -> None:
            self.found = (type(a), type(b))

    assert (await wired(Needy, Disk, Memory, Cache)).found == (Cache, Disk)


async def test_primary():
    """A primary bean is preferred over others, and over the parameter's name."""

    @primary
    @component
    class Main(Store): ...

    class Needy:
        def __init__(self, disk: Store) -> None:
            self.store = disk

    assert type((await wired(Needy, Disk, Main, Memory)).store) is Main


async def test_fallback():
    """A fallback bean is passed over where one other fits, and used where none does."""

    @fallback
    @component
    class Spare(Store): ...

    class Needy:
        def __init__(self, store: Store) -> None:
            self.store = store

    assert type((await wired(Needy, Spare, Disk)).store) is Disk
    assert type((await wired(Needy, Spare)).store) is Spare


async def test_parameter_name():
    """The name of the parameter decides where nothing else does."""

    class Needy:
        def __init__(self, memory: Store) -> None:
            self.store = memory

    assert type((await wired(Needy, Disk, Memory)).store) is Memory


def test_ambiguous():
    """Several beans that fit equally are an error with all their names and the cure."""

    class Needy:
        def __init__(self, store: Store) -> None: ...

    problem = the_problem(Needy, Disk, Memory)

    assert isinstance(problem, NoUniqueBeanError)
    assert problem.candidates == ("disk", "memory")
    assert "required by: parameter 'store' of needy" in str(problem)
    assert "Qualifier('disk')" in str(problem)


def test_two_primaries():
    """Two primary beans are ambiguous even where the parameter's name would decide."""
    container = Container()
    container.register(Disk, primary=True)
    container.register(Memory, primary=True)

    class Needy:
        def __init__(self, disk: Store) -> None: ...

    container.register(Needy)
    (problem,) = container.validate()

    assert isinstance(problem, NoUniqueBeanError)
    assert "2 of them are primary" in str(problem)


def test_missing():
    """A missing bean is an error that names who asks, and a similar bean."""

    class Stroe: ...

    class Needy:
        def __init__(self, store: Stroe) -> None: ...

    @component
    class Strobe: ...

    problem = the_problem(Needy, Strobe)

    assert isinstance(problem, NoSuchBeanError)
    assert str(problem).startswith(
        "no bean of type Stroe is registered\n  required by: parameter 'store' of needy"
    )
    assert "did you mean: Strobe?" in str(problem)


def test_missing_class():
    """A type that nothing comes near to is an error that says how to register it."""

    class Needy:
        def __init__(self, missing: bytes) -> None: ...

    assert "fix: name a class of this type among the sources" in str(the_problem(Needy))


def test_missing_qualifier():
    """A qualifier that no bean has is an error that names those there are."""

    class Needy:
        def __init__(self, store: Annotated[Store, Qualifier("tape")]) -> None: ...

    assert "with the qualifiers: disk, memory" in str(the_problem(Needy, Disk, Memory))


async def test_optional():
    """`T | None` is None only where nothing is registered; ambiguous stays an error."""

    class Needy:
        def __init__(self, store: Store | None) -> None:
            self.store = store

    assert (await wired(Needy)).store is None
    assert type((await wired(Needy, Disk)).store) is Disk
    assert isinstance(the_problem(Needy, Disk, Memory), NoUniqueBeanError)


async def test_optional_broken():
    """`T | None` doesn't hide a bean that is registered but can't be wired."""

    @component
    class Broken(Store):
        def __init__(self, missing: bytes) -> None: ...

    class Needy:
        def __init__(self, store: Store | None = None) -> None: ...

    assert isinstance(the_problem(Needy, Broken), NoSuchBeanError)


async def test_default():
    """A default serves where no bean fits, for each kind of parameter, and a bean wins where one does."""

    class Needy:
        def __init__(
            self, a: int = 1, /, b: str = "b", *rest: int, store: Store = None, c: float = 2.0
        ) -> None:
            self.found = (a, b, rest, store, c)

    assert (await wired(Needy)).found == (1, "b", (), None, 2.0)
    found = (await wired(Needy, Disk)).found
    assert type(found[3]) is Disk


async def test_collections():
    """Lists, tuples, sequences and dicts hold all beans of a type by order, then registration."""

    @order(-1)
    @component
    class First(Store): ...

    class Needy:
        def __init__(
            self,
            many: list[Store],
            fixed: tuple[Store, ...],
            some: Sequence[Store],
            named: dict[str, Store],
            mapped: Mapping[str, Store],
        ) -> None:
            self.types = [type(one) for one in many]
            self.found = (many, fixed, some, named, mapped)

    needy = await wired(Needy, Disk, Memory, First)
    many, fixed, some, named, mapped = needy.found

    assert needy.types == [First, Disk, Memory]
    assert list(fixed) == many == list(some) == list(named.values())
    assert list(named) == ["first", "disk", "memory"]
    assert named == mapped


async def test_empty_collections():
    """A list or dict without beans is empty."""

    class Needy:
        def __init__(self, many: list[Store], named: dict[str, Store]) -> None:
            self.found = (many, named)

    assert (await wired(Needy)).found == ([], {})


async def test_qualified_collection():
    """A qualifier narrows a list, inside or outside of it."""

    class Needy:
        def __init__(
            self,
            inner: list[Annotated[Store, Qualifier("disk")]],
            outer: Annotated[list[Store], Qualifier("disk")],
        ) -> None:
            self.found = [type(one) for one in (*inner, *outer)]

    assert (await wired(Needy, Disk, Memory)).found == [Disk, Disk]


async def test_collection_without_self():
    """A list never contains the bean being built."""

    @component
    class All(Store):
        def __init__(self, stores: list[Store]) -> None:
            self.stores = stores

    assert [type(one) for one in (await wired(All, Disk, Memory)).stores] == [Disk, Memory]


async def test_decorating_bean():
    """A bean that asks for its own type gets the other one."""

    @primary
    @component
    class Cached(Store):
        def __init__(self, inner: Store) -> None:
            self.inner = inner

    assert type((await wired(Cached, Disk)).inner) is Disk


async def test_list_bean():
    """A bean that is a list itself is preferred over collecting."""

    @configuration
    class Config:
        @bean
        def ports(self) -> list[int]:
            return [80, 443]

    class Needy:
        def __init__(self, ports: list[int]) -> None:
            self.ports = ports

    assert (await wired(Needy, Config)).ports == [80, 443]


class Ping:
    def __init__(self, pong: "Pong") -> None: ...


class Pong:
    def __init__(self, ping: Ping) -> None: ...


class LazyPong:
    def __init__(self, ping: Lazy[Ping]) -> None:
        self.ping = ping


def test_circle():
    """Beans that need each other are an error with the whole way round."""
    problem = the_problem(Ping, Pong)

    assert isinstance(problem, CircularDependencyError)
    assert problem.path == ("ping", "pong", "ping")
    assert "Lazy" in str(problem)


def test_self_circle():
    """A bean that needs only itself is a circle of one."""

    class Snake:
        def __init__(self, tail: "Snake") -> None: ...

    assert the_problem(Snake).path == ("snake", "snake")


def test_depends_on():
    """`depends_on` must name a bean, and counts for circles."""

    @component
    @depends_on("late")
    class Early: ...

    @component
    @depends_on("early")
    class Late: ...

    assert isinstance(the_problem(Early), NoSuchBeanError)
    assert the_problem(Early, Late).path == ("early", "late", "early")


async def test_all_problems_at_once():
    """A start reports everything that is wrong together, and creates nothing."""
    created = []

    @component(lazy=False)
    class Eager:
        def __init__(self) -> None:
            created.append(self)

    class Missing:
        def __init__(self, one: bytes, two: bytearray) -> None: ...

    class Ambiguous:
        def __init__(self, store: Store) -> None: ...

    class Unreadable:
        def __init__(self, ghost: "Ghost") -> None: ...  # noqa: F821

    class Bare:
        def __init__(self, what) -> None: ...

    container = Container(Eager, Missing, Ambiguous, Disk, Memory, Unreadable, Bare, Ping, Pong)
    container.register(Missing, name="disk")
    with pytest.raises(StartupError) as failed:
        await container.start()

    assert [type(problem) for problem in failed.value.problems] == [
        DuplicateBeanError,
        NoSuchBeanError,
        NoSuchBeanError,
        NoUniqueBeanError,
        AnnotationError,
        AnnotationError,
        CircularDependencyError,
    ]
    assert created == []


def test_duplicate_name():
    """Two beans of one name are an error that says where both are defined."""
    container = Container(Disk)
    container.register(Memory, name="disk")
    (problem,) = container.validate()

    assert problem.name == "disk"
    assert problem.locations == (f"{__name__}.Disk", f"{__name__}.Memory")


async def test_allow_overriding():
    """With `allow_overriding` the later bean of a name takes the place of the earlier."""
    container = Container(Disk, allow_overriding=True)
    container.register(Memory, name="disk")
    async with container:
        assert type(container.get("disk")) is Memory
        assert type(container.get(Store)) is Memory


async def test_long_chain():
    """A chain of a thousand beans is wired and created without exhausting the stack."""
    container = Container()
    before = type("Link0", (), {})
    container.register(before)
    for number in range(1, 1000):

        def __init__(self, link) -> None:
            self.link = link

        __init__.__annotations__["link"] = before
        before = type(f"Link{number}", (), {"__init__": __init__})
        container.register(before)
    async with container:
        assert type(container.get(before)) is before


def test_union():
    """A union of several types is an error: it doesn't say which is meant."""

    class Needy:
        def __init__(self, store: Disk | Memory) -> None: ...

    assert isinstance(the_problem(Needy, Disk, Memory), AnnotationError)


def test_module_imported_twice(monkeypatch):
    """A class that a module imported under two names defines twice is named as the reason."""
    twin = type("Disk", (), {"__module__": "__main__", "__qualname__": "Disk"})
    original = type("Disk", (), {"__module__": "app.main", "__qualname__": "Disk"})
    spec = type("Spec", (), {"name": "app.main"})
    monkeypatch.setattr("__main__.__spec__", spec, raising=False)
    container = Container(original)

    with pytest.raises(
        NoSuchBeanError, match=r"Disk was imported twice, as app\.main and as __main__\n  fix: "
    ):
        container.resolver(twin)


async def test_default_of_a_collection():
    """A list, tuple or dict keeps its default where no bean is of its kind, and gets the beans where some are."""

    class Client:
        def __init__(
            self,
            hosts: tuple[str, ...] = ("localhost",),
            weights: dict[str, int] | None = None,
            stores: list[Store] | None = None,
        ) -> None:
            self.given = hosts, weights, stores

    async with Container(Client, Disk) as container:
        assert container.get(Client).given == (("localhost",), None, [container.get(Disk)])
