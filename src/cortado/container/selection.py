"""Deciding which of the registered beans are part of the application."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cortado.container.conditions import Facts, first_refusal
from cortado.container.definitions import BeanDefinition

__all__ = ["Selection", "select"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The beans that are part of the application, and why the others aren't."""

    included: tuple[BeanDefinition, ...]
    """In the order of registration."""
    excluded: Mapping[BeanDefinition, str]
    """What each of the others is excluded by."""


def select(definitions: Iterable[BeanDefinition], facts: Facts) -> Selection:
    """Return which beans are part of the application; a configuration that isn't takes its beans along."""
    included: list[BeanDefinition] = []
    excluded: dict[BeanDefinition, str] = {}
    for one, owner in owned(definitions):
        reason = first_refusal(one.conditions, facts)
        if owner is not None and owner in excluded:
            reason = f"{excluded[owner]}, which stands on its configuration {owner.name}"
        if reason is None:
            included.append(one)
        else:
            excluded[one] = reason
    return Selection(tuple(included), excluded)


def owned(definitions: Iterable[BeanDefinition]) -> Iterable[tuple[BeanDefinition, BeanDefinition | None]]:
    """Yield each definition with its configuration, which is the last one of that name before it."""
    by_name: dict[str, BeanDefinition] = {}
    for one in definitions:
        yield one, None if one.owner is None else by_name[one.owner]
        by_name[one.name] = one
