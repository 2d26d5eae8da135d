"""Every kind of class as a bean; the annotations of this module are all strings."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import typing
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import attrs
import pydantic
import pytest
from pydantic import BaseModel, Field

from cortado.container import BeanDefinitionError, Container, Lazy, component
from tests.container import parts
from tests.container.parts import LOOSE, Carrier, Checked, Hidden, Plain, Vehicle, Wheel

if typing.TYPE_CHECKING:
    from tests.container.parts import Engine


async def built(cls, *sources):
    async with Container(cls, parts.Engine, Wheel, *sources) as container:
        return await container.aget(cls)


@dataclass(slots=True, frozen=True)
class SlottedAndFrozen:
    engine: Engine
    wheel: Wheel


@dataclass(kw_only=True)
class KeywordOnly:
    size: int = 3
    engine: Engine
    wheel: Wheel | None = None


@dataclass
class Marked:
    engine: Engine
    _: KW_ONLY
    size: int = 2
    wheel: Wheel


@dataclass
class PartlySet:
    engine: Engine
    unset: bytes = field(init=False)
    names: list[str] = field(default_factory=list)
    wheel: Wheel = field(kw_only=True)
    everywhere: ClassVar[bytes]


@dataclass
class SetAfterwards:
    given: InitVar[Engine]
    wheel: Wheel

    def __post_init__(self, given: Engine) -> None:
        self.engine = given


@dataclass(init=False)
class OwnConstructor:
    engine: bytes

    def __init__(self, engine: Engine, wheel: Wheel) -> None:
        self.engine, self.wheel = engine, wheel


@dataclass
class Car(Vehicle):
    wheel: Wheel = None


@dataclass(slots=True, kw_only=True)
class SlottedCar(Vehicle):
    wheel: Wheel


class UndecoratedCar(Vehicle):
    wheel = Wheel()


@dataclass
class Cart(Carrier[Wheel]):
    @property
    def wheel(self) -> Wheel:
        return self.load


@attrs.define
class Private:
    engine: Engine
    _wheel: Wheel
    names: list[str] = attrs.field(factory=list)
    unset: bytes = attrs.field(init=False, default=b"")

    @property
    def wheel(self) -> Wheel:
        return self._wheel


@attrs.frozen(kw_only=True)
class Frozen:
    engine: Engine
    wheel: Wheel = attrs.field(alias="other_name")
    itself: Any = attrs.Factory(lambda self: self, takes_self=True)


@attrs.define
class Inheriting(Hidden):
    size: int = 0

    @property
    def wheel(self) -> Wheel:
        assert self.other is self._wheel
        return self._wheel


def turned(wheel: Wheel) -> Wheel:
    return wheel


@attrs.define(slots=False)
class Converted:
    engine: Engine
    wheel: str = attrs.field(converter=turned)


@attrs.define
class OwnAttrsConstructor:
    engine: Engine
    wheel: Wheel

    def __init__(self, wheel: Wheel, engine: Engine) -> None:
        self.__attrs_init__(engine, wheel)


class Pair(NamedTuple):
    engine: Engine
    wheel: Wheel | None = None


class InheritedPair(Pair): ...


class UntypedPair(collections.namedtuple("UntypedPair", "engine wheel")):  # noqa: PYI024 - it is still written
    __slots__ = ()

    def __new__(cls, wheel: Wheel, engine: Engine):
        return super().__new__(cls, engine, wheel)


class Model(BaseModel):
    model_config = LOOSE
    engine: parts.Engine
    names: list[str] = Field(default_factory=list)


class InheritedModel(Model):
    wheel: Wheel


class AliasedModel(BaseModel):
    model_config = LOOSE
    engine: parts.Engine = Field(alias="motor")
    wheel: Wheel


class ModelWithConstructor(BaseModel):
    model_config = LOOSE
    engine: parts.Engine
    wheel: Wheel

    def __init__(self, engine: parts.Engine, **others: Any) -> None:
        super().__init__(engine=engine, **others)


@pydantic.dataclasses.dataclass(config=LOOSE)
class CheckedCar(Checked):
    wheel: Wheel


class UndecoratedChecked(Checked):
    wheel = Wheel()


class Made:
    def __new__(cls, engine: Engine, wheel: Wheel):
        made = super().__new__(cls)
        made.engine, made.wheel = engine, wheel
        return made


class MadeOfAnything:
    def __new__(cls, *args: Any, **kwargs: Any):
        return super().__new__(cls)

    def __init__(self, engine: Engine, wheel: Wheel) -> None:
        self.engine, self.wheel = engine, wheel


class SetUpWithAnything:
    def __new__(cls, engine: Engine, wheel: Wheel):
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        self.engine, self.wheel = args


class Passing(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class Deciding(type):
    def __call__(cls, wheel: Wheel) -> Any:
        return super().__call__(parts.Engine(), wheel)


class Passed(metaclass=Passing):
    def __init__(self, engine: Engine, wheel: Wheel) -> None:
        self.engine, self.wheel = engine, wheel


class Decided(metaclass=Deciding):
    def __init__(self, engine, wheel) -> None:
        self.engine, self.wheel = engine, wheel


class EveryKindOfParameter:
    def __init__(
        self, engine: Engine, size: int = 3, /, wheel: Wheel = None, *more: bytes, a__b: Wheel, **rest: bytes
    ) -> None:
        assert (size, a__b, more, rest) == (3, wheel, (), {})
        self.engine, self.wheel = engine, wheel


class Inherited(Plain):
    wheel = Wheel()


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Wrapped:
    @wrapped
    def __init__(self, engine: Engine, wheel: Wheel) -> None:
        self.engine, self.wheel = engine, wheel


class Failure(Exception):
    def __init__(self, engine: Engine, wheel: Wheel) -> None:
        self.engine, self.wheel = engine, wheel


KINDS = [
    *(SlottedAndFrozen, KeywordOnly, Marked, PartlySet, SetAfterwards, OwnConstructor),
    *(Car, SlottedCar, UndecoratedCar, Cart),
    *(Private, Frozen, Inheriting, Converted, OwnAttrsConstructor),
    *(Pair, InheritedPair, UntypedPair),
    *(InheritedModel, AliasedModel, ModelWithConstructor, CheckedCar, UndecoratedChecked),
    *(Made, MadeOfAnything, SetUpWithAnything, Passed, Decided),
    *(EveryKindOfParameter, Inherited, Wrapped, Failure),
]


@pytest.mark.parametrize("cls", KINDS)
async def test_kinds(cls):
    """A class of any kind is created with beans for what its constructor asks for, and its defaults for the rest."""
    made = await built(cls)

    assert type(made) is cls
    assert type(made.engine) is parts.Engine
    assert type(made.wheel) is Wheel


class Registry(collections.UserDict): ...


class Names(list[str]): ...


class Day(datetime.datetime):
    def __new__(cls):
        return super().__new__(cls, 2026, 1, 1)


class Speaking(Protocol):
    def speak(self) -> str: ...


@dataclass
class Unfinished(ABC):
    size: int

    @abstractmethod
    def finish(self) -> None: ...


class Speaker(Speaking):
    def speak(self) -> str:
        return "hello"


class Error(Exception): ...


@pytest.mark.parametrize("cls", [Registry, Names, Day, Speaker, Error])
async def test_nothing_to_supply(cls):
    """What a class inherits from builtins, or from a protocol, asks for no beans."""
    assert type(await built(cls)) is cls


@pytest.mark.parametrize(
    "annotation",
    ["Nothing", "list[Nothing]", "1 +", "parts.Nothing", "parts.Engine[int]", "parts.Nothing | None"],
)
async def test_unreadable_annotation_beside_a_default(annotation):
    """An annotation that can't be read, for whatever reason, does no harm where there is a default."""

    class Careless:
        def __init__(self, engine: Engine, what=7) -> None:
            self.found = (type(engine), what)

    Careless.__init__.__annotations__["what"] = annotation

    assert (await built(Careless)).found == (parts.Engine, 7)


