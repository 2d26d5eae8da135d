"""A dependency-injector container as a source of beans: its providers stay in charge of what they make."""

import inspect
import types
import typing
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from dependency_injector import containers, providers

from cortado.container.annotations import Names, return_type
from cortado.container.definitions import BeanDefinition, FactoryKind, Scope
from cortado.container.errors import AnnotationError
from cortado.container.recipes import Step
from cortado.container.registration import factory_kind, stereotype_of
from cortado.exceptions import ConfigurationError

__all__ = ["AdoptedProvider", "adopted", "is_adoptable"]

PASSED_ON = (
    providers.Aggregate,  # needs arguments at each call
    providers.Dependency,  # is another provider, which is a bean already
    providers.DependenciesContainer,
    providers.Delegate,  # returns a provider
    providers.Self,
)
"""Kinds of provider that make no beans."""

PER_CONTEXT = (
    providers.ContextLocalSingleton,
    providers.ContextLocalResource,
    providers.ThreadLocalSingleton,
)

CALLING = (providers.Callable, providers.Factory, providers.BaseSingleton, providers.BaseResource)

BARE = (dict, frozenset, list, object, set, tuple)
"""Types that say nothing of what they hold; such beans are found by name only."""


def is_adoptable(source: object) -> bool:
    """Whether a source is a dependency-injector container.

    Raises:
        ConfigurationError: It is the class of one.
    """
    if isinstance(source, type) and issubclass(source, containers.DeclarativeContainer):
        raise ConfigurationError(
            f"{source.__qualname__} is the class of a container; give an instance of it, {source.__qualname__}()"
        )
    return isinstance(source, containers.DynamicContainer)


def adopted(source: object) -> list[BeanDefinition]:
    """Return the definitions of a container's providers, those of nested containers as `nested.name`."""
    assert isinstance(source, containers.DynamicContainer)
    found = {name: provider for name, provider in _walk(source, "") if not isinstance(provider, PASSED_ON)}
    names = {provider: name for name, provider in found.items()}
    where: type = getattr(source, "declarative_parent", None) or type(source)
    return [
        _definition(name, provider, f"{where.__module__}.{where.__qualname__}.{name}", names)
        for name, provider in found.items()
    ]


class AdoptedProvider:
    """A provider of somebody else's container, and what has been opened through it in the container's present life.

    Args:
        provider: Stays as it is, apart from an override while its bean is overridden.
        beans: The providers of its container that are beans.
    """

    def __init__(self, provider: providers.Provider[Any], beans: Container[providers.Provider[Any]]) -> None:
        self._provider = provider
        self._beans = beans
        self._diverted: object = None
        self._spoken_for: set[object] = set()

    @property
    def in_force(self) -> object:
        """The provider that answers: this one, or the last of its user's overrides."""
        overriding = [one for one in self._provider.overridden if one is not self._diverted]
        return overriding[-1] if overriding else self._provider

    @property
    def overriding(self) -> frozenset[object]:
        """The user's override in force, if there is one."""
        return frozenset((self.in_force,)) - {self._provider}

    @property
    def keeps(self) -> bool:
        """Whether what it returns is made once, so that no two may ask for the first time at once."""
        kept = (providers.BaseSingleton, providers.BaseResource)
        return isinstance(self.in_force, kept) and not isinstance(self.in_force, PER_CONTEXT)

    @property
    def opens(self) -> bool:
        """Whether the next request opens a resource that nobody else closes."""
        return isinstance(self.in_force, providers.BaseResource) and self.in_force not in self._spoken_for

    @property
    def undefined(self) -> Iterator[tuple[str, Any]]:
        """The name and type of each dependency that nobody has provided; those that other beans ask for are theirs."""
        seen: set[object] = set()
        stack: list[Any] = [self._provider]
        while stack:
            one = stack.pop()
            if one in seen or (one is not self._provider and one in self._beans) or _only_passes_on(one):
                continue
            seen.add(one)
            if one.overridden:
                stack.append(one.overridden[-1])
            elif isinstance(one, providers.Dependency) and not one.is_defined:
                yield one.parent_name or "?", one.instance_of
            else:
                stack += one.related

    def __call__(self) -> object:
        """Ask the provider; the answer may have to be awaited."""
        return self._provider()

    def reset(self) -> None:
        """Have the provider forget an answer that never comes."""
        if isinstance(self.in_force, providers.BaseSingleton):
            self.in_force.reset()

    def begin(self) -> None:
        """Begin a life of the container: what is open already is its owner's to close."""
        known = (self._provider, *self._provider.overridden)
        self._spoken_for = {
            one for one in known if isinstance(one, providers.BaseResource) and one.initialized
        }

    def ending(self) -> tuple[Step, ...]:
        """Return what closes the resource that was opened now; nothing where somebody closes it already."""
        opened = self.in_force
        if not isinstance(opened, providers.BaseResource) or not self.opens:
            return ()
        self._spoken_for.add(opened)
        return (opened.shutdown,)

    def divert(self, bean: object) -> None:
        """Have the adopted container, too, get what stands in for the bean."""
        if self._diverted is None:
            self._diverted = bean
            self._provider.override(bean)

    def restore(self) -> None:
        """Take `divert` back."""
        if self._diverted is not None:
            rest = [one for one in self._provider.overridden if one is not self._diverted]
            self._provider.reset_override()
            for one in rest:
                self._provider.override(one)
            self._diverted = None


