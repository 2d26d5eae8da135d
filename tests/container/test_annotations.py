"""Annotations in every form they are written in; this module's are all strings."""

from __future__ import annotations

import dataclasses
import typing
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Generic, NamedTuple, NewType, Protocol, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

from cortado.container import AnnotationError, Container, Lazy, Qualifier, bean, component, configuration

if typing.TYPE_CHECKING:
    from somewhere import Helper

T = TypeVar("T")


class Engine: ...


Dsn = NewType("Dsn", str)
EngineAlias = TypeAliasType("EngineAlias", Engine)


async def built(cls, *sources):
    async with Container(cls, Engine, *sources) as container:
        return await container.aget(cls)


@dataclasses.dataclass
class Plain:
    engine: Engine
    size: int = dataclasses.field(default=3)
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, kw_only=True)
class Slotted(Plain):
    lazy: Lazy[Engine]


class Pair(NamedTuple):
    engine: Engine
    optional: Engine | None = None


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    engine: Engine
    size: int = 3


class Made:
    def __new__(cls, engine: Engine):
        made = super().__new__(cls)
        made.engine = engine
        return made


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class WithMeta(metaclass=Meta):
    def __init__(self, engine: Engine, /, *, __private: Engine) -> None:
        assert engine is __private
        self.engine = engine


class Inherited(WithMeta): ...


@pytest.mark.parametrize("cls", [Plain, Slotted, Pair, Model, Made, WithMeta, Inherited])
async def test_constructors(cls):
    """Dataclasses, named tuples, models, `__new__`, metaclasses and inherited constructors are read."""
    made = await built(cls)

    assert type(made) is cls
    assert type(made.engine) is Engine


async def test_defaults_of_dataclasses():
    """Defaults and default factories of a dataclass are used where no bean fits."""
    assert dataclasses.asdict(dataclasses.replace(await built(Plain), engine=None)) == {
        "engine": None,
        "size": 3,
        "tags": [],
    }


async def test_wrappers():
    """Annotated, Optional, Lazy and aliases are unwrapped in any order."""

    class Needy:
        def __init__(
            self,
            a: Annotated[Engine | None, Qualifier("engine")],
            b: Annotated[Engine, Qualifier("engine")] | None,
            c: EngineAlias,
            d: typing.Optional[EngineAlias],  # noqa: UP045 - it is still written
            e: Lazy[Engine | None],
            f: Annotated[Lazy[Annotated[Engine, "note"]], "note"],
            g: Lazy[list[Engine]],
            h: Lazy[bytes | None],
        ) -> None:
            self.found = {a, b, c, d, e.get(), f.get(), *g.get(), f.get_if_available()}
            self.nothing = h.get_if_available()

    needy = await built(Needy)

    assert {type(one) for one in needy.found} == {Engine}
    assert len(needy.found) == 1
    assert needy.nothing is None


async def test_local_classes():
    """Classes, protocols and aliases that are local to a function are found, before and after the bean."""

    class Before(Protocol):
        def run(self) -> None: ...

    class Needy:
        def __init__(self, before: Before, after: After, inner: Nested) -> None:
            self.found = (before, after, inner)

        class Nested: ...

    class After:
        def run(self) -> None: ...

    before, after, inner = (await built(Needy, After, Needy.Nested)).found

    assert type(before) is type(after) is After
    assert type(inner) is Needy.Nested


async def test_local_names_are_kept_by_the_decorator():
    """A decorated class keeps the local types around it when the function has returned."""

    def make() -> type:
        class Runner(Protocol):
            def run(self) -> None: ...

        @component
        class Needy:
            def __init__(self, runner: Runner) -> None:
                self.runner = runner

        return Needy

    class Fast:
        def run(self) -> None: ...

    assert type((await built(make(), Fast)).runner) is Fast


async def test_local_class_of_a_name_that_the_module_has_too():
    """A name means what it means where it is written: the local class, a local alias, and only else the module's."""
    module_engine = Engine

    def local_class():
        class Engine: ...

        @component
        class Car:
            def __init__(self, engine: Engine) -> None:
                self.engine = engine

        return Car, Engine

    def local_alias():
        Engine = module_engine | None

        @component
        class Boat:
            def __init__(self, engine: Engine) -> None:
                self.engine = engine

        return Boat, Engine

    car, engine = local_class()
    async with Container(car, engine) as container:
        assert type(container.get(car).engine) is engine
    boat, _ = local_alias()
    async with Container(boat) as container:
        assert container.get(boat).engine is None