async def test_unreadable_field_beside_a_default():
    """The same holds for the field of a dataclass."""

    @dataclass
    class Careless:
        engine: Engine
        what: Nothing = None  # noqa: F821

    assert (await built(Careless)).what is None


async def test_classes_local_to_a_function():
    """Every kind of class may be local to a function, and name others that are."""

    class Tool: ...

    @component
    @dataclass
    class Data:
        engine: Engine
        tool: Tool

    @attrs.define
    class Attributes:
        engine: Engine
        tool: Tool

    class Named(NamedTuple):
        engine: Engine
        tool: Tool

    class Usual:
        def __init__(self, engine: Engine, tool: Lazy[Tool]) -> None:
            self.engine, self.tool = engine, tool.get()

    for cls in (Data, Attributes, Named, Usual):
        made = await built(cls, Tool)
        assert (type(made.engine), type(made.tool)) == (parts.Engine, Tool)


async def test_generic_dataclass():
    """A generic dataclass is a bean through a subclass that says of what, or as a type that does."""
    container = Container(parts.Engine, Wheel)
    container.register(Carrier, as_type=Carrier[Wheel])
    async with container:
        assert container.get(Carrier[Wheel]).load is container.get(Wheel)
    (problem,) = Container(parts.Engine, Carrier).validate()
    assert "parameter 'load' of carrier" in str(problem)
    assert "nothing says which type T stands for" in str(problem)


async def test_generic_base_behind_another_type():
    """A bean that is registered as another type still knows its own type arguments."""

    class Port: ...

    @component(as_type=Port)
    class Barrow(Carrier[Wheel]): ...

    async with Container(Barrow, parts.Engine, Wheel) as container:
        assert container.get(Port).load is container.get(Wheel)


def test_classes_without_instances():
    """An abstract class and a Protocol are problems of the start, unless a `__new__` makes something else of them."""

    class Shape(ABC):
        @abstractmethod
        def area(self) -> int: ...

        @abstractmethod
        def edges(self) -> int: ...

    class Chosen(Shape):
        def __new__(cls):
            return object.__new__(Square)

    class Square(Chosen):
        def area(self) -> int:
            return 4

        def edges(self) -> int:
            return 4

    abstract, protocol, part = Container(Shape, Speaking, Chosen, functools.partial(Unfinished, 3)).validate()

    assert isinstance(abstract, BeanDefinitionError)
    assert abstract.name == "shape"
    assert "is abstract, so it can't be created; it leaves open: area, edges" in str(abstract)
    assert "Speaking, singleton) is a Protocol, so it can't be created" in str(protocol)
    assert "fix: register a class that implements it, or a function that returns one" in str(protocol)
    assert "Unfinished, singleton) is abstract" in str(part)


def test_converter_that_says_nothing():
    """An attrs field whose converter doesn't say what it takes is a problem that names the parameter."""

    @attrs.define
    class Vague:
        engine: Engine = attrs.field(converter=lambda given: given)

    (problem,) = Container(Vague, parts.Engine).validate()
    assert "parameter 'engine' of" in str(problem)
    assert "neither an annotation nor a default" in str(problem)


async def test_default_factories_are_called_each_time():
    """Default factories make a new object for each instance."""
    first, second = await built(PartlySet), await built(PartlySet)

    assert first.names == []
    assert first.names is not second.names
    assert [one.name for one in dataclasses.fields(first) if hasattr(first, one.name)] == [
        "engine",
        "names",
        "wheel",
    ]
