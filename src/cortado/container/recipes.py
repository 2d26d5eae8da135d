"""How instances are made: one recipe for each bean and each set of overrides that reaches it."""

import inspect
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast

from cortado.container.asking import answer
from cortado.container.definitions import BeanDefinition, FactoryKind, Scope
from cortado.container.errors import AsyncBeanError
from cortado.container.injection import Shape
from cortado.container.markers import Lazy
from cortado.container.plans import Argument, Plan
from cortado.container.stereotypes import Hook, HookKind
from cortado.metadata import own_record

__all__ = [
    "NOT_READY",
    "Built",
    "Foreign",
    "Given",
    "Outsider",
    "Provided",
    "Recipe",
    "Step",
    "at_once",
    "hooks_of",
]

logger = logging.getLogger("cortado.container")

T = TypeVar("T")

Step = Callable[[], object]


class _NotReady:
    def __repr__(self) -> str:
        return "NOT_READY"


NOT_READY: Final = _NotReady()
"""Stands for an instance that can't be had without waiting."""


class Built(NamedTuple):
    """An instance, and what has to be done at its end, first step first."""

    instance: object
    ending: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Hooked:
    """The hooks of a class, by name, in the order in which they run."""

    cls: type
    post_construct: tuple[str, ...]
    pre_destroy: tuple[str, ...]


class Outsider(Protocol):
    """What is needed of a provider that belongs to an adopted container."""

    @property
    def in_force(self) -> object:
        """The provider that answers: this one, or its user's override."""
        ...

    @property
    def overriding(self) -> frozenset[object]:
        """The user's override in force, if there is one."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether it makes what it returns once."""
        ...

    @property
    def opens(self) -> bool:
        """Whether it opens a resource now that is ours to close."""
        ...

    def __call__(self) -> object:
        """Return the bean, or what has to be awaited for it."""
        ...

    def ending(self) -> tuple[Step, ...]:
        """Return what closes that which has been opened now."""
        ...

    def begin(self) -> None:
        """Begin a life of the container."""
        ...

    def divert(self, bean: object, /) -> None:
        """Have the adopted container get what stands in for the bean."""
        ...

    def restore(self) -> None:
        """Take `divert` back."""
        ...


NO_HOOKS: Final = Hooked(object, (), ())