async def test_names_only_for_type_checkers():
    """A name imported only for type checkers means the registered class of that name."""

    class Helper: ...

    class Needy:
        def __init__(self, helper: Helper, many: list[Helper]) -> None:
            self.found = (helper, many)

    helper, many = (await built(Needy, Helper)).found
    assert many == [helper]


async def test_one_bad_annotation_harms_only_itself():
    """A default saves a parameter with an unreadable annotation; the return annotation isn't read at all."""

    class Needy:
        def __init__(self, engine: Engine, ghost: Ghost = None) -> Phantom:  # noqa: F821
            self.engine = engine

    assert type((await built(Needy)).engine) is Engine


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("Ghost", "can't be read: name 'Ghost' is not defined"),
        ("1 +", "can't be read"),
        ("list[Ghost]", "can't be read"),
        ("Any", "says nothing"),
        ("Lazy", "doesn't say of what"),
        ("int | str", "which of several"),
    ],
)
def test_unreadable(annotation, reason):
    """What can't be read, or says nothing, is an error that names the parameter."""

    def make(what) -> Engine: ...

    make.__annotations__["what"] = annotation
    (problem,) = Container(make).validate()

    assert isinstance(problem, AnnotationError)
    assert "parameter 'what' of" in str(problem)
    assert reason in str(problem)


def test_return_annotations():
    """What makes a bean must say of which type."""

    def silent(): ...

    def anything() -> Any: ...

    def ghost() -> Ghost: ...  # noqa: F821

    def generator() -> Engine:
        yield Engine()

    problems = Container(silent, anything, ghost, generator).validate()

    assert [type(one) for one in problems] == [AnnotationError] * 4
    assert "Iterator[T]" in str(problems[3])


async def test_generators_and_new_types():
    """The type of a generator is what it yields; a NewType is a type of its own; None is left out."""

    @configuration
    class Config:
        @bean
        def dsn(self) -> Dsn:
            return Dsn("sqlite://")

        @bean
        def numbers(self) -> Iterator[int]:
            yield 1

        @bean
        async def ratios(self) -> AsyncIterator[float]:
            yield 0.5

        @bean
        def maybe(self) -> bytes | None:
            return b""

    class Needy:
        def __init__(self, dsn: Dsn, number: int, ratio: float, maybe: bytes) -> None:
            self.found = (dsn, number, ratio, maybe)

    assert (await built(Needy, Config)).found == ("sqlite://", 1, 0.5, b"")
    assert Container(Config).candidates(str) == ()


class Repo(Generic[T]):
    def __init__(self, codec: Codec[T]) -> None:
        self.codec = codec


class Codec(Generic[T]): ...


class IntCodec(Codec[int]): ...


class StrCodec(Codec[str]): ...


class IntRepo(Repo[int]): ...


class NamedRepo(Repo[str]): ...


async def test_generics():
    """A generic type is matched with its arguments, through inheritance and into constructors."""

    class Needy:
        def __init__(self, ints: Repo[int], strings: Repo[str], all: list[Repo]) -> None:
            self.found = (ints, strings, all)

    ints, strings, everything = (await built(Needy, IntRepo, NamedRepo, IntCodec, StrCodec)).found

    assert everything == [ints, strings]
    assert (type(ints), type(ints.codec)) == (IntRepo, IntCodec)
    assert (type(strings), type(strings.codec)) == (NamedRepo, StrCodec)


async def test_open_generics():
    """A bean with an open parameter serves where no other names the argument."""

    class AnyCodec(Codec[T]): ...

    container = Container(AnyCodec, IntCodec)

    assert [one.name for one in container.candidates(Codec[int])] == ["int_codec"]
    assert [one.name for one in container.candidates(Codec[bytes])] == ["any_codec"]


class Speaker(Protocol):
    volume: int

    def speak(self) -> str: ...


class Dog:
    volume: int = 3

    def speak(self) -> str:
        return "wuff"


class Cat(Speaker):
    volume = 1

    def speak(self) -> str:
        return "miau"


class Fish:
    volume = 0


async def test_protocols():
    """A protocol is served by a class that names it, and only else by one that has its members."""
    assert [one.name for one in Container(Dog, Cat, Fish).candidates(Speaker)] == ["cat"]
    assert [one.name for one in Container(Dog, Fish).candidates(Speaker)] == ["dog"]


def test_virtual_subclasses():
    """A class registered with an abstract class serves it."""

    class Port(ABC):
        @abstractmethod
        def send(self) -> None: ...

    Port.register(Dog)

    assert [one.name for one in Container(Dog, Fish).candidates(Port)] == ["dog"]
