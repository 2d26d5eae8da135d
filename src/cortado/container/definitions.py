"""What the container knows about a bean before any instance exists: plain data."""

import enum
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cortado.container.conditions import Condition

__all__ = ["BeanDefinition", "FactoryKind", "Options", "Scope", "Stereotype", "is_word", "scope_kind"]


class Scope(enum.StrEnum):
    """How long an instance lives; each is equal to its word, which decorators accept too.

    A container may have scopes of its own besides these, known by their words alone.
    """

    SINGLETON = "singleton"
    """As long as the container."""
    SESSION = "session"
    """As long as one WebSocket connection."""
    CHILD = "child"
    """As long as a part of a session."""
    REQUEST = "request"
    """As long as one HTTP request, or one message."""
    PROTOTYPE = "prototype"
    """A new instance at each request for it; whoever asked owns it."""


def is_word(given: object) -> bool:
    """Whether something may be the word of a scope."""
    return isinstance(given, str) and given.isidentifier()


def scope_kind(word: str) -> str:
    """Return the scope of a word: a `Scope` where it names one, else the word itself."""
    try:
        return Scope(word)
    except ValueError:
        return sys.intern(word)


class Stereotype(enum.Enum):
    """The part that a class plays in the application."""

    COMPONENT = "component"
    SERVICE = "service"
    REPOSITORY = "repository"
    CONTROLLER = "controller"
    REST_CONTROLLER = "rest_controller"
    CONFIGURATION = "configuration"
    CONTROLLER_ADVICE = "controller_advice"


class FactoryKind(enum.Enum):
    """How an instance comes into being, and how it ends."""

    INSTANCE = "instance"
    CLASS = "class"
    FUNCTION = "function"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"
    PROVIDER = "provider"
    GIVEN = "given"

    @property
    def awaits(self) -> bool:
        """Whether creating an instance needs an event loop."""
        return self in (FactoryKind.COROUTINE, FactoryKind.ASYNC_GENERATOR)

    @property
    def yields(self) -> bool:
        """Whether the factory goes on after its `yield` when the bean is destroyed."""
        return self in (FactoryKind.GENERATOR, FactoryKind.ASYNC_GENERATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a decorator or a registration says; None, or nothing, means unsaid."""

    name: str | None = None
    scope: str | None = None
    primary: bool | None = None
    fallback: bool | None = None
    qualifiers: tuple[str, ...] = ()
    order: int | None = None
    lazy: bool | None = None
    as_type: Any = None
    depends_on: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    prefix: str | None = None

    def merged(self, later: "Options") -> "Options":
        """Return these options with those that `later` says on top; qualifiers, dependencies, conditions add up."""
        return Options(
            name=self.name if later.name is None else later.name,
            scope=self.scope if later.scope is None else later.scope,
            primary=self.primary if later.primary is None else later.primary,
            fallback=self.fallback if later.fallback is None else later.fallback,
            qualifiers=tuple(dict.fromkeys((*self.qualifiers, *later.qualifiers))),
            order=self.order if later.order is None else later.order,
            lazy=self.lazy if later.lazy is None else later.lazy,
            as_type=self.as_type if later.as_type is None else later.as_type,
            depends_on=tuple(dict.fromkeys((*self.depends_on, *later.depends_on))),
            conditions=(*self.conditions, *later.conditions),
            prefix=self.prefix if later.prefix is None else later.prefix,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeanDefinition:
    """One bean: what it is called, what it is, and how it is made. Equal only to itself."""

    name: str
    """Unique in its container."""
    type: Any
    """What injection points are compared with: a class, a generic such as `Repo[User]`, a NewType."""
    kind: FactoryKind
    """How an instance comes into being."""
    factory: Callable[..., Any]
    """The class or function that is called; for a ready instance, a function that returns it; for a bean of an adopted
    container, what asks its provider; for an object that a scope is given, its type."""
    location: str
    """Where it is defined, for messages: `module.QualName`."""
    stereotype: Stereotype | None = None
    """The part its class plays; None for what a `@bean` method or a registered factory returns."""
    scope: str = Scope.SINGLETON
    """How long an instance lives: a `Scope`, or the word of a scope that was registered."""
    primary: bool = False
    """Preferred where several beans fit."""
    fallback: bool = False
    """Passed over where another bean fits."""
    qualifiers: tuple[str, ...] = ()
    """What a `Qualifier` may ask for, besides the name."""
    order: int = 0
    """The place in injected lists; lower is earlier, equal ones stay in the order of registration."""
    lazy: bool = True
    """Created at first use; False creates it at start."""
    depends_on: tuple[str, ...] = ()
    """Names of beans that must exist first although they aren't injected."""
    conditions: tuple[Condition, ...] = ()
    """What has to hold, all of it, for the bean to be part of the application."""
    prefix: str | None = None
    """For a settings class: the prefix of its properties."""
    owner: str | None = None
    """For a `@bean` method: the name of the configuration bean it is called on."""
    names: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Local names around the definition, for reading annotations that are strings."""

    def __str__(self) -> str:
        return f"{self.name} ({self.location}, {self.scope})"
