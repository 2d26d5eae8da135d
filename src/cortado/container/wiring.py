"""Deciding, before anything is created, which beans each bean gets; and finding all that is wrong with that."""

import difflib
import functools
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Generic

from cortado.container.annotations import (
    Names,
    Parameter,
    constructor_parameters,
    function_parameters,
    is_settings,
)
from cortado.container.definitions import BeanDefinition, FactoryKind, Scope
from cortado.container.errors import (
    AnnotationError,
    CircularDependencyError,
    ContainerError,
    NoSuchBeanError,
    NoUniqueBeanError,
    PropertyError,
)
from cortado.container.forms import substituted
from cortado.container.injection import (
    InjectionPoint,
    Shape,
    allows_none,
    name_of,
    read_injection_point,
    read_value,
)
from cortado.container.markers import REQUIRED, Value
from cortado.container.matching import TypeIndex, supertypes
from cortado.container.plans import Argument, Plan
from cortado.container.registration import define_given, flaws, stereotype_of
from cortado.container.scopes import Scopes, mismatches, reaches
from cortado.container.selection import settings_class
from cortado.container.values import Properties, type_name

__all__ = ["Wiring", "circles", "dependencies_first"]


class Wiring:
    """The beans of a container, and who gets which of them."""

    def __init__(
        self,
        definitions: Iterable[BeanDefinition],
        excluded: Mapping[BeanDefinition, str],
        properties: Properties,
        scopes: Scopes,
    ) -> None:
        self._scopes = scopes
        self._assumed: dict[type, BeanDefinition] = {}
        self._plans: dict[str, Plan] = {}
        self._definitions = {one.name: one for one in definitions}
        self._index = TypeIndex(self._definitions.values())
        self._excluded = excluded
        self._properties = properties
        self._registered = classes_by_name(self._definitions.values())

    def candidates(self, requested: Any, qualifier: str | None = None) -> tuple[BeanDefinition, ...]:
        """Return the definitions that satisfy a type and a qualifier, in the order of registration."""
        found = self._index.candidates(requested)
        if qualifier is None:
            return found
        return tuple(one for one in found if qualifier == one.name or qualifier in one.qualifiers)

    def choose(
        self,
        requested: Any,
        qualifier: str | None = None,
        *,
        parameter: str | None = None,
        required_by: str | None = None,
        without: str | None = None,
    ) -> BeanDefinition:
        """Return the one bean meant: by qualifier, primary, not fallback, and at last the parameter's name.

        Raises:
            NoSuchBeanError: No bean fits.
            NoUniqueBeanError: Several do, and nothing decides.
        """
        found = self.candidates(requested, qualifier)
        found = tuple(one for one in found if one.name != without) or found
        if len(found) == 1:
            return found[0]
        wanted = f"type {name_of(requested)}" + (
            "" if qualifier is None else f" with qualifier {qualifier!r}"
        )
        if not found:
            raise NoSuchBeanError(wanted, required_by=required_by, hints=self._hints(requested, qualifier))
        primaries = [one for one in found if one.primary]
        ordinary = [one for one in found if not one.fallback]
        for preferred in (primaries, ordinary, [one for one in found if one.name == parameter]):
            if len(preferred) == 1:
                return preferred[0]
            if preferred is primaries and primaries:
                break
        raise NoUniqueBeanError(
            wanted,
            [(one.name, str(one)) for one in found],
            required_by=required_by,
            primaries=len(primaries),
        )

    def named(self, name: str, required_by: str | None = None) -> BeanDefinition:
        """Return the bean of a name.

        Raises:
            NoSuchBeanError: There is none.
        """
        try:
            return self._definitions[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._definitions, 1)
            hints = [f"did you mean: {near[0]}?"] if near else []
            left_out = {one: why for one, why in self._excluded.items() if one.name == name}
            hints = [*_left_out(left_out)] if left_out else hints
            raise NoSuchBeanError(f"name {name!r}", required_by=required_by, hints=hints) from None

    def plan(
        self, definition: BeanDefinition, *, assuming: bool = False
    ) -> tuple[Plan, list[ContainerError]]:
        """Return how a bean is made, and everything that is wrong with it; the plan is whole if nothing is.

        With `assuming`, what is no bean but may be given to the bean's scope when that opens is taken to be.
        """
        problems: list[ContainerError] = [*flaws(definition)]
        arguments: list[Argument] = []
        try:
            parameters = self._parameters(definition)
        except AnnotationError as error:
            return Plan(definition), [*problems, error]
        for parameter in parameters:
            try:
                argument = self._argument(definition, parameter, assuming)
            except ContainerError as error:
                problems.append(error)
            else:
                arguments += () if argument is None else (argument,)
        needs = [] if definition.owner is None else [definition.owner]
        for name in definition.depends_on:
            try:
                needs.append(self.named(name, f"depends_on of {definition}").name)
            except ContainerError as error:
                problems.append(error)
        needs += (target for one in arguments if not one.lazy for target in one.targets)
        if is_settings(definition.factory):
            instance, wrong = self._properties.read(settings_class(definition))
            definition = replace(definition, factory=functools.partial(_same, instance))
            problems += wrong
        if definition.kind is FactoryKind.PROVIDER:
            problems += _undefined(definition)
        return Plan(definition, tuple(arguments), tuple(dict.fromkeys(needs))), problems

    def plans(self) -> tuple[dict[str, Plan], list[ContainerError]]:
        """Return the plans of all beans, and everything that is wrong with them, circles included."""
        plans: dict[str, Plan] = {}
        problems: list[ContainerError] = []
        for definition in self._definitions.values():
            plans[definition.name], wrong = self.plan(definition, assuming=True)
            problems += wrong
        plans.update((one.name, Plan(one)) for one in self._assumed.values())
        problems += circles(plans)
        problems += self._scopes.unknown(plans)
        problems += mismatches(plans, reaches(plans, self._scopes), self._scopes)
        self._plans = plans
        return plans, problems

    def scopes_of(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return the scopes in which a bean, and what it holds, live, each with the way to the bean in it."""
        found: dict[str, tuple[str, ...]] = {}
        ways: dict[str, tuple[str, ...]] = {name: (name,)}
        queue = [name]
        plans = self._plans or self.plans()[0]
        for one in queue:
            plan, way = plans[one], ways[one]
            if plan.definition.scope not in (Scope.SINGLETON, Scope.PROTOTYPE):
                found.setdefault(plan.definition.scope, way)
            for needed in plan.needs:
                if needed not in ways:
                    ways[needed] = (*way, needed)
                    queue.append(needed)
        return found

    def _parameters(self, definition: BeanDefinition) -> tuple[Parameter, ...]:
        factory = definition.factory
        if definition.kind in NOT_CALLED or is_settings(factory):
            return ()
        if not isinstance(factory, type):
            method = definition.owner is not None
            return function_parameters(factory, definition.names, self._registered, method=method)
        bound = _bound_variables(factory) | _bound_variables(definition.type)
        return tuple(
            Parameter(one.name, substituted(one.annotation, bound), one.default, one.keyword)
            for one in constructor_parameters(factory, definition.names, self._registered)
        )

    def _argument(self, definition: BeanDefinition, parameter: Parameter, assuming: bool) -> Argument | None:
        where = f"parameter {parameter.name!r} of {definition}"
        value = read_value(parameter.annotation)
        if value is not None:
            return self._property(parameter, value, where)
        point = read_injection_point(parameter, where)
        if point is None:
            return _default(parameter)
        if point.shape is not Shape.ONE and not self.candidates(point.whole):
            collection = self._collection(definition, point)
            return collection if collection.targets or parameter.required else _default(parameter)
        requested = point.whole
        if not self._others(definition, point):
            if not parameter.required:
                return _default(parameter)
            if point.optional or point.empty_lazy:
                return Argument(parameter.name, parameter.keyword, lazy=not point.optional)
            itself = self.candidates(requested, point.qualifier)
            assumed = None if itself else self._assume(point, definition.scope, assuming)
            if assumed is not None:
                return Argument(parameter.name, parameter.keyword, targets=(assumed.name,), lazy=point.lazy)
        chosen = self.choose(
            requested,
            point.qualifier,
            parameter=parameter.name,
            required_by=where,
            without=None if point.lazy else definition.name,
        )
        return Argument(parameter.name, parameter.keyword, targets=(chosen.name,), lazy=point.lazy)

    def _assume(self, point: InjectionPoint, scope: str, assuming: bool) -> BeanDefinition | None:
        """Return the definition of what a scope must be given when it opens, where nothing says that it won't be."""
        wanted = point.type
        known = self._assumed.get(wanted) if isinstance(wanted, type) else None
        opens = scope in self._scopes.words and self._scopes.declared(scope) is None
        if not assuming or not opens or (known is not None and self._scopes.outlives(known.scope, scope)):
            return known if opens else None
        forgotten = not isinstance(wanted, type) or wanted.__module__ == "builtins" or stereotype_of(wanted)
        if point.qualifier is not None or forgotten or TypeIndex(self._excluded).candidates(wanted):
            return None
        self._assumed[wanted] = define_given(wanted, scope)
        return self._assumed[wanted]

    def _property(self, parameter: Parameter, value: Value, where: str) -> Argument | None:
        annotation = parameter.annotation
        found = self._properties.find(value.name)
        if found is not None:
            constant = self._properties.converted(found, annotation, where)
        elif value.default is not REQUIRED:
            constant = value.default
        elif not parameter.required:
            return _default(parameter)
        elif allows_none(annotation):
            constant = None
        else:
            raise PropertyError(
                value.name,
                type_name(annotation),
                "isn't set",
                places=self._properties.places(value.name),
                required_by=where,
                fix="set it, or give Value a default",
            )
        return Argument(parameter.name, parameter.keyword, constant=constant)

    def _others(self, definition: BeanDefinition, point: InjectionPoint) -> bool:
        """Whether there is a bean for a parameter besides the one that has the parameter."""
        found = self.candidates(point.whole, point.qualifier)
        return len(found) > 1 or any(point.lazy or one.name != definition.name for one in found)

    def _collection(self, definition: BeanDefinition, point: InjectionPoint) -> Argument:
        found = [one for one in self.candidates(point.type, point.qualifier) if one.name != definition.name]
        found.sort(key=lambda one: one.order)
        targets = tuple(one.name for one in found)
        return Argument(point.parameter.name, point.parameter.keyword, point.shape, targets, point.lazy)

    def _hints(self, requested: Any, qualifier: str | None) -> Iterator[str]:
        fitting = self.candidates(requested) if qualifier is not None else ()
        if fitting:
            known = sorted({word for one in fitting for word in (one.name, *one.qualifiers)})
            yield f"there are some of this type, with the qualifiers: {', '.join(known)}"
            return
        left_out = TypeIndex(self._excluded).candidates(requested)
        if left_out:
            yield from _left_out({one: self._excluded[one] for one in left_out})
            return
        name = name_of(requested)
        for twin in self._registered.get(name, ()):
            if _identity(twin) == _identity(requested):
                yield f"{name} was imported twice, as {twin.__module__} and as {requested.__module__}"
                yield "fix: use one of the two names only; for __main__, move the class to a module of its own"
                return
        near = difflib.get_close_matches(name, self._registered, 1)
        if near:
            module = self._registered[near[0]][0].__module__
            yield f"did you mean: {near[0]}?" if near[0] != name else f"did you mean: {module}.{name}?"
        elif qualifier is None and isinstance(requested, type):
            yield "fix: name a class of this type among the sources, or a configuration with a @bean method for it"


NOT_CALLED = (FactoryKind.INSTANCE, FactoryKind.PROVIDER, FactoryKind.GIVEN)


def classes_by_name(definitions: Iterable[BeanDefinition]) -> Names:
    """Return the classes of some definitions by their plain names."""
    found: dict[str, tuple[type, ...]] = {}
    for one in definitions:
        add_classes(found, one)
    return found


def add_classes(found: dict[str, tuple[type, ...]], definition: BeanDefinition) -> None:
    """Put the classes of one more definition to those found by their plain names."""
    for cls in {definition.type, definition.factory}:
        if isinstance(cls, type) and cls not in found.get(cls.__name__, ()):
            found[cls.__name__] = (*found.get(cls.__name__, ()), cls)


def circles(plans: Mapping[str, Plan]) -> list[ContainerError]:
    """Return an error for each circle among beans that need each other."""
    found: list[ContainerError] = []
    finished: set[str] = set()
    for start in plans:
        way: dict[str, Iterator[str]] = {}
        name: str | None = start if start not in finished else None
        while name is not None:
            if name in way:
                names = list(way)
                circle = [*names[names.index(name) :], name]
                found.append(CircularDependencyError([(one, str(plans[one].definition)) for one in circle]))
            elif name not in finished:
                way[name] = iter(plans[name].needs if name in plans else ())
            name = None
            while way and name is None:
                last = next(reversed(way))
                name = next(way[last], None)
                if name is None:
                    finished.add(last)
                    del way[last]
    return found


def dependencies_first(plans: Mapping[str, Plan]) -> list[str]:
    """Return the names of all beans, each after those it needs; there must be no circle."""
    done: dict[str, None] = {}
    for start in plans:
        stack = [start]
        while stack:
            name = stack[-1]
            missing = () if name in done else [one for one in plans[name].needs if one not in done]
            if missing:
                stack += missing
            else:
                done[stack.pop()] = None
    return list(done)


def _left_out(reasons: Mapping[BeanDefinition, str]) -> Iterator[str]:
    """Yield what excludes beans, each in a line, and what to do about it."""
    yield from (f"{one} exists but is excluded by {reason}" for one, reason in reasons.items())
    if any(reason.rpartition(", by ")[2].startswith("profile ") for reason in reasons.values()):
        yield "fix: start with profiles=[...] in which it exists, or register another bean for those that are active"
    else:
        yield "fix: let its condition hold, or register another bean for where it doesn't"


def _undefined(definition: BeanDefinition) -> Iterator[ContainerError]:
    provider: Any = definition.factory
    for name, wanted in provider.undefined:
        yield NoSuchBeanError(
            f"type {name_of(wanted)} for dependency {name!r}",
            required_by=str(definition),
            hints=["fix: provide it where the adopted container is made, or override it there"],
        )


def _same(instance: object) -> object:
    return instance


def _default(parameter: Parameter) -> Argument | None:
    if parameter.keyword:
        return None
    return Argument(parameter.name, keyword=False, constant=parameter.default)


def _bound_variables(given: Any) -> dict[Any, Any]:
    bound: dict[Any, Any] = {}
    if Generic not in getattr(typing.get_origin(given) or given, "__mro__", ()):
        return bound
    for supertype, arguments in supertypes(given).items():
        bound.update(zip(getattr(supertype, "__parameters__", ()), arguments, strict=False))
    return {variable: value for variable, value in bound.items() if variable is not value}


def _identity(cls: Any) -> tuple[str, str]:
    module: str = getattr(cls, "__module__", "")
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = module if spec is None else spec.name
    return module, getattr(cls, "__qualname__", repr(cls))
