"""The scopes of a container: which lives within which, and who may therefore hold whom."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cortado.container.definitions import Scope, is_word, scope_kind
from cortado.container.errors import ContainerError, ScopeMismatchError, UnknownScopeError
from cortado.container.plans import Plan
from cortado.exceptions import ConfigurationError

__all__ = ["Reach", "Scopes", "mismatches", "reaches"]

UNOPENED = (Scope.SINGLETON, Scope.PROTOTYPE)
"""Scopes that nobody opens: one is the container itself, the other no scope at all."""


class Scopes:
    """The scopes that a container knows, each within a longer one, and what each is given when it opens."""

    def __init__(self) -> None:
        self._within: dict[str, str | None] = {
            Scope.SINGLETON: None,
            Scope.SESSION: Scope.SINGLETON,
            Scope.CHILD: Scope.SESSION,
            Scope.REQUEST: Scope.CHILD,
        }
        self._given: dict[str, tuple[type, ...]] = {}
        self._openings: dict[tuple[str, str], str] = {}  # those that were checked

    def register(self, word: str, within: str) -> None:
        """Add a scope that opens within another one.

        Raises:
            ConfigurationError: The word is none, or taken, or the other scope is unknown or none that opens.
        """
        if not is_word(word):
            raise ConfigurationError(f"a scope's name is one word, such as 'job', not {word!r}")
        if scope_kind(word) in (*self._within, Scope.PROTOTYPE):
            raise ConfigurationError(f"there is a scope {word!r} already; choose another word")
        outer = scope_kind(within)
        if outer not in self._within:
            raise ConfigurationError(f"scope {word!r} can't open within {within!r}; known are: {self}")
        self._within[scope_kind(word)] = outer

    def declare(self, word: str, types: Iterable[type]) -> None:
        """Say what every scope of a kind is given, and that it is given nothing else.

        Raises:
            ConfigurationError: The scope is unknown, or something isn't a class.
        """
        kind = self.opened(word)
        declared = tuple(types)
        for one in declared:
            if not isinstance(one, type):
                raise ConfigurationError(f"a scope is given objects of classes, and {one!r} is no class")
        self._given[kind] = tuple(dict.fromkeys((*self._given.get(kind, ()), *declared)))

    def declared(self, kind: str) -> tuple[type, ...] | None:
        """Return what every scope of a kind is given, or None where nobody has said so."""
        return self._given.get(kind)

    def opened(self, word: str) -> str:
        """Return a scope that can be opened by its word.

        Raises:
            ConfigurationError: It can't be opened, or isn't known.
        """
        kind = scope_kind(word) if is_word(word) else ""
        if kind in UNOPENED:
            raise ConfigurationError(f"nobody opens scope {str(kind)!r}; open one of: {self}")
        if kind not in self._within:
            raise ConfigurationError(
                f"there is no scope {word!r}; known are: {self}; register_scope() adds one"
            )
        return kind

    def opening(self, word: str, outer: str) -> str:
        """Return the scope of a word that may open within another one.

        Raises:
            ConfigurationError: It can't be opened, isn't known, or lives as long as the other one.
        """
        known = self._openings.get((word, outer))
        if known is not None:
            return known
        kind = self.opened(word)
        nested = kind == outer == Scope.CHILD
        if not nested and outer not in tuple(self._chain(kind))[1:]:
            raise ConfigurationError(
                f"a {kind} scope can't open within a {outer} scope, which lives no longer"
            )
        self._openings[word, outer] = kind
        return kind

    def outlives(self, held: str, holder: str) -> bool:
        """Whether what lives in one scope lives at least as long as what lives in the other."""
        return any(one == held for one in self._chain(holder))

    def unknown(self, plans: Mapping[str, Plan]) -> list[ContainerError]:
        """Return an error for each bean of a scope that isn't known."""
        return [
            UnknownScopeError(str(plan.definition), plan.definition.scope, tuple(map(str, self.words)))
            for plan in plans.values()
            if plan.definition.scope not in (*self._within, Scope.PROTOTYPE)
        ]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all scopes that can be opened."""
        return tuple(kind for kind in self._within if kind not in UNOPENED)

    def __str__(self) -> str:
        return ", ".join(repr(str(one)) for one in self.words)

    def _chain(self, kind: str) -> Iterator[str]:
        one: str | None = kind
        while one is not None:
            yield one
            one = self._within.get(one)


@dataclass(frozen=True, slots=True)
class Reach:
    """The scope without which a bean can't be had, and the way to the bean that lives in it."""

    scope: str
    way: tuple[str, ...]


def reaches(plans: Mapping[str, Plan], scopes: Scopes) -> dict[str, Reach]:
    """Return for each bean the scope that it needs: its own, or of a prototype the shortest that it reaches."""
    found = {
        name: Reach(
            Scope.SINGLETON if plan.definition.scope == Scope.PROTOTYPE else plan.definition.scope, (name,)
        )
        for name, plan in plans.items()
    }
    prototypes = [plan for plan in plans.values() if plan.definition.scope == Scope.PROTOTYPE and plan.needs]
    changed = True
    while changed:  # from a prototype to those that hold it, and so on
        changed = False
        for plan in prototypes:
            name = plan.definition.name
            for needed in plan.needs:
                reach = found.get(needed)
                known = found[name].scope
                if reach is not None and reach.scope != known and scopes.outlives(known, reach.scope):
                    found[name] = Reach(reach.scope, (name, *reach.way))
                    changed = True
    return found


def mismatches(
    plans: Mapping[str, Plan], reached: Mapping[str, Reach], scopes: Scopes
) -> list[ContainerError]:
    """Return an error for each bean that would hold one that lives shorter than itself."""
    found: list[ContainerError] = []
    for plan in plans.values():
        holder = plan.definition
        own = reached[holder.name].scope
        for needed in plan.needs:
            reach = reached.get(needed)
            if reach is None or scopes.outlives(reach.scope, own) or not _known(scopes, (own, reach.scope)):
                continue
            way = (holder.name, *reach.way)
            argument = next((one for one in plan.arguments if needed in one.targets and not one.lazy), None)
            found.append(
                ScopeMismatchError(
                    [(name, str(plans[name].definition)) for name in way],
                    scope=own,
                    held=reach.scope,
                    parameter=None if argument is None else argument.parameter,
                )
            )
    return found


def _known(scopes: Scopes, kinds: Iterable[str]) -> bool:
    return all(kind == Scope.SINGLETON or kind in scopes.words for kind in kinds)