def _walk(source: Any, prefix: str) -> Iterator[tuple[str, providers.Provider[Any]]]:
    for name, provider in source.providers.items():
        if isinstance(provider, providers.Container):
            yield from _walk(provider.container, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", provider


def _definition(
    name: str, provider: providers.Provider[Any], location: str, names: Mapping[providers.Provider[Any], str]
) -> BeanDefinition:
    made = _type_of(provider)
    opened_at_start = isinstance(provider, providers.BaseResource) and not isinstance(provider, PER_CONTEXT)
    return BeanDefinition(
        name=name,
        type=made,
        kind=FactoryKind.PROVIDER,
        factory=AdoptedProvider(provider, names),
        location=location,
        stereotype=stereotype_of(made),
        scope=Scope.SINGLETON if _is_single(provider) else Scope.PROTOTYPE,
        lazy=not opened_at_start,
        depends_on=tuple(_needs(provider, names)),
    )


def _is_single(provider: providers.Provider[Any]) -> bool:
    single = (providers.BaseSingleton, providers.BaseResource, providers.Object)
    return isinstance(provider, single) and not isinstance(provider, PER_CONTEXT)


def _needs(provider: providers.Provider[Any], names: Mapping[providers.Provider[Any], str]) -> Iterable[str]:
    """Return the names of the beans that a provider asks for, itself or through providers that are no beans."""
    found: dict[str, None] = {}
    seen = {provider}
    stack = list(provider.related)
    while stack:
        one = stack.pop(0)
        if one in seen or _only_passes_on(one):
            continue
        seen.add(one)
        if one in names:
            found[names[one]] = None
        else:
            stack += one.related
    return found


def _only_passes_on(provider: providers.Provider[Any]) -> bool:
    """Whether others get a provider itself, and not what it provides."""
    return isinstance(provider, providers.Delegate) or providers.is_delegated(provider)


def _type_of(provider: providers.Provider[Any]) -> Any:
    """Return the type of what a provider makes, or `object` where nothing tells."""
    made: Any = object
    if isinstance(provider, CALLING):
        made = _made_by(provider.provides, opens=isinstance(provider, providers.BaseResource))
    elif type(provider) is providers.Object:
        value = provider.provides
        made = object if isinstance(value, type) or inspect.isroutine(value) else type(value)
    return object if made in BARE else made


def _made_by(provided: Any, *, opens: bool) -> Any:
    if isinstance(provided, partial):
        provided = provided.func
    function = inspect.unwrap(provided) if callable(provided) else None
    if isinstance(function, type):
        enter = next((_own(function, name) for name in ENTERING if opens and _own(function, name)), None)
        return function if enter is None else _returned(enter, function)
    return object if not inspect.isroutine(function) else _returned(function, object)


ENTERING = ("init", "__aenter__", "__enter__")
"""The methods of a class that return the resource, in place of an instance."""

NO_NAMES: Names = {}


def _own(cls: type, name: str) -> Any:
    found = inspect.getattr_static(cls, name, None)
    return found if inspect.isfunction(found) else None


def _returned(function: Any, otherwise: Any) -> Any:
    if not inspect.isfunction(function) and not inspect.ismethod(function):
        return otherwise
    try:
        made = return_type(function, {}, NO_NAMES, yields=factory_kind(function).yields)
    except AnnotationError:
        return otherwise
    open_ended = isinstance(made, typing.TypeVar) or typing.get_origin(made) in (
        typing.Union,
        types.UnionType,
    )
    return otherwise if open_ended or made is typing.Self else made
