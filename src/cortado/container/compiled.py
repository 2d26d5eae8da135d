"""Recipes as code: a graph of plain beans is built by one function, without a step that only leads to the next."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cortado.container.creations import creating
from cortado.container.definitions import FactoryKind
from cortado.container.injection import Shape
from cortado.container.recipes import NOT_READY, Given, Recipe, hooks_of
from cortado.container.stereotypes import HookKind

__all__ = ["Bail", "Build", "CompiledPlan", "plan_of"]


class Bail(Exception):
    """A compiled plan can't go on: something that it needs isn't there, or another thread came in between."""


class Progress(Protocol):
    """What a compiled plan tells of its way."""

    recipe: Recipe
    """Whose factory runs."""
    disturbed: bool
    """Whether somebody else creates beans of the same lifetime now."""
    around: object
    """The scope of whoever asks, in which a prototype is made."""


class Holder(Protocol):
    """What a compiled plan needs of a lifetime."""

    def given(self, wanted: type) -> object:
        """Return what the lifetime, or one around it, was given of a type."""
        ...

    def kept(self, recipe: Recipe) -> object:
        """Return an instance that this lifetime, or one around it, keeps."""
        ...


Active = ContextVar[Any]
Build = Callable[[Holder, dict[Recipe, object], Progress, Active], object]


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """How a bean of a scope is had, once the singletons are there."""

    before: tuple[Recipe, ...]
    """What has to be created by itself, in this order: what is awaited, or has something to be done at its end."""
    build: Build
    """Creates what is missing of the rest, and returns the bean; or, where the bean is to be created by itself, the
    arguments for its `Recipe.make`, or None where only `Recipe.build` finds them.

    It is called in a context of its own.

    Raises Bail where it can't go on; what it has created until then stays."""
    whole: bool
    """Whether `build` returns the bean."""


def plan_of(recipe: Recipe) -> CompiledPlan:
    """Return the plan for a bean that is kept by its scope, or needs one; made once."""
    plan: CompiledPlan | None = recipe.compiled
    if plan is None:
        plan = recipe.compiled = NO_PLAN if recipe.is_singleton else _compiled(recipe)
    return plan


def _compiled(recipe: Recipe) -> CompiledPlan:
    try:
        order = tuple(_inside(recipe))
    except _NotCompilable:
        return NO_PLAN
    writer = _Writer(recipe.home)
    whole = is_plain(recipe)
    if not whole:
        for one in _around(order):
            writer.value(one)
    before: list[Recipe] = []
    for one in order:
        if not is_plain(one):
            if one is not recipe:
                before.append(one)
        elif one.cached:
            writer.create(one)
    if whole:
        if not recipe.cached:
            writer.line("active.set(progress.around)")
        writer.line(f"return {writer.value(recipe)}")
    elif type(recipe) is Recipe and all(one.cached or isinstance(one, Given) for one in recipe.inputs):
        writer.line(f"return {writer.arguments(recipe, 1)}")
    else:
        writer.line("return None")
    return CompiledPlan(tuple(before), writer.build(), whole)


def _bail(*_: object) -> object:
    raise Bail


NO_PLAN: Final = CompiledPlan((), _bail, whole=False)
"""Stands for a plan that can't be made."""


PREFACE: Final = (
    "def build(lifetime, instances, progress, active):",
    "    creating.set(progress)",
    "    active.set(lifetime)",
)


class _NotCompilable(Exception):
    """Something among the inputs isn't known until it is asked for."""


def is_plain(recipe: Recipe) -> bool:
    """Whether creating an instance is calling its class, and nothing is to be done at its end."""
    cls = recipe.definition.factory
    return (
        type(recipe) is Recipe
        and recipe.definition.kind is FactoryKind.CLASS
        and isinstance(cls, type)
        and inspect.getattr_static(type(cls), "__call__") is vars(type)["__call__"]
        and inspect.getattr_static(cls, "__new__") is vars(object)["__new__"]
        and not any(hooks_of(cls, kind) for kind in HookKind)
    )


def _inside(recipe: Recipe) -> Iterator[Recipe]:
    """Yield a recipe and those below it that are of its own scope, or are no more than a call, inputs first."""
    seen: set[Recipe] = set()
    stack = [(recipe, False)]
    while stack:
        one, entered = stack.pop()
        if entered:
            yield one
        elif one not in seen:
            seen.add(one)
            if _is_looked_up(one, recipe.home):
                continue
            if not one.cached and not is_plain(one):
                raise _NotCompilable
            stack.append((one, True))
            stack += ((each, False) for each in reversed(one.inputs))


def _around(order: Iterable[Recipe]) -> Iterator[Recipe]:
    """Yield what has to exist before some recipes are used."""
    inside = frozenset(order)
    around = (each for one in inside for each in one.inputs if each not in inside)
    return (one for one in dict.fromkeys(around) if not isinstance(one, Given))


