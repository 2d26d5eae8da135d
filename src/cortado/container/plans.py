"""How beans are made, decided before any is: plain data."""

from dataclasses import dataclass
from typing import Any

from cortado.container.definitions import BeanDefinition
from cortado.container.injection import Shape

__all__ = ["Argument", "Plan"]


@dataclass(frozen=True, slots=True)
class Argument:
    """What one parameter of a factory gets: beans in some shape, or a constant where `targets` doesn't apply."""

    parameter: str
    keyword: bool
    shape: Shape = Shape.ONE
    targets: tuple[str, ...] = ()
    lazy: bool = False
    constant: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How one bean is made: its factory's arguments, decided once."""

    definition: BeanDefinition
    arguments: tuple[Argument, ...] = ()
    needs: tuple[str, ...] = ()
    """The names of the beans that must exist first, each once."""
