"""Which beans an annotation asks for: generics, protocols, aliases, and what they leave open."""

import sys
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Annotated, Any, Generic, Literal, NewType, Protocol, TypeVar, runtime_checkable

import pytest
from typing_extensions import TypeAliasType

from cortado.container import (
    AnnotationError,
    Container,
    Lazy,
    NoSuchBeanError,
    NoUniqueBeanError,
    Qualifier,
    Value,
    bean,
    component,
    conditional_on_missing_bean,
    configuration,
    primary,
)

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Store: ...


class Disk(Store): ...


class Memory(Store): ...


def asking(annotation, *default):
    """Return a class with one parameter of an annotation."""

    def required(self, it) -> None:
        self.it = it

    def defaulted(self, it=default) -> None:
        self.it = it

    function = defaulted if default else required
    function.__defaults__ = default or None
    function.__annotations__["it"] = annotation
    return type("Asking", (), {"__init__": function})


async def given(annotation, *sources, default=()):
    """Return what a parameter of an annotation is given."""
    cls = asking(annotation, *default)
    async with Container(cls, *sources) as container:
        return (await container.aget(cls)).it


async def looked_up(annotation, *sources):
    """Return what a `Lazy` parameter returns when it is asked."""
    cls = asking(annotation)
    async with Container(cls, *sources) as container:
        return container.get(cls).it.get()


def problem_of(annotation, *sources):
    (problem,) = Container(asking(annotation), *sources).validate()
    return problem


Stores = TypeAliasType("Stores", list[Store])
Many = TypeAliasType("Many", list[T], type_params=(T,))
Flipped = TypeAliasType("Flipped", dict[V, K], type_params=(K, V))
Archive = TypeAliasType("Archive", Annotated[T, Qualifier("disk")], type_params=(T,))
Perhaps = TypeAliasType("Perhaps", Store | None)
Nested = TypeAliasType("Nested", Perhaps)
Limit = TypeAliasType("Limit", Annotated[int, Value("test.limit", default=5)])


async def test_aliases():
    """An alias is what it stands for, with parameters, qualifiers and None in it."""
    assert [type(one) for one in await given(Stores, Disk, Memory)] == [Disk, Memory]
    assert [type(one) for one in await given(Many[Store], Disk, Memory)] == [Disk, Memory]
    assert list(await given(Flipped[Store, str], Disk)) == ["disk"]
    assert type(await given(Archive[Store], Disk, Memory)) is Disk
    assert await given(Nested) is None
    assert type(await looked_up(Lazy[Nested], Disk)) is Disk
    assert await given(Limit) == 5


async def test_aliased_beans():
    """A bean whose type is said with an alias, or with Annotated, is of the type that this stands for."""

    def numbers() -> Many[int]:
        return [7]

    def disk() -> Annotated[Store | None, "note"]:
        return Disk()

    container = Container(numbers, disk)
    container.register(Memory, as_type=Annotated[TypeAliasType("Cache", Memory), "note"])

    assert [one.name for one in container.candidates(list[int])] == ["numbers"]
    assert [one.name for one in container.candidates(Many[int])] == ["numbers"]
    assert [one.name for one in container.candidates(Store)] == ["disk", "memory"]


async def test_aliases_inside_of_arguments():
    """Aliases and Annotated make no difference inside of type arguments, those of a base class included."""

    def ids() -> Repo[Annotated[list[int], "note"]]:
        return Repo()

    class Numbered(Cached[Many[int]]): ...

    assert type(await given(Repo[Many[int]], ids)) is Repo
    assert type(await given(Repo[list[int]], Numbered)) is Numbered
    assert type(await given(Repo[Annotated[Many[int], ["unhashable"]]], ids)) is Repo