class Recipe:
    """How one bean is made of the instances of others, with the overrides of its time.

    The same plan over the same inputs is the same recipe, so an instance belongs to exactly the beans it holds.

    Attributes:
        home: The scope that keeps the instance; of what isn't kept, the scope that it needs.
        cached: Whether the instance is kept.
        instance: The instance of a singleton; `NOT_READY` where there is none, and for every other recipe.
        arguments: What the factory is called with, the `Lazy` ones made already.
        compiled: What has been made of the recipe to speed it up, for whoever made it.
    """

    __slots__ = (
        "_hooked",
        "_inputs",
        "arguments",
        "cached",
        "compiled",
        "definition",
        "home",
        "inputs",
        "instance",
        "may_await",
        "must_await",
        "outside",
        "tokens",
    )

    def __init__(
        self,
        plan: Plan,
        inputs: Sequence["Recipe"],
        lazy: Callable[[Argument], Lazy[object]],
        token: object = None,
        home: str = Scope.SINGLETON,
    ) -> None:
        self.definition: BeanDefinition = plan.definition
        self.inputs = tuple(inputs)
        self.home = home
        self.instance: object = NOT_READY
        self.cached = plan.definition.scope != Scope.PROTOTYPE
        self.compiled: Any = None
        self.must_await: bool = _awaits(plan.definition) or any(
            not one.cached and one.must_await for one in inputs
        )
        self.may_await: bool = (
            self.must_await
            or plan.definition.kind in HIDING_HOOKS
            or any(not one.cached and one.may_await for one in inputs)
        )
        self.tokens: frozenset[object] = frozenset().union(
            *(one.tokens for one in inputs), () if token is None else (token,)
        )
        self.outside: dict[Outsider, object] = {}
        """What was in force, when this recipe was made, of the providers of adopted containers that it reaches."""
        for one in inputs:
            self.outside.update(one.outside)
        self._hooked = NO_HOOKS
        self._inputs = dict(zip(plan.needs, inputs, strict=True))
        self.arguments = [(one, lazy(one) if one.lazy else None) for one in plan.arguments]

    @property
    def stale(self) -> bool:
        """Whether an override in an adopted container asks for another recipe."""
        return any(provider.in_force is not known for provider, known in self.outside.items())

    @property
    def is_singleton(self) -> bool:
        """Whether the container itself keeps the instance."""
        return self.cached and self.home == Scope.SINGLETON

    @property
    def needs(self) -> Iterable[str]:
        """The names of the beans that are needed, in the order of `inputs`."""
        return self._inputs

    def input(self, name: str) -> "Recipe":
        """Return the recipe of one of the beans that are needed."""
        return self._inputs[name]

    async def build(self, value_of: Callable[["Recipe"], Awaitable[object]]) -> Built:
        """Create an instance, with `value_of` supplying those it needs, and run its `post_construct` hooks.

        If a hook fails, what the factory opened is closed again.
        """
        return await self.make(*await self._supplied(value_of))

    async def make(self, positional: Sequence[object], keywords: Mapping[str, object]) -> Built:
        """Create an instance with the arguments given, and run its `post_construct` hooks.

        If a hook fails, what the factory opened is closed again.
        """
        kind, made = self.definition.kind, self.definition.factory(*positional, **keywords)
        ending: tuple[Step, ...] = ()
        if kind is FactoryKind.ASYNC_GENERATOR:
            made, ending = await _aentered(cast(AsyncGenerator[object, None], made), self.definition)
        elif kind is FactoryKind.GENERATOR:
            made, ending = _entered(cast(Generator[object, None, None], made), self.definition)
        elif kind in CLOSED_BY_METHOD:
            made = await made if kind is FactoryKind.COROUTINE else made
            ending = _inferred_ending(made)
        elif kind is FactoryKind.INSTANCE:
            return Built(made, ())
        hooked = self._hooked if self._hooked.cls is type(made) else self._hooks_of(type(made))
        if hooked.post_construct:
            try:
                for hook in hooked.post_construct:
                    await _settled(getattr(made, hook)())
            except BaseException:
                await _undo(ending, self.definition)
                raise
        if hooked.pre_destroy:
            destroyers = [getattr(made, hook) for hook in hooked.pre_destroy]
            ending = (*destroyers, *(step for step in ending if step not in destroyers))
        return Built(made, ending)

    def _hooks_of(self, cls: type) -> "Hooked":
        """Return the hooks of a class; nearly always of the same, so one is kept."""
        down = hooks_of(cls, HookKind.PRE_DESTROY)
        self._hooked = Hooked(cls, hooks_of(cls, HookKind.POST_CONSTRUCT), tuple(reversed(down)))
        return self._hooked

    async def _supplied(
        self, value_of: Callable[["Recipe"], Awaitable[object]]
    ) -> tuple[list[object], dict[str, object]]:
        owner = self.definition.owner
        positional: list[object] = [] if owner is None else [await value_of(self._inputs[owner])]
        keywords: dict[str, object] = {}
        for argument, lazy in self.arguments:
            if lazy is not None:
                value: object = lazy
            else:
                given = {name: await value_of(self._inputs[name]) for name in argument.targets}
                value = shaped(argument, given)
            if argument.keyword:
                keywords[argument.parameter] = value
            else:
                positional.append(value)
        return positional, keywords


class Given(Recipe):
    """An object that a scope is given when it opens; looked up there at each request for it."""

    __slots__ = ()

    def __init__(self, definition: BeanDefinition) -> None:
        super().__init__(Plan(definition), (), _no_lazy, home=definition.scope)
        self.cached = False


class Foreign(Recipe):
    """A bean overridden with a provider of the user's own, which is called at each request for the bean."""

    __slots__ = ("_provider",)

    def __init__(self, definition: BeanDefinition, provider: Callable[[], object]) -> None:
        super().__init__(Plan(definition), (), _no_lazy, provider)
        self.cached, self.must_await, self.may_await = False, False, True
        self._provider = provider

    async def build(self, value_of: Callable[[Recipe], Awaitable[object]]) -> Built:  # noqa: ARG002 - it needs none
        """Return what the provider returns, awaited where it has to be."""
        return Built(await answer(self._provider), ())


class Opened(Recipe):
    """The first request to a provider that keeps what it makes, and the end of the resource that it opens."""

    __slots__ = ("_provider",)

    def __init__(self, definition: BeanDefinition, inputs: Sequence[Recipe], provider: Outsider) -> None:
        super().__init__(Plan(definition), (), _no_lazy)
        self.inputs, self.cached = tuple(inputs), True
        self.must_await, self.may_await = False, True
        self._provider = provider

    async def build(self, value_of: Callable[[Recipe], Awaitable[object]]) -> Built:  # noqa: ARG002 - they are there
        """Ask the provider, whose own inputs are open; what cancels this cancels the opening of a resource, too."""
        opens = self._provider.opens
        value = await _settled(self._provider()) if opens else await answer(self._provider)
        return Built(value, self._provider.ending())


