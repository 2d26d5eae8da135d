"""The container: what is registered, and the one life of what is made of it."""

import asyncio
import enum
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack, cast, overload

from cortado.container.annotations import behind, enclosing_names
from cortado.container.creations import within_creation
from cortado.container.definitions import BeanDefinition, FactoryKind, Scope, Stereotype
from cortado.container.drawing import draw
from cortado.container.errors import (
    AnnotationError,
    AsyncBeanError,
    ContainerError,
    ContextClosedError,
    DuplicateBeanError,
    NoActiveScopeError,
    OverrideTypeError,
    ScopeCloseError,
)
from cortado.container.events import Listeners, announcing, is_announced_to
from cortado.container.graph import Bean, Graph, OverridableProvider
from cortado.container.injection import name_of
from cortado.container.lifetimes import Lifetime
from cortado.container.markers import Lazy
from cortado.container.plans import Argument, Plan
from cortado.container.profiles import active_profiles
from cortado.container.recipes import NOT_READY, Recipe, shaped
from cortado.container.registration import (
    bean_methods,
    conditions_of,
    define_class,
    define_factory,
    define_given,
    define_instance,
    factory_kind,
    location_of,
)
from cortado.container.scanner import scan
from cortado.container.scoped import BeanScope
from cortado.container.scopes import Scopes
from cortado.container.selection import Unreadable, facts_of, select
from cortado.container.stereotypes import BeanOptions, read_options
from cortado.container.teardown import noted, raise_all, report, uninterrupted, within
from cortado.container.wiring import Wiring, add_classes
from cortado.exceptions import ConfigurationError, StartupError
from cortado.settings import Settings
from cortado.tasks import was_cancelled

__all__ = ["NOT_READY", "BeanResolver", "Container", "ContextClosing", "ContextReady"]

T = TypeVar("T")


