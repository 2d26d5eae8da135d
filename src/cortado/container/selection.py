"""Deciding which of the registered beans are part of the application."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortado.container.annotations import is_settings
from cortado.container.conditions import BeanCondition, Condition, Facts, OnProfile, first_refusal
from cortado.container.definitions import BeanDefinition
from cortado.container.errors import CircularConditionError, ConditionError, ContainerError
from cortado.container.injection import name_of
from cortado.container.matching import TypeIndex
from cortado.container.values import Properties, SettingsClass

__all__ = ["Selection", "Unreadable", "facts_of", "select", "settings_class"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The beans that are part of the application, and why the others aren't."""

    included: tuple[BeanDefinition, ...]
    """In the order of registration."""
    excluded: Mapping[BeanDefinition, str]
    """What each of the others is excluded by."""
    problems: tuple[ContainerError, ...]
    """What kept conditions from being judged."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A factory whose return annotation can't be read, which harms nobody where it is excluded."""

    error: ContainerError
    conditions: tuple[Condition, ...]
    owner: BeanDefinition | None

    def counts(self, chosen: Selection, facts: Facts) -> bool:
        """Whether the bean would be part of the application."""
        if self.owner is not None and self.owner in chosen.excluded:
            return False
        try:
            return first_refusal(self.conditions, facts) is None
        except ConditionError:
            return True


def facts_of(definitions: Iterable[BeanDefinition], profiles: frozenset[str]) -> Facts:
    """Return what conditions are judged by; settings classes count unless a profile of their own excludes them."""
    facts = Facts(profiles, Properties())
    classes = [
        settings_class(one)
        for one in definitions
        if is_settings(one.factory)
        and first_refusal((each for each in one.conditions if isinstance(each, OnProfile)), facts) is None
    ]
    return Facts(profiles, Properties(classes))


def settings_class(definition: BeanDefinition) -> SettingsClass:
    """Return the settings class that a bean is of."""
    return SettingsClass(definition.factory, definition.prefix, str(definition))


def select(definitions: Iterable[BeanDefinition], facts: Facts) -> Selection:
    """Return which beans are part of the application; a configuration that isn't takes its beans along.

    Conditions on other beans are judged last, when all beans without such are known; the order of registration makes
    no difference to them.
    """
    owners = dict(_owned(definitions))
    excluded: dict[BeanDefinition, str] = {}
    problems: list[ContainerError] = []
    for one, owner in owners.items():
        try:
            reason = first_refusal(one.conditions, facts)
        except ConditionError as error:
            problems.append(error.of(str(one)))
            reason = "a condition that can't be judged"
        if owner is not None and owner in excluded:
            reason = _inherited(excluded[owner], owner)
        if reason is not None:
            excluded[one] = reason
    election = _Election(owners, excluded)
    problems += election.run()
    included = tuple(one for one in owners if one not in election.excluded)
    return Selection(included, election.excluded, tuple(problems))


class _Election:
    """Judges conditions on other beans, in rounds: a bean is decided when all that it is conditional on are."""

    def __init__(
        self, owners: Mapping[BeanDefinition, BeanDefinition | None], excluded: Mapping[BeanDefinition, str]
    ) -> None:
        self.excluded = dict(excluded)
        self._owners = owners
        self._staying = [one for one in owners if one not in excluded]
        self._undecided: dict[BeanDefinition, None] = {}
        for one in self._staying:
            conditional = any(isinstance(condition, BeanCondition) for condition in one.conditions)
            if conditional or owners[one] in self._undecided:
                self._undecided[one] = None

    def run(self) -> Iterator[ContainerError]:
        """Decide every bean, and yield an error for each circle among them."""
        while self._undecided:
            verdicts = {one: self._verdict(one) for one in self._undecided}
            decided = {one: word for one, word in verdicts.items() if not isinstance(word, list)}
            if not decided:
                circle = _circle({one: word for one, word in verdicts.items() if isinstance(word, list)})
                yield CircularConditionError([(one.name, str(one)) for one in circle])
                decided = dict.fromkeys(circle, "conditions that form a circle")
            for one, reason in decided.items():
                del self._undecided[one]
                if reason is not None:
                    self.excluded[one] = reason

    def _verdict(self, one: BeanDefinition) -> str | list[BeanDefinition] | None:
        """Return what excludes a bean, or None where it stays, or the beans that have to be decided first."""
        owner = self._owners[one]
        if owner in self._undecided:
            return [owner]
        if owner is not None and owner in self.excluded:
            return _inherited(self.excluded[owner], owner)
        waiting: list[BeanDefinition] = []
        for condition in one.conditions:
            if isinstance(condition, BeanCondition):
                verdict = self._judged(condition, one)
                if isinstance(verdict, str):
                    return verdict
                waiting += verdict
        return waiting or None

    def _judged(self, condition: BeanCondition, one: BeanDefinition) -> str | list[BeanDefinition]:
        """Return what excludes a bean by one condition, or the beans that have to be decided first."""
        wanted = one.type if condition.wanted is None else condition.wanted
        itself = frozenset((one, *(other for other in self._staying if self._owners[other] is one)))
        others = self._fitting(wanted, itself)
        there = [other for other in others if other not in self._undecided and other not in self.excluded]
        waiting = [other for other in others if other in self._undecided]
        words = f"named {wanted!r}" if isinstance(wanted, str) else f"of type {name_of(wanted)}"
        if condition.present:
            return [] if there else waiting or f"condition: there is no bean {words}"
        return f"condition: there is a bean {words}, {there[0]}" if there else waiting

    def _fitting(self, wanted: object, besides: frozenset[BeanDefinition]) -> Sequence[BeanDefinition]:
        if isinstance(wanted, str):
            return [one for one in self._staying if one.name == wanted and one not in besides]
        return self._index.candidates_besides(wanted, besides)

    @functools.cached_property
    def _index(self) -> TypeIndex:
        return TypeIndex(self._staying)


def _circle(waiting: Mapping[BeanDefinition, list[BeanDefinition]]) -> list[BeanDefinition]:
    """Return a way from a bean back to itself; the first is also the last."""
    way: dict[BeanDefinition, None] = {}
    one = next(iter(waiting))
    while one not in way:
        way[one] = None
        one = waiting[one][0]
    passed = list(way)
    return [*passed[passed.index(one) :], one]


def _inherited(reason: str, owner: BeanDefinition) -> str:
    return f"the exclusion of its configuration {owner.name}, by {reason}"


def _owned(
    definitions: Iterable[BeanDefinition],
) -> Iterator[tuple[BeanDefinition, BeanDefinition | None]]:
    """Yield each definition with its configuration, which is the last one of that name before it."""
    by_name: dict[str, BeanDefinition] = {}
    for one in definitions:
        yield one, None if one.owner is None else by_name[one.owner]
        by_name[one.name] = one