class Provided(Foreign):
    """A bean of an adopted container: opened once, where that matters, and then asked for at each request."""

    __slots__ = ()

    def __init__(self, definition: BeanDefinition, inputs: Sequence[Recipe], provider: Outsider) -> None:
        super().__init__(definition, provider)
        self.tokens = frozenset().union(provider.overriding, *(one.tokens for one in inputs))
        self.outside = {provider: provider.in_force}
        for one in inputs:
            self.outside.update(one.outside)
        self.inputs = (Opened(definition, inputs, provider),) if provider.keeps else tuple(inputs)


CLOSED_BY_METHOD = (FactoryKind.FUNCTION, FactoryKind.COROUTINE)
HIDING_HOOKS = (FactoryKind.FUNCTION, FactoryKind.GENERATOR)
"""What they make may be of a class with an async hook that their annotation, an interface, says nothing of."""


def at_once(work: Coroutine[Any, Any, T], name: str) -> T:
    """Return the result of a coroutine that comes to its end without waiting.

    Raises:
        AsyncBeanError: It has to wait; it was ended instead.
    """
    try:
        work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    try:
        work.throw(AsyncBeanError(name, name))
    except StopIteration:
        pass
    finally:
        work.close()
    raise AsyncBeanError(name, name)


def shaped(argument: Argument, given: dict[str, object]) -> object:
    """Return the beans of an argument in the form it asks for."""
    if argument.shape is Shape.DICT:
        return given
    if argument.shape is Shape.LIST:
        return list(given.values())
    if argument.shape is Shape.TUPLE:
        return tuple(given.values())
    return next(iter(given.values())) if given else argument.constant


def _no_lazy(argument: Argument) -> Lazy[object]:
    raise AssertionError(argument)


def _awaits(definition: BeanDefinition) -> bool:
    if definition.kind in (FactoryKind.INSTANCE, FactoryKind.GIVEN):
        return False
    cls = definition.factory if isinstance(definition.factory, type) else definition.type
    if not isinstance(cls, type):
        return definition.kind.awaits
    hooks = (inspect.getattr_static(cls, name) for name in hooks_of(cls, HookKind.POST_CONSTRUCT))
    return definition.kind.awaits or any(inspect.iscoroutinefunction(hook) for hook in hooks)


def hooks_of(cls: type, kind: HookKind) -> tuple[str, ...]:
    """Return the names of a class's hooks of one kind, its parents' first."""
    found: dict[str, None] = {}
    for base in reversed(cls.__mro__[:-1]):
        for name, member in vars(base).items():
            if inspect.isfunction(member):
                hooks = own_record(member, Hook)
                if hooks is not None and hooks.kind is kind:
                    found[name] = None
    return tuple(found)


async def _settled(result: object) -> object:
    return await result if inspect.isawaitable(result) else result


async def _undo(ending: Sequence[Step], definition: BeanDefinition) -> None:
    for step in ending:
        try:
            await _settled(step())
        except Exception:
            logger.exception("bean %s could not be closed after its creation failed", definition)


def _entered(
    generator: Generator[object, None, None], definition: BeanDefinition
) -> tuple[object, tuple[Step, ...]]:
    def resume() -> None:
        try:
            next(generator)
        except StopIteration:
            return
        generator.close()
        raise RuntimeError(f"{definition.location} yields more than once")

    try:
        return next(generator), (resume,)
    except StopIteration:
        raise RuntimeError(f"{definition.location} ends without a yield") from None


async def _aentered(
    generator: AsyncGenerator[object, None], definition: BeanDefinition
) -> tuple[object, tuple[Step, ...]]:
    async for made in generator:
        return made, (partial(_resumed, generator, definition),)
    raise RuntimeError(f"{definition.location} ends without a yield")


async def _resumed(generator: AsyncGenerator[object, None], definition: BeanDefinition) -> None:
    async for _ in generator:
        await generator.aclose()
        raise RuntimeError(f"{definition.location} yields more than once")


def _inferred_ending(instance: object) -> tuple[Step, ...]:
    for name in ("aclose", "close"):
        if callable(getattr(type(instance), name, None)):
            return (cast(Step, getattr(instance, name)),)
    return ()