class State(enum.Enum):
    """Where a container is in its life; the value reads after "the container is"."""

    NEW = "not started"
    STARTING = "starting"
    RUNNING = "running"
    CLOSING = "about to stop"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Container:
    """Beans: registered, checked together at start, created at first use, and ended in order at the stop.

    Args:
        sources: Classes, factories, names of packages to scan, and dependency-injector containers.
        settings: The application's settings; injectable as `Settings`.
        profiles: The active profiles; "default" where there are none.
        allow_overriding: Whether a bean may take the name, and the place, of an earlier one.
        close_timeout: How long each listener of `ContextClosing`, each finaliser, and each creation under way at the
            stop may take, in seconds.

    Attributes:
        di: The dependency-injector container underneath, with one provider for each bean; what profiles and conditions
            exclude is gone from it when the container has started.
        profiles: The active profiles.

    Raises:
        ConfigurationError: A source or an option is none of those allowed.
        ScanError: A module of a package can't be imported.
    """

    def __init__(
        self,
        *sources: Any,
        settings: Settings | Mapping[str, Any] | None = None,
        profiles: Iterable[str] = (),
        allow_overriding: bool = False,
        close_timeout: float = 10.0,
    ) -> None:
        from dependency_injector.containers import DynamicContainer

        from cortado.container.adoption import adopted, is_adoptable

        self.settings = Settings.of(settings)
        self.profiles = active_profiles(profiles)
        self.di = DynamicContainer()
        self._allow_overriding = allow_overriding
        self._close_timeout = close_timeout
        self._state = State.NEW
        self._registered: dict[tuple[str, object], Bean] = {}
        self._classes: dict[str, tuple[type, ...]] = {}
        self._names: set[str] = set()
        self._beans: dict[str, Bean] = {}
        self._unreadable: dict[Callable[..., Any], Unreadable] = {}
        self._problems: list[ContainerError] = []
        self._wiring: Wiring | None = None
        self._found: dict[Any, Bean] = {}
        self._listeners = Listeners()
        self._graph: Graph | None = None
        self._scopes = Scopes()
        self.lifetime = Lifetime.root(close_timeout)
        self._binding = threading.RLock()
        self._turn = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        for own, name in ((self, "cortado_container"), (self.settings, "cortado_settings")):
            self._add(define_instance(own, name=name))
        self._own = frozenset(name for name, _ in self._registered)
        for source in sources:
            if isinstance(source, str):
                self.scan(source)
            elif is_adoptable(source):
                for definition in adopted(source):
                    self._add(definition)
            else:
                self.register(source)

    def register(self, source: Any, /, **options: Unpack[BeanOptions]) -> None:
        """Register a class, or a function that makes a bean of the type in its return annotation.

        Either may stand in a `functools.partial`, whose own arguments aren't injected. A class needs no stereotype.
        The options win over those of its decorators. Of a configuration, its `@bean` methods are registered too.
        Registering the same class again under the same name changes nothing.

        Raises:
            ConfigurationError: The source is neither, an option is wrong, or the container is started.
        """
        self._check_open_for_registration()
        given, called = read_options(options), behind(source)
        definition: BeanDefinition | None
        if isinstance(source, type):
            definition = self._add(define_class(source, given))
        elif inspect.isroutine(called) or isinstance(called, type):
            definition = self._add_factory(source, options)
        else:
            raise ConfigurationError(
                f"{source!r} can't be a source of beans; give a class, a factory, or the name of a package, "
                "or hand over an object with register_instance()"
            )
        if isinstance(called, type) and definition and definition.stereotype is Stereotype.CONFIGURATION:
            for method in bean_methods(called):
                self._add_factory(method, {}, definition)

    def register_instance(self, instance: object, as_type: Any = None, name: str | None = None) -> None:
        """Register an object that exists already. The container never destroys it.

        Args:
            instance: The bean.
            as_type: The type under which it is found, instead of its class.
            name: Its name, instead of the type in snake_case.

        Raises:
            ConfigurationError: The container is started.
        """
        self._check_open_for_registration()
        self._add(define_instance(instance, as_type, name))

    def register_scope(
        self, name: str, within: Scope | str = Scope.SINGLETON, given: Iterable[type] | None = None
    ) -> None:
        """Add a scope of one's own, for beans with `scope=name`; `scope()` opens it.

        Args:
            name: One word.
            within: The scope around it: its beans may hold those of that scope and of all around that.
            given: The types of the objects that each such scope will be given, and of nothing else; then the start
                finds what is missing. When left out, what is no bean is taken to be given.

        Raises:
            ConfigurationError: The name is taken or no word, the scope around is unknown, or the container is started.
        """
        self._check_open_for_registration()
        self._scopes.register(name, within)
        if given is not None:
            self.register_given(name, *given)

    def register_given(self, scope: Scope | str, *types: type) -> None:
        """Say what every scope of a kind is given when it opens, so that the start finds what is missing.

        An application declares the `WebSocketSession` of its session scopes and the `Request` of its requests.

        Raises:
            ConfigurationError: The scope is unknown, something is no class, or the container is started.
        """
        self._check_open_for_registration()
        self._scopes.declare(scope, types)
        self._forget_wiring()

    def scan(self, package: str, exclude: Sequence[str] = ()) -> None:
        """Register every class with a stereotype in a package, or module, and all below it.

        Args:
            package: The dotted name.
            exclude: Names of modules that are left out with all they contain; `*` matches any characters.

        Raises:
            ScanError: A module can't be imported; nothing of the package is registered.
            ConfigurationError: The container is started.
        """
        self._check_open_for_registration()
        for cls in tuple(scan(package, exclude)):
            self.register(cls)

    def validate(self) -> list[ContainerError]:
        """Return everything that would keep the container from starting; creates nothing."""
        return self._planned()[1]

    async def start(self) -> None:
        """Check all beans together, create those with `lazy=False` by registration, and publish `ContextReady`.

        Does nothing when the container is running. A start that fails, or is cancelled, ends what it has created.
        A stopped container may be started again, with new instances. What a listener of `ContextReady` raises makes
        the start fail, and is raised.

        Raises:
            StartupError: `problems` holds everything that is wrong.
            ConfigurationError: A bean, listener or finaliser asks for which the container waits.
        """
        self._check_not_waiting_here()
        async with self._turn:
            if self._state is State.RUNNING:
                return
            plans, problems = self._planned()
            if problems:
                raise StartupError(problems)
            self.lifetime = Lifetime.root(self._close_timeout)
            self._graph = Graph(self._wired(), plans, self._beans, self._scopes, self._lazy)
            try:
                self._rebind()
                self._state = State.STARTING
                await self._warm()
                with announcing(self):
                    await self.publish(ContextReady(self))
            except BaseException as error:
                await self._undo()
                if isinstance(error, ContainerError):
                    raise StartupError([error]) from error
                raise
            self._state = State.RUNNING

    async def stop(self) -> None:
        """Publish `ContextClosing`, then end every instance, last completed first.

        Each listener and each finaliser runs by itself and within `close_timeout`. Runs to its end even when cancelled
        half-way; the cancellation goes on then. Does nothing when the container isn't running. Several callers wait for
        the same end.

        Raises:
            ScopeCloseError: Some listeners or finalisers failed; all were run.
            ConfigurationError: A bean, listener or finaliser asks for which the container waits.
        """
        self._check_not_waiting_here()
        cancelled: asyncio.CancelledError | None = None
        stopping: asyncio.Task[None] | None = None
        while (
            stopping is None or stopping.cancelled()
        ):  # again if it was cancelled early, as by the loop's own end
            if self._closing is None or self._closing.done():
                self._closing = asyncio.create_task(self._stop())
            stopping = self._closing
            try:
                await uninterrupted(stopping)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None and was_cancelled():
            raise cancelled

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        except ScopeCloseError as failed:
            if error is None or isinstance(error, Exception):
                raise
            report(failed.exceptions)  # a cancellation goes on

    @overload
    def get(self, bean: type[T], qualifier: str | None = None) -> T: ...

    @overload
    def get(self, bean: Any, qualifier: str | None = None) -> Any: ...

    def get(self, bean: Any, qualifier: str | None = None) -> Any:
        """Return the bean of a type or name, created now if need be. Any thread may call.

        Raises:
            NoSuchBeanError: There is none.
            NoUniqueBeanError: There are several, and nothing prefers one of them.
            AsyncBeanError: It, or a bean it needs, has to be awaited and isn't ready.
            BeanCreationError: It can't be created; the next call tries again.
            ContextClosedError: The container isn't running.
        """
        found = self.find(bean, qualifier)
        instance = _existing(found)
        return self._get(found) if instance is NOT_READY else instance

    @overload
    async def aget(self, bean: type[T], qualifier: str | None = None) -> T: ...

    @overload
    async def aget(self, bean: Any, qualifier: str | None = None) -> Any: ...

    async def aget(self, bean: Any, qualifier: str | None = None) -> Any:
        """Return the bean of a type or name, waiting for its creation if need be.

        Cancelling is safe: a creation under way goes on for the others who wait for it.

        Raises:
            NoSuchBeanError: There is none.
            NoUniqueBeanError: There are several, and nothing prefers one of them.
            BeanCreationError: It can't be created; the next call tries again.
            ContextClosedError: The container isn't running.
        """
        found = self.find(bean, qualifier)
        instance = _existing(found)
        return await self._aget(found) if instance is NOT_READY else instance

    @overload
    def get_all(self, bean: type[T]) -> list[T]: ...

    @overload
    def get_all(self, bean: Any) -> list[Any]: ...

    def get_all(self, bean: Any) -> list[Any]:
        """Return every bean of a type by order, then registration; raises what `get` raises."""
        found = sorted(self.candidates(bean), key=lambda one: one.order)
        return [self._get(self._beans[one.name]) for one in found]

    async def publish(self, event: object) -> None:
        """Tell an event to every listener for its type, one after another, in the caller's task and context.

        A listener's bean is created if need be; one that lives in a scope is told where such a scope is active. What a
        listener raises is raised here, and those after it aren't told. Cancelling cancels the listener that runs.
        Listeners may publish events themselves.

        Raises:
            ContextClosedError: The container isn't running.
            BeanCreationError: The bean of a listener can't be created.
        """
        if self._state not in (State.STARTING, State.RUNNING, State.CLOSING):
            what = f"an event of type {name_of(type(event))}"
            raise ContextClosedError(f"{what} can't be published", self._state.value)
        for listener in self._listeners.to(event):
            await listener.tell(event, self._listening)

    def listeners(self, event: type[T]) -> tuple[Callable[[T], Awaitable[None]], ...]:
        """Return what tells each listener of events of a class, in order; before the start too.

        For those who publish one kind of event often, or want to go on when a listener fails.
        """
        self._wired()
        return tuple(
            functools.partial(one.tell, resolve=self._listening) for one in self._listeners.of(event)
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of the registered beans in the order of registration."""
        return tuple(one.name for one in self.definitions())

    def definitions(self) -> tuple[BeanDefinition, ...]:
        """Return what is known of the registered beans in the order of registration; before the start too."""
        self._wired()
        return tuple(bean.definition for bean in self._beans.values() if self._is_theirs(bean.definition))

    def definition(self, name: str) -> BeanDefinition:
        """Return what is known of a bean.

        Raises:
            NoSuchBeanError: There is none of this name.
        """
        return self._wired().named(name)

    def candidates(self, type: Any) -> tuple[BeanDefinition, ...]:
        """Return the definitions that satisfy a type, in the order of registration; before the start too."""
        return self._wired().candidates(type)

    def scope(self, kind: Scope | str, *given: object, parent: BeanScope | None = None) -> BeanScope:
        """Open a scope; end it with `async with`, or with `aclose()`.

        Args:
            kind: The scope's word.
            given: Objects that its beans may ask for by their types, and that need no registration.
            parent: The scope within which it opens, and whose beans are at hand in it; none when left out.

        Raises:
            ConfigurationError: There is no such scope, or it lives as long as the parent, or the parent is another
                container's.
            ContextClosedError: The container isn't running.
            ScopeClosedError: The parent has ended.
        """
        outer: Lifetime = self.lifetime
        if parent is not None:
            if parent.active is not outer.active:
                raise ConfigurationError("the parent is a scope of another container, or of an earlier start")
            outer = parent
        word = self._scopes.opening(kind, outer.kind)
        if self._graph is None:
            raise ContextClosedError(f"a {word} scope can't open", self._state.value)
        return BeanScope(word, outer, given, outer.shared, self)

    @property
    def active_scope(self) -> BeanScope | None:
        """The scope of this container around the running code."""
        around = self.lifetime.active.get()
        found = None if around is None else around.opened()
        return found if isinstance(found, BeanScope) else None

    def scopes_of(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """Return the scopes that must be open around whoever asks for a bean, each with the way to a bean in it."""
        return self._wired().scopes_of(name)

    def resolver(self, bean: Any, qualifier: str | None = None) -> "BeanResolver":
        """Return a short way to one bean, for those who ask often; before the start too.

        Raises:
            NoSuchBeanError: There is none.
            NoUniqueBeanError: There are several, and nothing prefers one of them.
        """
        return BeanResolver(self.find(bean, qualifier), self)

    def graph(self, format: Literal["mermaid", "dot", "json"] = "mermaid") -> str:
        """Return the beans, their scopes, and who holds whom, as text to be drawn; before the start too.

        Beans come in the order of registration, and what a bean holds in the order of its parameters; `Lazy` ones are
        dashed. What is wrong with the wiring is left out here; `validate` tells it.

        Raises:
            ConfigurationError: The format is none of those named.
        """
        plans, _ = self._wired().plans()
        return draw([plan for plan in plans.values() if self._is_theirs(plan.definition)], format)

    def provider(self, name: str) -> OverridableProvider:
        """Return the dependency-injector provider of a bean.

        Raises:
            NoSuchBeanError: There is none of this name.
        """
        return _provider(self.find(name, None))

    @contextmanager
    def override(self, bean: Any, replacement: Any, qualifier: str | None = None) -> Iterator[None]:
        """Put something else in a bean's place until the context ends.

        Reaches instances that exist: beans that hold the replaced one are built anew at their next use, and the old
        ones are back at the end. What was built meanwhile is destroyed at the container's stop. Contexts nest.

        Args:
            bean: The type or name.
            replacement: An instance, a class whose constructor is injected, or a factory, `def` or `async def`.
            qualifier: Narrows the type.

        Raises:
            NoSuchBeanError: There is no such bean, or the replacement needs one that isn't there.
            OverrideTypeError: The replacement neither is of the type nor has all its public methods.
            ConfigurationError: The bean is a prototype, and the replacement a generator.
        """
        from cortado.container.providers import Replacement

        found = self.find(bean, qualifier)
        stand_in = Replacement(_replacing(found.definition, replacement))
        provider = _provider(found)
        provider.override(stand_in)
        try:
            yield
        finally:
            provider.withdraw(stand_in)

    def _is_theirs(self, definition: BeanDefinition) -> bool:
        """Whether a bean was registered by the user."""
        return definition.name not in self._own and definition.kind is not FactoryKind.GIVEN

    def _check_not_waiting_here(self) -> None:
        awaited = self._state in (State.STARTING, State.CLOSING) and within_creation()
        if awaited or is_announced_to(self):
            raise ConfigurationError(
                f"the container is {self._state.value} and waits for this bean or listener, which can't start or stop "
                "it; raise an error to make a start fail"
            )
        if self.lifetime.is_ended_here():
            raise ConfigurationError(
                "a finaliser can't start or stop the container, whose end waits for it; start a task that does so"
            )

    def _check_open_for_registration(self) -> None:
        if self._state not in (State.NEW, State.STOPPED):
            raise ConfigurationError(f"the container is {self._state.value}; register beans before the start")

    def _add_factory(
        self, function: Callable[..., Any], options: BeanOptions, owner: BeanDefinition | None = None
    ) -> BeanDefinition | None:
        given = read_options(options)
        try:
            return self._add(
                define_factory(function, given, self._classes, None if owner is None else owner.name)
            )
        except AnnotationError as error:
            self._unreadable[function] = Unreadable(error, conditions_of(function, given), owner)
            return None

    def _add(self, definition: BeanDefinition) -> BeanDefinition:
        """Keep a definition, and return it, or what is known already as the same."""
        from cortado.container.providers import BeanProvider

        name, key = definition.name, (definition.name, definition.factory)
        if key in self._registered:
            return self._registered[key].definition
        self._forget_wiring()
        add_classes(self._classes, definition)
        bean = self._registered[key] = self._bean(definition)
        if name not in self._names:
            self._names.add(name)
            self.di.set_provider(self._provider_name(name), cast(BeanProvider, bean.provider))
        return definition

    def _bean(self, definition: BeanDefinition) -> Bean:
        from cortado.container.providers import BeanProvider

        bean = Bean(definition)
        bean.provider = BeanProvider(definition.name, functools.partial(self._provide, bean), self._rebind)
        return bean

    def _forget_wiring(self) -> None:
        self._wiring = None
        self._found = {}  # after the wiring: whoever sees these as new finds no old wiring

    def _wired(self) -> Wiring:
        if self._wiring is None:
            registered = [one.definition for one in self._registered.values()]
            facts = facts_of(registered, self.profiles)
            chosen = select(registered, facts)
            self._problems = [one.error for one in self._unreadable.values() if one.counts(chosen, facts)]
            self._problems += chosen.problems
            self._choose(chosen.included)
            for given in self._declared():
                self._beans[given.name] = self._bean(given)
            definitions = [one.definition for one in self._beans.values()]
            self._listeners = Listeners(definitions)
            self._problems += self._listeners.problems
            self._wiring = Wiring(definitions, chosen.excluded, facts.properties, self._scopes)
        return self._wiring

    def _declared(self) -> Iterator[BeanDefinition]:
        """Yield the definitions of what scopes are given; of what several are given, that of the longest last."""
        for kind in reversed(self._scopes.words):
            yield from (define_given(one, kind) for one in self._scopes.declared(kind) or ())

    def _planned(self) -> tuple[dict[str, Plan], list[ContainerError]]:
        plans, wrong = self._wired().plans()
        for name, plan in plans.items():
            if name not in self._beans:
                self._beans[name] = self._bean(plan.definition)
        problems = [*self._problems, *wrong]
        if problems:
            self._forget_wiring()  # the next time, properties may be set
        return plans, problems

    def _choose(self, included: Iterable[BeanDefinition]) -> None:
        """Let some of what is registered be the beans, one for each name."""
        from cortado.container.providers import BeanProvider

        beans: dict[str, Bean] = {}
        for definition in included:
            known = beans.get(definition.name)
            if known is None or self._allow_overriding:
                beans[definition.name] = self._registered[definition.name, definition.factory]
            else:
                first, second = known.definition.location, definition.location
                self._problems.append(DuplicateBeanError(definition.name, first, second))
        self._beans = beans
        for name in tuple(self.di.providers):
            delattr(self.di, name)
        for name, bean in beans.items():
            self.di.set_provider(self._provider_name(name), cast(BeanProvider, bean.provider))

    def _provider_name(self, name: str) -> str:
        """Return a name that isn't one of dependency-injector's own, nor in use by another bean."""
        while hasattr(self.di, name):
            name += "_"
        return name

    def find(self, bean: Any, qualifier: str | None = None) -> Bean:
        """Return the bean of a type or name; for the framework's own use."""
        known, key = self._found, bean if qualifier is None else (bean, qualifier)
        try:
            return known[key]
        except (KeyError, TypeError):  # not asked for before, or unhashable
            pass
        wiring = self._wired()
        name = (wiring.named(bean) if isinstance(bean, str) else wiring.choose(bean, qualifier)).name
        with suppress(TypeError):
            known[key] = self._beans[name]
        return self._beans[name]

    def recipe_for(self, bean: Any, qualifier: str | None) -> Recipe:
        """Return the recipe in force of the bean of a type or name; for the framework's own use.

        Raises:
            ContextClosedError: The container isn't running.
        """
        try:
            found = self._found[bean if qualifier is None else (bean, qualifier)]
        except (KeyError, TypeError):  # not asked for before, or unhashable
            found = self.find(bean, qualifier)
        recipe = found.recipe
        return self.recipe_of(found) if recipe is None or recipe.outside else recipe

    def recipe_of(self, bean: Bean) -> Recipe:
        """Return the recipe of a bean that is in force now; for the framework's own use.

        Raises:
            ContextClosedError: The container isn't running.
        """
        if bean.recipe is None:
            name = bean.definition.name
            raise ContextClosedError(f"bean {name!r} can't be had", self._state.value, name=name)
        if bean.recipe.outside and bean.recipe.stale:
            self._rebind()
        return bean.recipe

    def _get(self, bean: Bean) -> object:
        recipe = self.recipe_of(bean)
        return self._lifetime_for(recipe).resolve(recipe)

    async def _aget(self, bean: Bean) -> object:
        recipe = self.recipe_of(bean)
        return await self._lifetime_for(recipe).aresolve(recipe)

    def _get_if_ready(self, bean: Bean) -> object:
        recipe = self.recipe_of(bean)
        return self._lifetime_for(recipe).resolve_if_ready(recipe)

    def _lifetime_for(self, recipe: Recipe) -> Lifetime:
        """Return where to ask for an instance: in the active scope, unless the bean needs none."""
        if recipe.home is Scope.SINGLETON:
            return self.lifetime
        around = self.lifetime.active.get()
        if around is None:
            raise NoActiveScopeError(recipe.definition.name, str(recipe.definition), recipe.home)
        return around.opened()

    def _provide(self, bean: Bean) -> object:
        """Serve dependency-injector, which takes a coroutine where a bean has to be awaited.

        Who was wired before the start may ask a bean that is excluded, and means the one that has the name now.
        """
        bean = self.find(bean.definition.name)
        try:
            return self._get(bean)
        except AsyncBeanError:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                return self._aget(bean)
            raise

    def _lazy(self, argument: Argument) -> Lazy[object]:
        beans = {name: self._beans[name] for name in argument.targets}

        def get() -> object:
            return shaped(argument, {name: self._get(bean) for name, bean in beans.items()})

        async def aget() -> object:
            return shaped(argument, {name: await self._aget(bean) for name, bean in beans.items()})

        return Lazy(get, aget)

    def _rebind(self) -> None:
        with self._binding:
            if self._graph is not None:
                self._graph.bind()

    async def _warm(self) -> None:
        for bean in tuple(self._beans.values()):
            if not bean.definition.lazy and bean.definition.scope is Scope.SINGLETON:
                await self._aget(bean)

    async def _stop(self) -> None:
        try:
            async with self._turn:
                if self._state is State.RUNNING:
                    self._state = State.CLOSING
                    failures = await self._take_leave()
                    self._state = State.STOPPING
                    raise_all([*failures, *await self._end()], "not everything could be ended as it should")
        finally:
            self._closing = None

    async def _listening(self, name: str) -> object:
        """Return the bean of a listener, or `NOT_READY` where it lives in a scope that isn't active."""
        recipe = self.recipe_of(self.find(name))
        around: Lifetime | None = self.active_scope or self.lifetime
        while around is not None and around.kind != recipe.home:
            around = around.parent
        return NOT_READY if around is None else await around.aresolve(recipe)

    async def _take_leave(self) -> list[BaseException]:
        """Tell every listener that the container is about to stop, and return what failed."""
        event, failures = ContextClosing(self), list[BaseException]()
        for listener in self._listeners.to(event):
            try:
                with announcing(self):
                    await within(listener.tell(event, self._listening), copy_context(), self._close_timeout)
            except BaseException as error:  # noqa: BLE001 - collected, so that the others are told
                failures.append(noted(error, f"while telling {listener} that the container closes"))
        return failures

    async def _undo(self) -> None:
        """End what a failed start has created; what fails at that is logged, for the start's own error is raised."""
        report(await self._end())

    async def _end(self) -> list[BaseException]:
        try:
            return await self.lifetime.end()
        finally:
            with self._binding:
                if self._graph is not None:
                    self._graph.unbind()
                self._graph = None
            self._state = State.STOPPED
            self._forget_wiring()  # the next start reads properties anew


@dataclass(frozen=True, slots=True)
class ContextReady:
    """Published when a container has started: beans with `lazy=False` exist, and all others can be had."""

    container: Container
    """The container; its start waits for the listeners."""


@dataclass(frozen=True, slots=True)
class ContextClosing:
    """Published when a container that was running is about to stop: every bean is still there."""

    container: Container
    """The container; its stop waits for the listeners."""


class BeanResolver:
    """A short way to one bean. Follows overrides at each call; costs little more than reading an attribute."""

    __slots__ = ("_bean", "_container")

    def __init__(self, bean: Bean, container: Container) -> None:
        self._bean = bean
        self._container = container

    @property
    def definition(self) -> BeanDefinition:
        """What is known of the bean."""
        return self._bean.definition

    def get_if_ready(self) -> object:
        """Return the bean where it exists, or can be created here and now without waiting; else `NOT_READY`.

        Raises:
            BeanCreationError: It can't be created.
            ContextClosedError: The container isn't running.
        """
        recipe, container = self._bean.recipe, self._container
        if recipe is None or recipe.outside:
            return container._get_if_ready(self._bean)
        if recipe.instance is not NOT_READY:
            return recipe.instance
        lifetime = container._lifetime_for(recipe)
        instance = lifetime.at_once(recipe)
        return lifetime.resolve_if_ready(recipe) if instance is NOT_READY else instance

    async def get(self) -> object:
        """Return the bean, waiting for its creation if need be; raises what `Container.aget` raises."""
        return await self._container._aget(self._bean)


def _existing(bean: Bean) -> object:
    """Return the instance of a singleton where it exists and can't be another one now; else `NOT_READY`."""
    recipe = bean.recipe
    return NOT_READY if recipe is None or recipe.outside else recipe.instance


def _provider(bean: Bean) -> OverridableProvider:
    assert bean.provider is not None
    return bean.provider


def _replacing(replaced: BeanDefinition, replacement: Any) -> BeanDefinition:
    """Return the definition of what stands in for a bean."""
    kind, factory = FactoryKind.INSTANCE, replacement
    if isinstance(replacement, type):
        kind = FactoryKind.CLASS
    elif inspect.isroutine(replacement) or isinstance(replacement, functools.partial):
        kind = factory_kind(replacement)
    else:
        factory = functools.partial(_same, replacement)
    if kind.yields and replaced.scope == Scope.PROTOTYPE:
        raise ConfigurationError(
            f"bean {replaced.name!r} is a prototype, and nothing would ever resume a replacement with a `yield`"
        )
    if kind in (FactoryKind.CLASS, FactoryKind.INSTANCE):
        _check_stand_in(replaced, replacement)
    plain = behind(replacement)
    location = location_of(plain if hasattr(plain, "__qualname__") else type(plain))
    return BeanDefinition(
        name=replaced.name,
        type=replaced.type,
        kind=kind,
        factory=factory,
        location=location,
        stereotype=replaced.stereotype,
        scope=replaced.scope,
        prefix=replaced.prefix,
        names=enclosing_names(plain) if hasattr(plain, "__qualname__") else {},
    )


def _same(instance: object) -> object:
    return instance


def _check_stand_in(replaced: BeanDefinition, replacement: Any) -> None:
    wanted = replaced.type
    if not isinstance(wanted, type) or isinstance(replacement, wanted):
        return
    if isinstance(replacement, type) and wanted in replacement.__mro__:
        return
    methods = (name for name in dir(wanted) if not name.startswith("_") and callable(getattr(wanted, name)))
    missing = [name for name in methods if not hasattr(replacement, name)]
    if missing or wanted.__module__ == "builtins":
        lacking = f", which lacks {', '.join(missing)}," if missing else ""
        given = replacement if isinstance(replacement, type) else type(replacement)
        raise OverrideTypeError(replaced.name, name_of(wanted), f"{name_of(given)}{lacking}")
