"""Classes to inherit from; the annotations are strings whose names mean nothing in other modules."""

from __future__ import annotations

import dataclasses
from typing import Generic, TypeVar

import attrs
import pydantic

T = TypeVar("T")


class Engine: ...


class Wheel: ...


Motor = Engine
Round = Wheel
LOOSE = pydantic.ConfigDict(arbitrary_types_allowed=True)


@dataclasses.dataclass
class Vehicle:
    engine: Motor
    size: int = 3


@dataclasses.dataclass
class Carrier(Generic[T]):
    engine: Motor
    load: T


@attrs.define
class Hidden:
    engine: Motor
    _wheel: Round
    other: Round = attrs.field(alias="second")


@pydantic.dataclasses.dataclass(config=LOOSE)
class Checked:
    engine: Motor


class Plain:
    def __init__(self, engine: Motor) -> None:
        self.engine = engine