@pytest.fixture
def imported(tmp_path):
    """Imports a module of some text, whose syntax may be too new for this one."""

    def load(text: str) -> ModuleType:
        path = tmp_path / "newer.py"
        path.write_text(text)
        spec = spec_from_file_location("newer", path)
        assert spec is not None
        sys.modules["newer"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("newer", None)


GENERICS = """
from __future__ import annotations
import dataclasses
from typing import Annotated
from cortado.container import Qualifier
from tests.container.test_selection import Disk, Memory
class Codec[T]: ...
class DiskCodec(Codec[Disk]): ...
class MemoryCodec(Codec[Memory]): ...
class Table[T]:
    def __init__(self, codec: Codec[T]) -> None:
        self.codec = codec
class DiskTable(Table[Disk]): ...
@dataclasses.dataclass
class Row[T]:
    codec: Codec[T]
class MemoryRow(Row[Memory]): ...
type Tables[T] = list[Table[T]]
type Named[T] = Annotated[T, Qualifier("memory_row")]
"""

ALIASES = """
from tests.container.test_selection import Repo
type Tree = dict[str, Tree]
type Broken = list[Nothing]
def trees() -> Repo[Tree]:
    return Repo()
def numbers() -> Repo[int]:
    return Repo()
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is Python 3.12's")
async def test_type_parameter_syntax(imported):
    """Classes and aliases with type parameters of Python 3.12 are read, in strings, too."""
    newer = imported(GENERICS)
    beans = (newer.DiskCodec, newer.MemoryCodec, newer.DiskTable, newer.MemoryRow)

    (table,) = await given(newer.Tables[Disk], *beans)
    row = await given(newer.Named[newer.Row], *beans)

    assert type(table.codec) is newer.DiskCodec
    assert type(row.codec) is newer.MemoryCodec


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is Python 3.12's")
async def test_type_statements(imported):
    """An alias may name itself; one with a name that isn't there at run time is a problem of its parameter."""
    newer = imported(ALIASES)
    problem = problem_of(newer.Broken)

    assert type(await given(Repo[newer.Tree], newer.numbers, newer.trees)) is Repo
    assert isinstance(problem, AnnotationError)
    assert "parameter 'it' of" in str(problem)
    assert "name 'Nothing' is not defined" in str(problem)


class Repo(Generic[T]): ...


class Cached(Repo[T]): ...


class DiskCache(Cached[Disk]): ...


class Two(Generic[K, V]): ...


class Swapped(Two[V, K], Generic[K, V]): ...


class IntByStr(Swapped[int, str]): ...


async def test_generics_through_levels():
    """Type arguments are followed through several levels of inheritance, in whatever order each level has them."""
    assert type(await given(Repo[Disk], DiskCache)) is DiskCache
    assert type(await given(Two[str, int], IntByStr)) is IntByStr
    assert await given(list[Repo[Memory]], DiskCache) == []
    assert isinstance(problem_of(Two[int, str], IntByStr), NoSuchBeanError)


async def test_generic_beans_of_factories():
    """What a factory returns may be a generic type with arguments."""

    def disks() -> Cached[Disk]:
        return Cached()

    def tables() -> Repo[dict[str, list[int]]]:
        return Repo()

    assert [type(one) for one in await given(list[Repo[Disk]], disks, tables, DiskCache)] == [
        Cached,
        DiskCache,
    ]
    assert type(await given(Repo[dict[str, list[int]]], disks, tables)) is Repo
    assert len(await given(list[Repo], disks, tables)) == 2


async def test_open_arguments():
    """Any serves for every argument; a type variable for those that it may stand for, the same each time."""
    Stored = TypeVar("Stored", bound=Store)

    class Same(Two[Stored, Stored]): ...

    class Lists(Repo[list[T]]): ...

    def anything() -> Repo[Any]:
        return Repo()

    def names(requested: Any) -> list[str]:
        return [one.name for one in Container(Same, Lists, anything).candidates(requested)]

    assert names(Two[Disk, Disk]) == ["same"]
    assert names(Two[Disk, Memory]) == names(Two[int, int]) == []
    assert names(Repo[list[int]]) == ["lists", "anything"]
    assert names(Repo[int]) == ["anything"]
    assert names(Two[Any, Disk]) == ["same"]


class Port(Protocol):
    def send(self) -> str: ...


class Named(Port):
    def send(self) -> str:
        return "named"


class Duck:
    def send(self) -> str:
        return "duck"


class Goose:
    def send(self) -> str:
        return "goose"


async def test_protocols():
    """A protocol is served by who names it, else by the one that has its members; several of those need a choice."""
    assert type(await given(Port, Duck, Named, Goose)) is Named
    assert type(await given(Port, Duck, Store)) is Duck
    assert isinstance(problem_of(Port, Duck, Goose), NoUniqueBeanError)
    assert type(await given(Port, Duck, primary(component(Swan)))) is Swan
    assert type(await given(Annotated[Port, Qualifier("goose")], Duck, Goose)) is Goose
    assert await given(Port | None, Store) is None


class Swan(Goose): ...


class Handler(Protocol[T]):
    def handle(self, it: T) -> None: ...


class DiskHandler(Handler[Disk]):
    def handle(self, it: Disk) -> None: ...


class MemoryHandler(Handler[Memory]):
    def handle(self, it: Memory) -> None: ...


async def test_generic_protocols():
    """A protocol with arguments is served by who names it with these."""
    assert type(await given(Handler[Disk], DiskHandler, MemoryHandler)) is DiskHandler
    assert len(await given(list[Handler], DiskHandler, MemoryHandler)) == 2


async def test_protocol_that_asks_for_nothing():
    """A protocol without members is served only by who names it, for everything has none."""

    @runtime_checkable
    class Marker(Protocol): ...

    class Marked(Marker): ...

    assert await given(list[Marker], Disk, Duck) == []
    assert [type(one) for one in await given(list[Marker], Disk, Marked)] == [Marked]


async def test_own_beans_fit_no_protocol():
    """The container and the settings are found by their classes, and never by the members that they happen to have."""

    class Startable(Protocol):
        async def start(self) -> None: ...
        async def stop(self) -> None: ...

    class Engine:
        async def start(self) -> None: ...
        async def stop(self) -> None: ...

    assert [type(one) for one in await given(list[Startable], Engine)] == [Engine]
    assert await given(Startable | None) is None


async def test_virtual_subclasses():
    """A class registered with an abstract one serves it, but not with arguments that nobody has said."""

    class Sink(ABC, Generic[T]): ...

    Sink.register(Duck)

    assert type(await given(Sink, Duck)) is Duck
    assert await given(list[Sink[int]], Duck) == []


class StoreList(Sequence[Store]):
    def __getitem__(self, index):
        raise IndexError

    def __len__(self) -> int:
        return 0


async def test_beans_that_are_collections():
    """A bean that is a collection serves for its own element type only; for others, all their beans are collected."""

    def names() -> list[str]:
        return ["a"]

    def dsn() -> str:
        return "sqlite://"

    def ages() -> dict[str, int]:
        return {"a": 1}

    def bare() -> list:
        return ["whatever"]

    sources = (names, dsn, ages, bare, Disk)

    assert await given(list[str], *sources) == ["a"]
    assert await given(Sequence[str], *sources) == ["a"]
    assert await given(Mapping[str, int], *sources) == {"a": 1}
    assert [type(one) for one in await given(list[Store], *sources)] == [Disk]
    assert [type(one) for one in await given(Sequence[Store], *sources)] == [Disk]
    assert list(await given(Mapping[str, Store], *sources)) == ["disk"]
    assert type(await given(Sequence[Store], *sources, StoreList)) is StoreList


async def test_other_types():
    """Functions, literals, sets, classes and fixed tuples are types like others."""

    def formatter() -> Callable[[int], str]:
        return str

    def mode() -> Literal["fast"]:
        return "fast"

    def kinds() -> set[int]:
        return {1}

    def kind() -> type[Store]:
        return Disk

    def pair() -> tuple[int, str]:
        return (1, "a")

    sources = (formatter, mode, kinds, kind, pair)

    assert await given(Callable[[int], str], *sources) is str
    assert await given(Literal["fast"], *sources) == "fast"
    assert await given(set[int], *sources) == {1}
    assert await given(type[Store], *sources) is Disk
    assert await given(tuple[int, str], *sources) == (1, "a")


async def test_new_types():
    """A NewType is a type of its own: neither its base nor another NewType of the same base serves for it."""
    Hot, Cold = NewType("Hot", Store), NewType("Cold", Store)

    def hot() -> Hot:
        return Hot(Disk())

    assert type(await given(Hot, hot, Disk)) is Disk
    assert len(await given(list[Hot], hot, Disk)) == 1
    assert await given(Cold | None, hot, Disk) is None
    assert len(await given(list[Store], hot, Disk)) == 1


async def test_lazy():
    """A Lazy of a collection is looked up at each call; a collection of Lazy is an error with the cure."""
    assert [type(one) for one in await looked_up(Lazy[list[Store]], Disk, Memory)] == [Disk, Memory]
    assert list(await looked_up(Lazy[dict[str, Store]], Disk, Memory)) == ["disk", "memory"]
    assert type(await looked_up(Lazy[Annotated[Store, Qualifier("disk")]], Disk, Memory)) is Disk
    for annotation in (list[Lazy[Store]], dict[str, Lazy[Store]]):
        problem = problem_of(annotation, Disk)
        assert isinstance(problem, AnnotationError)
        assert "fix: ask for a Lazy of the collection" in str(problem)


async def test_values_inside():
    """A Value inside of a collection or a Lazy is an error that says where it belongs."""
    limit = Annotated[int, Value("test.limit", default=5)]

    for annotation in (list[limit], Lazy[limit], dict[str, limit]):
        problem = problem_of(annotation)
        assert isinstance(problem, AnnotationError)
        assert "fix: put it around the outermost type" in str(problem)
    assert await given(Annotated[list[int], Value("test.limits", default=[1])]) == [1]
    assert await given(list[limit], default=((2,),)) == (2,)


async def test_lazy_and_none():
    """`Lazy[T] | None` is None where no bean is registered, and `Lazy[T | None]` a Lazy of None."""
    assert await given(Lazy[Store] | None) is None
    assert type(await looked_up(Lazy[Store] | None, Disk)) is Disk
    empty = await given(Lazy[Store | None])
    assert (empty.get(), await empty.aget(), empty.get_if_available()) == (None, None, None)
    assert isinstance(problem_of(Lazy[Store]), NoSuchBeanError)


async def test_none_and_qualifiers():
    """With a qualifier, None is given where no bean has it, whatever others there are."""
    annotation = Annotated[Store, Qualifier("tape")]

    assert await given(annotation | None, Disk, Memory) is None
    assert await given(annotation, Disk, Memory, default=("mine",)) == "mine"


async def test_needing_its_own_type():
    """A bean with an optional parameter of its own type, and no other there, gets nothing rather than itself."""

    class Link:
        def __init__(self, next: "Link | None", other: "Link" = None) -> None:
            self.found = (next, other)

    async with Container(Link) as container:
        assert container.get(Link).found == (None, None)


def test_unions_of_beans():
    """A factory that returns one of several types is an error: nothing says which type the bean is of."""

    def either() -> Disk | Memory:
        return Disk()

    (problem,) = Container(either).validate()

    assert isinstance(problem, AnnotationError)
    assert "return value of" in str(problem)
    assert "leaves open which of several types" in str(problem)


def test_conditions_on_types():
    """Conditions compare types as injection points do."""

    @configuration
    class Defaults:
        @bean
        @conditional_on_missing_bean(Repo[Disk])
        def repo(self) -> Repo[Disk]:
            return Repo()

        @bean
        @conditional_on_missing_bean(Port)
        def port(self) -> Port:
            return Named()

        @bean
        @conditional_on_missing_bean()
        def numbers(self) -> Many[int]:
            return []

    def own() -> list[int]:
        return []

    assert Container(Defaults).names() == ("defaults", "repo", "port", "numbers")
    assert Container(Defaults, DiskCache, Duck, own).names() == ("defaults", "disk_cache", "duck", "own")


def generator() -> Iterator[Many[int]]:
    yield [1]


def test_generator_of_an_alias():
    """What a generator yields may be said with an alias."""
    assert [one.name for one in Container(generator).candidates(list[int])] == ["generator"]
