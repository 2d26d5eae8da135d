"""What has to hold for a bean to be part of the application."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cortado.container.profiles import ProfileExpression

__all__ = ["Condition", "Facts", "OnProfile"]


class Facts(Protocol):
    """What conditions are judged by."""

    @property
    def profiles(self) -> frozenset[str]:
        """The active profiles."""
        ...


class Condition(Protocol):
    """Something that has to hold for a bean."""

    def refusal(self, facts: Facts) -> str | None:
        """Return what excludes the bean, in words that go on after "excluded by", or None where it may stay."""
        ...


@dataclass(frozen=True, slots=True)
class OnProfile:
    """The active profiles satisfy an expression."""

    expression: ProfileExpression

    def refusal(self, facts: Facts) -> str | None:
        """Return the expression and the active profiles where they don't satisfy it."""
        if self.expression.holds(facts.profiles):
            return None
        return f"profile {self.expression.text!r} (active: {', '.join(sorted(facts.profiles))})"


def first_refusal(conditions: Sequence[Condition], facts: Facts) -> str | None:
    """Return what the first condition that doesn't hold says, or None where all hold."""
    return next((reason for one in conditions if (reason := one.refusal(facts)) is not None), None)
