"""What has to hold for a bean to be part of the application."""

import enum
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from cortado.container.errors import ConditionError
from cortado.container.profiles import ProfileExpression
from cortado.container.values import Properties

__all__ = ["BeanCondition", "Condition", "Facts", "OnCall", "OnClass", "OnProfile", "OnProperty"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions are judged by, besides other beans."""

    profiles: frozenset[str]
    properties: Properties


class PlainCondition(Protocol):
    """Something that has to hold for a bean, whatever the other beans are."""

    def refusal(self, facts: Facts) -> str | None:
        """Return what excludes the bean, in words that go on after "excluded by", or None where it may stay.

        Raises:
            ConditionError: The condition can't be judged.
        """
        ...


@dataclass(frozen=True, slots=True)
class BeanCondition:
    """Another bean is there, or isn't."""

    wanted: Any
    """Its type or name; None stands for the type of the bean that has the condition."""
    present: bool


Condition = PlainCondition | BeanCondition


@dataclass(frozen=True, slots=True)
class OnProfile:
    """The active profiles satisfy an expression."""

    expression: ProfileExpression

    def refusal(self, facts: Facts) -> str | None:
        """Return the expression and the active profiles where they don't satisfy it."""
        if self.expression.holds(facts.profiles):
            return None
        return f"profile {self.expression.text!r} (active: {', '.join(sorted(facts.profiles))})"


@dataclass(frozen=True, slots=True)
class OnProperty:
    """A property is set and not false, or has a certain value."""

    name: str
    having_value: str | None
    match_if_missing: bool

    def refusal(self, facts: Facts) -> str | None:
        """Return the property where it is missing or another value."""
        found = facts.properties.find(self.name)
        if found is None:
            if self.match_if_missing:
                return None
            places = ", ".join(facts.properties.places(self.name))
            return f"condition: property {self.name!r} isn't set; looked for in: {places}"
        value = _as_text(found.value)
        if self.having_value is None:
            return f"condition: property {self.name!r} is false ({found.place})" if value == "false" else None
        if value == self.having_value.lower():
            return None
        return f"condition: property {self.name!r} isn't {self.having_value!r} ({found.place})"


@dataclass(frozen=True, slots=True)
class OnClass:
    """A class, or a module, can be imported."""

    name: str

    def refusal(self, facts: Facts) -> str | None:  # noqa: ARG002 - it needs none
        """Return the name where it can't be imported."""
        try:
            pkgutil.resolve_name(self.name)
        except (ImportError, AttributeError):
            return f"condition: {self.name!r} can't be imported"
        except Exception as error:
            raise ConditionError(f"the import of {self.name!r}", error) from error
        return None


@dataclass(frozen=True, slots=True)
class OnCall:
    """A function says yes."""

    function: Callable[[], object]
    location: str

    def refusal(self, facts: Facts) -> str | None:  # noqa: ARG002 - it needs none
        """Return the function where it says no."""
        try:
            return None if self.function() else f"condition: {self.location} says no"
        except Exception as error:
            raise ConditionError(f"condition {self.location}", error) from error


def first_refusal(conditions: Iterable[Condition], facts: Facts) -> str | None:
    """Return what the first plain condition that doesn't hold says, or None where all hold.

    Raises:
        ConditionError: A condition can't be judged.
    """
    for one in conditions:
        if not isinstance(one, BeanCondition):
            reason = one.refusal(facts)
            if reason is not None:
                return reason
    return None


def _as_text(value: object) -> str:
    if value is None:
        return "false"
    return str(value.value if isinstance(value, enum.Enum) else value).lower()