def _is_looked_up(recipe: Recipe, home: str) -> bool:
    """Whether an instance is none of a scope's own."""
    return recipe.is_singleton or isinstance(recipe, Given) or (recipe.cached and recipe.home != home)


@dataclass(slots=True)
class _Writer:
    """Writes the source of a plan."""

    home: str
    lines: list[str] = field(default_factory=list)
    names: dict[str, object] = field(default_factory=dict)
    places: dict[Recipe, str] = field(default_factory=dict)

    def line(self, text: str, depth: int = 1) -> None:
        self.lines.append("    " * depth + text)

    def name(self, thing: object) -> str:
        """Return a name under which the code finds an object."""
        name = f"x{len(self.names)}"
        self.names[name] = thing
        return name

    def create(self, recipe: Recipe) -> None:
        """Write what creates an instance that is kept, unless it is there."""
        place = f"b{len(self.places)}"
        key = self.name(recipe)
        self.line(f"{place} = instances.get({key}, M)")
        self.line(f"if {place} is M:")
        call = self.call(recipe, 2)
        self.line(f"progress.recipe = {key}", 2)
        self.line("if progress.disturbed: raise Bail", 2)
        self.line(f"{place} = instances[{key}] = {call}", 2)
        self.places[recipe] = place

    def call(self, recipe: Recipe, depth: int) -> str:
        """Return the call of a factory, after writing what its arguments need."""
        positional, keywords = self._values(recipe, depth)
        values = [*positional, *(f"{name}={value}" for name, value in keywords.items())]
        return f"{self.name(recipe.definition.factory)}({_joined(values)})"

    def arguments(self, recipe: Recipe, depth: int) -> str:
        """Return a factory's positional arguments and keyword arguments as a pair, after writing what they need."""
        positional, keywords = self._values(recipe, depth)
        return f"({_shaped(Shape.LIST, dict(enumerate(positional)))}, {_shaped(Shape.DICT, keywords)})"

    def _values(self, recipe: Recipe, depth: int) -> tuple[list[str], dict[str, str]]:
        held = {target for argument, lazy in recipe.arguments if lazy is None for target in argument.targets}
        owner = recipe.definition.owner
        for name in recipe.needs:
            if name not in held and name != owner:  # it has to exist, and isn't handed over
                self.value(recipe.input(name), depth)
        positional = [] if owner is None else [self.value(recipe.input(owner), depth)]
        keywords: dict[str, str] = {}
        for argument, lazy in recipe.arguments:
            if lazy is not None:
                value = self.name(lazy)
            elif not argument.targets:
                value = self.name(argument.constant) if argument.shape is Shape.ONE else EMPTY[argument.shape]
            else:
                found = [self.value(recipe.input(name), depth) for name in argument.targets]
                value = _shaped(argument.shape, dict(zip(argument.targets, found, strict=True)))
            if argument.keyword:
                keywords[argument.parameter] = value
            else:
                positional.append(value)
        return positional, keywords

    def value(self, recipe: Recipe, depth: int = 1) -> str:
        """Return the expression for an instance, after writing what it needs."""
        if recipe in self.places:
            return self.places[recipe]
        if not recipe.cached and not isinstance(recipe, Given):
            call = self.call(recipe, depth)
            place = f"p{len(self.names)}"
            self.line(f"progress.recipe = {self.name(recipe)}", depth)
            self.line(f"{place} = {call}", depth)
            return place
        place = f"v{len(self.names)}"
        if isinstance(recipe, Given):
            source = f"lifetime.given({self.name(recipe.definition.type)})"
        elif recipe.is_singleton:
            source = f"{self.name(recipe)}.instance"
        elif recipe.home == self.home:
            source = f"instances.get({self.name(recipe)}, M)"
        else:
            source = f"lifetime.kept({self.name(recipe)})"
        self.line(f"{place} = {source}", depth)
        self.line(f"if {place} is M: raise Bail", depth)
        return place

    def build(self) -> Build:
        """Return the function."""
        source = "\n".join((*PREFACE, *self.lines))
        namespace: dict[str, Any] = {**self.names, "M": NOT_READY, "Bail": Bail, "creating": creating}
        exec(compile(source, "<compiled plan>", "exec"), namespace)  # noqa: S102 - every name in it is made here
        built: Build = namespace["build"]
        return built


EMPTY: Final[Mapping[Shape, str]] = {Shape.LIST: "[]", Shape.TUPLE: "()", Shape.DICT: "{}"}


def _shaped(shape: Shape, found: Mapping[Any, str]) -> str:
    if shape is Shape.DICT:
        return "{" + ", ".join(f"{name!r}: {value}" for name, value in found.items()) + "}"
    joined = _joined(found.values())
    if shape is Shape.LIST:
        return f"[{joined}]"
    return f"({joined},)" if shape is Shape.TUPLE else joined


def _joined(values: Iterable[str]) -> str:
    return ", ".join(values)
