"""What an injection point may say beyond a type: `Qualifier`, `Value` and `Lazy`."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from cortado.exceptions import ConfigurationError

__all__ = ["REQUIRED", "Lazy", "Qualifier", "Value", "is_property_name"]

REQUIRED: Final = object()
"""Stands for a default that isn't there."""

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Qualifier:
    """Narrows an injection point to beans with this qualifier, or of this name.

    Stands in the annotation: `Annotated[Store, Qualifier("archive")]`.
    """

    value: str


@dataclass(frozen=True, slots=True)
class Value:
    """Asks for a property instead of a bean.

    Stands in the annotation, whose type the property must have: `Annotated[int, Value("chat.max", default=5)]`.
    Where the property isn't set, the parameter gets the default given here, else its own, else None if the type
    allows it.

    Raises:
        ConfigurationError: The name can't be that of a property.
    """

    name: str
    default: Any = REQUIRED

    def __post_init__(self) -> None:
        if not is_property_name(self.name):
            raise ConfigurationError(f"a property's name is like 'chat.max-size', not {self.name!r}")


def is_property_name(given: object) -> bool:
    """Whether something is words joined by dots."""
    return isinstance(given, str) and re.fullmatch(r"[\w-]+(\.[\w-]+)*", given) is not None


class Lazy(Generic[T_co]):
    """A bean that is looked up at each call instead of once, before the constructor runs.

    Inject `Lazy[T]` to break a circle, to put off an expensive bean, or to get a new instance of a prototype at each
    call. What it hands out follows overrides. `Lazy[T | None]` allows that no bean is registered.
    """

    __slots__ = ("_aget", "_get")

    def __init__(self, get: Callable[[], T_co], aget: Callable[[], Awaitable[T_co]]) -> None:
        self._get, self._aget = get, aget

    def get(self) -> T_co:
        """Return the bean.

        Raises:
            AsyncBeanError: It, or a bean it needs, has to be awaited and isn't ready; use `aget`.
            BeanCreationError: It can't be created.
            ContextClosedError: The container isn't running.
        """
        return self._get()

    async def aget(self) -> T_co:
        """Return the bean, waiting for its creation where needed.

        Cancelling is safe: others who wait for the same bean still get it.

        Raises:
            BeanCreationError: It can't be created.
            ContextClosedError: The container isn't running.
        """
        return await self._aget()

    def get_if_available(self) -> T_co | None:
        """Return the bean like `get`, or None where no bean is registered."""
        return self._get()
