"""Lifetimes: each instance created once, whoever asks at the same time, and ended in order."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, Token
from threading import get_ident
from typing import Any, Final, Protocol

from cortado.container.compiled import Bail, CompiledPlan, plan_of
from cortado.container.creations import (
    Creation,
    Run,
    RunOver,
    SharedCreation,
    circle,
    creating,
    way,
    way_up,
)
from cortado.container.definitions import BeanDefinition, Scope
from cortado.container.errors import (
    AsyncBeanError,
    BeanCreationError,
    ContainerError,
    ContextClosedError,
    NoActiveScopeError,
    NoSuchBeanError,
    ScopeClosedError,
)
from cortado.container.injection import name_of
from cortado.container.matching import is_of
from cortado.container.recipes import NOT_READY, Built, Foreign, Given, Recipe, at_once
from cortado.container.teardown import Finaliser, ending_here, report, uninterrupted
from cortado.tasks import Starter, settle, was_cancelled

__all__ = ["Around", "Lifetime"]


LOST: Final = "the event loop in which it was created is closed"


class Around(Protocol):
    """What is around the running code: an open scope, or what opens one for whoever asks first."""

    def opened(self) -> "Lifetime":
        """Return the scope's lifetime."""
        ...


class Shared:
    """What all the lifetimes of one container share."""

    __slots__ = ("active", "close_timeout", "lock", "runs", "starter")

    def __init__(self, close_timeout: float) -> None:
        self.close_timeout = close_timeout
        self.lock = threading.Lock()
        """Guards the bookkeeping; no code of a user's runs under it."""
        self.active: ContextVar[Around | None] = ContextVar("active", default=None)
        """The scope in which the running code is."""
        self.starter = Starter()
        """Starts the tasks."""
        self.runs: dict[Lifetime, Run] = {}
        """The compiled plans under way, one for a lifetime: its `setdefault()` is atomic."""


class Lifetime:
    """Creates instances by their recipes, keeps them, and ends them in the reverse order of completion.

    Any number of tasks, event loops and threads may ask at once. What lives longer is created and kept by the
    lifetime around this one that is its home.

    Args:
        kind: The scope that this lifetime is one of.
        parent: The lifetime around it; it ends before that does.
        given: The objects that it is given.
        shared: What it shares with the other lifetimes of its container.
        beans: The container, for those that look beans up by type and name.
    """

    __slots__ = (
        "__weakref__",
        "_beans",
        "_children",
        "_creations",
        "_ended",
        "_ending",
        "_finalisers",
        "_given",
        "_gone",
        "_instances",
        "_token",
        "closed",
        "kind",
        "parent",
        "shared",
    )

    def __init__(
        self,
        kind: str,
        parent: "Lifetime | None",
        given: tuple[object, ...],
        shared: Shared,
        beans: Any = None,
    ) -> None:
        self.kind = kind
        self.parent = parent
        self.closed = False
        self.shared = shared
        self._beans = beans
        self._given = given
        self._instances: dict[Recipe, object] = {}  # of a singleton, the recipe keeps the instance
        self._creations: dict[Recipe, SharedCreation] = {}
        self._children: dict[Lifetime, None] = {}
        self._finalisers: list[tuple[Recipe | None, Finaliser]] = []
        self._ending = self._gone = False
        self._ended: Future[None] | None = None  # for those who wait for the end
        self._token: Token[Around | None] | None = None
        if parent is not None:
            parent._children[self] = None
            if parent.closed:  # either this sees that the end has begun, or the end sees this
                parent._children.pop(self, None)
                raise parent._over()

    @classmethod
    def root(cls, close_timeout: float) -> "Lifetime":
        """Return the lifetime of a container.

        Args:
            close_timeout: How long each finaliser may take, in seconds.
        """
        return cls(Scope.SINGLETON, None, (), Shared(close_timeout))

    @property
    def active(self) -> "ContextVar[Around | None]":
        """The scope, of the same container, in which the running code is."""
        return self.shared.active

    def opened(self) -> "Lifetime":
        """Return this lifetime itself."""
        return self

    def at_once(self, recipe: Recipe) -> object:
        """Return an instance that exists, or that its compiled plan makes now; else `NOT_READY`.

        Raises:
            NoActiveScopeError: No lifetime around this one is its home.
        """
        home = self if recipe.home is self.kind else self._home(recipe)
        instances = home._instances
        instance = recipe.instance if home.parent is None else instances.get(recipe, NOT_READY)
        if instance is not NOT_READY:
            return instance
        plan: CompiledPlan = recipe.compiled or plan_of(recipe)
        if not plan.whole:
            return NOT_READY
        for one in plan.before:
            if one not in instances:
                return NOT_READY
        try:
            return home._run_through(recipe, plan, self)
        except Bail:
            return NOT_READY

    def resolve(self, recipe: Recipe) -> object:
        """Return an instance, created here and now if need be.

        Raises:
            AsyncBeanError: Something that has to be awaited isn't ready.
            NoActiveScopeError: No lifetime around this one is its home.
        """
        instance = self.at_once(recipe)
        if instance is not NOT_READY:
            return instance
        home = self._home(recipe)
        missing = home._missing(recipe)
        for one in missing:
            if one.must_await:
                raise AsyncBeanError(one.definition.name, recipe.definition.name)
        return home._get(recipe, missing)

    async def aresolve(self, recipe: Recipe) -> object:
        """Return an instance, waiting for it if need be. Cancelling harms no one else who waits.

        Raises:
            NoActiveScopeError: No lifetime around this one is its home.
        """
        instance = self.at_once(recipe)
        if instance is not NOT_READY:
            return instance
        home = self._home(recipe)
        with suppress(Bail):
            return await home._followed(recipe, plan_of(recipe), self)
        for one in home._missing(recipe):
            await home._home(one)._acreate_for(recipe, one)
        return await home._value(recipe)

    def resolve_if_ready(self, recipe: Recipe) -> object:
        """Return an instance where that takes no waiting, not even for another thread; else `NOT_READY`."""
        instance = self.at_once(recipe)
        if instance is not NOT_READY or recipe.may_await:
            return instance
        home = self._home(recipe)
        missing = home._missing(recipe)
        if any(one.may_await or home._home(one)._is_busy_with(one) for one in missing):
            return NOT_READY
        return home._get(recipe, missing)

    def kept(self, recipe: Recipe) -> object:
        """Return an instance that exists, wherever its home is; `NOT_READY` where there is none."""
        return self._home(recipe)._kept(recipe)

    def given(self, wanted: type) -> object:
        """Return what this lifetime, or else one around it, was given of a type; `NOT_READY` where there is none."""
        lifetime: Lifetime | None = self
        while lifetime is not None:
            found = lifetime.given_here(wanted)
            if found is not NOT_READY:
                return found
            lifetime = lifetime.parent
        return NOT_READY

    def given_here(self, wanted: type) -> object:
        """Return what this lifetime itself was given of a type; `NOT_READY` where there is none."""
        for one in self._given:
            if is_of(one, wanted):
                return one
        return NOT_READY

    def at_end(self, finaliser: Finaliser) -> None:
        """Have something else done at the end, before what was created until now ends."""
        with self.shared.lock:
            if self.closed:
                raise self._over()
            self._finalisers.append((None, finaliser))

    async def end(self) -> list[BaseException]:
        """End every lifetime within, every creation under way and then every instance, last completed first.

        Runs to its end even when cancelled half-way; the cancellation goes on then. Whoever comes second waits for
        the same end; but not a finaliser, for which that end waits.

        Returns:
            What failed; nothing to whoever came second.
        """
        failures: list[BaseException] = []
        try:
            await self._ended_with(failures)
        except asyncio.CancelledError:
            report(failures)
            raise
        return failures

    async def _ended_with(self, failures: list[BaseException]) -> None:
        if self.leave():
            return
        with self.shared.lock:
            first, self._ending = not self._ending, True
        waits = not self.is_ended_here()
        if first:
            end = self._end(failures) if waits else self._end_unheard()
            self.shared.starter.begin(end, f"end of a {self.kind} scope")
        if not waits:
            return
        with self.shared.lock:
            if not self._gone and self._ended is None:
                self._ended = Future()
            ended = None if self._gone else self._ended
        if ended is not None:
            await uninterrupted(asyncio.wrap_future(ended))

    def is_ended_here(self) -> bool:
        """Whether the running task is a finaliser for which the end of this lifetime waits."""
        one = ending_here()
        while isinstance(one, Lifetime):
            if one is self:
                return True
            one = one.parent
        return False

    def leave(self) -> bool:
        """End at once where nothing has to be done for it; False where something has."""
        with self.shared.lock:
            self.closed = True  # before the look at what there is: who comes now sees it
            if self._finalisers or self._creations or self._children or self._ending:
                return False
            gone = self._leave()
        del gone  # only here: what becomes of it may be a user's code
        return True

    async def _end(self, failures: list[BaseException]) -> None:
        try:
            await self._end_all(failures)
        finally:
            with self.shared.lock:
                gone = self._leave()
                ended = self._ended
            del gone
            if ended is not None:
                ended.set_result(None)

    async def _end_unheard(self) -> None:
        failures: list[BaseException] = []
        await self._end(failures)
        report(failures)

    async def _end_all(self, failures: list[BaseException]) -> None:
        with self.shared.lock:
            underway = list(self._creations.values())
            within = list(self._children)
        for child in reversed(within):
            with suppress(
                asyncio.CancelledError
            ):  # as when the loop is about to close: the rest has to end, too
                await child._ended_with(failures)
        for one in underway:
            if one.is_lost:
                self._fail(one, RuntimeError(LOST))
            _cancel(one)
        for one in underway:
            failures += await self._late(one)
        while (finaliser := self._last()) is not None:
            failures += await finaliser.run(self.shared.close_timeout, self.shared.starter, self)

    def _last(self) -> Finaliser | None:
        with self.shared.lock:
            if not self._finalisers:
                return None
            recipe, finaliser = self._finalisers.pop()
            gone: tuple[object, ...] = ()
            if recipe is not None:
                gone = recipe.instance, *self._forget_down_to(recipe)
                recipe.instance = NOT_READY
        del gone
        return finaliser

    def _forget_down_to(self, recipe: Recipe) -> Iterator[object]:
        """Forget an instance, and what was completed after it: it may hold that, though it has no end of its own."""
        while self._instances:
            forgotten, instance = self._instances.popitem()
            yield instance
            if forgotten is recipe:
                return

    def _leave(self) -> tuple[object, ...]:
        """Forget everything; returns what is to be let go of without the lock."""
        gone = self._instances, self._given
        self._gone, self._instances, self._given = True, {}, ()
        if self.parent is not None:
            self.parent._children.pop(self, None)
        return gone

    def _home(self, recipe: Recipe) -> "Lifetime":
        lifetime: Lifetime | None = self
        while lifetime is not None:
            if lifetime.kind == recipe.home or lifetime._gives(recipe):
                return lifetime
            lifetime = lifetime.parent
        name = recipe.definition.name
        raise NoActiveScopeError(name, str(recipe.definition), recipe.home, asked_in=self._description)

    def _gives(self, recipe: Recipe) -> bool:
        """Whether a recipe is that of an object which this lifetime, although it isn't its home, was given."""
        return (
            bool(self._given)
            and isinstance(recipe, Given)
            and self.given_here(recipe.definition.type) is not NOT_READY
        )

    @property
    def _description(self) -> str | None:
        return None if self.parent is None else str(self.kind)

    def _kept(self, recipe: Recipe) -> object:
        """Return the instance of a recipe whose home this is, or `NOT_READY`."""
        if self.parent is None:
            return recipe.instance
        return self._instances.get(recipe, NOT_READY)

    def _keep(self, recipe: Recipe, instance: object) -> None:
        if self.parent is None:
            recipe.instance = instance
        else:
            self._instances[recipe] = instance

    def _over(self) -> ContainerError:
        if self.parent is None:
            return ContextClosedError("no bean can be had", "stopped or stopping")
        return ScopeClosedError(self.kind)

    def _missing(self, recipe: Recipe) -> list[Recipe]:
        """Return the recipes whose instances are kept but don't exist yet, each after those it needs."""
        order: dict[Recipe, None] = {}
        stack = [recipe]
        while stack:
            last = stack[-1]
            if last in order or self.kept(last) is not NOT_READY:
                stack.pop()
                continue
            missing = [one for one in last.inputs if one not in order and self._is_missing(one)]
            if missing:
                stack += reversed(missing)
            else:
                order[stack.pop()] = None
        return [one for one in order if one.cached]

    def _is_missing(self, recipe: Recipe) -> bool:
        return self.kept(recipe) is NOT_READY

    def _is_busy_with(self, recipe: Recipe) -> bool:
        """Whether an instance may be on its way, in a task or in another thread."""
        run = self.shared.runs.get(self)
        return recipe in self._creations or (run is not None and run.thread != get_ident())

    async def _followed(self, recipe: Recipe, plan: CompiledPlan, asked: "Lifetime") -> object:
        """Return an instance by its compiled plan.

        Raises:
            Bail: The plan can't be followed now.
        """
        for one in plan.before:
            if one not in self._instances:
                await self._acreate_for(recipe, one, self._run_through(recipe, plan_of(one), asked))
        made = self._run_through(recipe, plan, asked)
        if plan.whole:
            return made
        if recipe.cached:
            await self._acreate_for(recipe, recipe, made)
        return await self._value(recipe)

    def _run_through(self, requested: Recipe, plan: CompiledPlan, asked: "Lifetime") -> object:
        """Have a compiled plan create what it creates, in a context of its own.

        Raises:
            Bail: The plan can't be followed now.
        """
        if self.closed:
            raise self._over()
        around = self.active.get() if asked.parent is None else asked
        run = Run(requested, creating.get(), around)
        if self.shared.runs.setdefault(self, run) is not run:
            raise Bail
        try:
            if self._creations:
                raise Bail
            made = Context().run(plan.build, self, self._instances, run, self.shared.active)
            if self.closed:
                raise self._over()
            return made
        except Bail:
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - passed on
            failed, failure = run.recipe, _failure(run.recipe.definition, error)
            if isinstance(failure, BeanCreationError):
                failure = _seen_from(requested, failed, failure)
            raise failure from failure.__cause__
        finally:
            del self.shared.runs[self]
            run.over = True
            if run.disturbed:
                self._tell(run)

    def _tell(self, run: Run) -> None:
        with self.shared.lock:
            awaiting = run.awaiting
            for one in awaiting:
                one.close(RunOver())
        for one in awaiting:
            one.conclude()

    async def _acreate_for(self, requested: Recipe, recipe: Recipe, arguments: Any = None) -> None:
        try:
            await self._acreate(recipe, arguments)
        except BeanCreationError as error:
            raise _seen_from(requested, recipe, error) from error.__cause__

    def _get(self, recipe: Recipe, missing: Sequence[Recipe]) -> object:
        for one in missing:
            try:
                self._home(one)._create(one)
            except BeanCreationError as error:
                raise _seen_from(recipe, one, error) from error.__cause__
        return at_once(self._value(recipe), recipe.definition.name)

    def _create(self, recipe: Recipe) -> None:
        creation, mine = self._join(recipe)
        while creation is not None:
            with self._waiting_for(creation), suppress(RunOver):
                if mine:
                    self._run(creation)
                elif creation.thread == get_ident():
                    if creation.awaits:
                        raise AsyncBeanError(recipe.definition.name, recipe.definition.name)
                    raise circle([creation, creation])
                else:
                    creation.awaited().result()
                creation.check()
                return
            creation, mine = self._join(recipe)

    async def _acreate(self, recipe: Recipe, arguments: Any = None) -> None:
        creation, mine = self._join(recipe)
        while creation is not None:
            if mine and creating.get() is None:  # nobody can wait for us
                await self._created(creation, arguments, mine)
                return
            with self._waiting_for(creation), suppress(RunOver):
                await self._created(creation, arguments, mine)
                return
            creation, mine = self._join(recipe)

    async def _created(self, creation: SharedCreation, arguments: Any, mine: bool) -> None:
        if mine and creation.recipe.may_await:
            self._start(creation, arguments)
        elif mine:
            self._run(creation)
        if not creation.over and (outcome := self._outcome(creation)) is not None:
            await asyncio.wrap_future(outcome)
        creation.check()

    def _outcome(self, creation: SharedCreation) -> "Future[None] | None":
        """Return what is done when a creation is over; None where it is."""
        with self.shared.lock:
            return None if creation.over else creation.awaited()

    def _join(self, recipe: Recipe) -> tuple[SharedCreation | None, bool]:
        """Return the creation of an instance and whether it is ours to run, or None where the instance exists."""
        known = self._creations.get(recipe)
        if known is not None and known.is_lost:
            self._fail(known, RuntimeError(LOST))
        with self.shared.lock:
            if self._kept(recipe) is not NOT_READY:
                return None, False
            if self.closed:
                raise self._over()
            known = self._creations.get(recipe)
            if known is not None:
                known.awaited()
                return known, False
            creation = self._creations[recipe] = SharedCreation(recipe, creating.get())
            run = self.shared.runs.get(self)  # only now: a run that begins from here on sees the creation
            if run is not None:
                run.disturbed = True
                if run.recipe is recipe and not run.over:
                    del self._creations[recipe]
                    return run.end(), False
            if self._kept(recipe) is not NOT_READY:  # by a run that has ended meanwhile
                del self._creations[recipe]
                return None, False
            creation.context.run(self._enter, creation)
            return creation, True

    def _enter(self, creation: SharedCreation) -> None:
        creating.set(creation)
        if self.parent is not None:
            self.shared.active.set(self)

    @contextmanager
    def _waiting_for(self, creation: Creation) -> Iterator[None]:
        """Say that the creation we are part of waits for another one.

        Raises:
            CircularDependencyError: The other one waits for ours.
        """
        me = creating.get()
        if me is None:
            yield
            return
        with self.shared.lock:
            found = way(creation, me)
            if found:
                raise circle([me, *found])
            me.waits = (*me.waits, creation)
        try:
            yield
        finally:
            with self.shared.lock:
                me.waits = tuple(one for one in me.waits if one is not creation)

    def _start(self, creation: SharedCreation, arguments: Any) -> None:
        """Create an instance in a task, of which the first step is done now."""
        creation.awaits = True
        work = self._arun(creation, arguments)
        name = f"creation of {creation.definition.name}"
        creation.task = self.shared.starter.begin(work, name, creation.context)
        if self.closed:
            _cancel(creation)

    def _run(self, creation: SharedCreation) -> None:
        """Create an instance in this thread; the outcome tells how it went."""
        name = creation.definition.name
        try:
            built = creation.context.run(at_once, creation.recipe.build(self._value), name)
        except BaseException as error:
            self._fail(creation, error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
        else:
            finaliser = self._publish(creation, built)
            if finaliser is not None:
                report(finaliser.run_sync())
                self._fail(creation, self._over())

    async def _arun(self, creation: SharedCreation, arguments: Any) -> None:
        recipe = creation.recipe
        try:
            built = await (recipe.build(self._value) if arguments is None else recipe.make(*arguments))
        except BaseException as error:
            self._fail(creation, error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
        else:
            finaliser = self._publish(creation, built)
            if finaliser is not None:
                # in a context of its own: the finaliser enters the one that this task is in
                running = finaliser.run(self.shared.close_timeout, self.shared.starter, self)
                ending = asyncio.create_task(running, context=Context())
                try:
                    await uninterrupted(ending)
                finally:
                    report(ending.result())
                    self._fail(creation, self._over())

    def _publish(self, creation: SharedCreation, built: Built) -> Finaliser | None:
        """Let everyone have the instance; or return what ends it, where everything has ended meanwhile."""
        finaliser = Finaliser(creation.definition, creation.context, built.ending)
        recipe = creation.recipe
        with self.shared.lock:
            if self.closed:
                return finaliser
            self._keep(recipe, built.instance)
            if built.ending or self.parent is None:  # a singleton is forgotten when its turn comes
                self._finalisers.append((recipe, finaliser))
            del self._creations[recipe]
            creation.close()
        creation.conclude()
        return None

    def _fail(self, creation: SharedCreation, error: BaseException) -> None:
        """Tell everyone who waits; whoever asks next tries again."""
        ended = self.closed and isinstance(error, asyncio.CancelledError)
        failure = self._over() if ended else _failure(creation.definition, error)
        with self.shared.lock:
            if creation.over:
                return
            if self._creations.get(creation.recipe) is creation:
                del self._creations[creation.recipe]
            creation.close(failure)
        creation.conclude()

    async def _late(self, creation: SharedCreation) -> list[BaseException]:
        outcome = self._outcome(creation)
        if outcome is None or await settle(asyncio.wrap_future(outcome), self.shared.close_timeout):
            return []
        late = (
            f"the creation of {creation.definition} didn't end within {self.shared.close_timeout:g} seconds"
        )
        return [TimeoutError(late)]

    async def _value(self, recipe: Recipe) -> object:
        """Return an instance that exists, or a new one where none is kept."""
        home = self._home(recipe)
        if recipe.cached:
            instance = home._kept(recipe)
            if instance is NOT_READY:
                raise home._over()
            return instance
        if isinstance(recipe, Given):
            return home._looked_up(recipe)
        if home.closed:
            raise home._over()
        creation = Creation(recipe, creating.get())
        found = way_up(creation)
        if found:
            raise circle(found)
        with self._waiting_for(creation):
            token = creating.set(creation)
            try:
                built = await recipe.build(self._value)
                if home.closed:  # it may hold what has ended meanwhile
                    raise home._over()
                return built.instance
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and (
                    isinstance(recipe, Foreign) or _is_cancelled()
                ):
                    raise
                failure = _failure(recipe.definition, error)
                raise failure from failure.__cause__
            finally:
                creation.over = True
                creating.reset(token)

    def _looked_up(self, recipe: Given) -> object:
        wanted = recipe.definition.type
        found = self.given(wanted)
        if found is NOT_READY and self.closed:
            raise self._over()
        if found is NOT_READY:
            name = name_of(wanted)
            cure = (
                f"fix: hand it over when the scope opens: container.scope({str(recipe.home)!r}, {name}(...))"
            )
            raise NoSuchBeanError(f"type {name}", hints=(f"the {recipe.home} scope was given none", cure))
        return found


def _cancel(creation: SharedCreation) -> None:
    """Cancel a creation that runs in a task, which may belong to another event loop."""
    task = creation.task
    if task is not None and not task.get_loop().is_closed():
        task.get_loop().call_soon_threadsafe(task.cancel)


def _is_cancelled() -> bool:
    """Whether somebody has cancelled the running task, if there is one, rather than a factory having raised that."""
    try:
        return was_cancelled()
    except RuntimeError:  # no event loop runs in this thread
        return False


def _failure(definition: BeanDefinition, error: BaseException) -> ContainerError:
    if isinstance(error, BeanCreationError):
        return error.through(definition.name)
    if isinstance(error, ContainerError):
        return error
    return BeanCreationError((definition.name,), definition.location, error)


def _seen_from(recipe: Recipe, failed: Recipe, error: BeanCreationError) -> BeanCreationError:
    """Return a failure with the way to it from the bean that was asked for."""
    ways = {recipe: [recipe.definition.name]}
    queue = [recipe]
    for one in queue:
        for needed in one.inputs:
            if needed not in ways:
                ways[needed] = [*ways[one], needed.definition.name]
                queue.append(needed)
    for name in reversed(ways[failed][:-1]):
        if name != error.path[0]:  # a bean of an adopted container is one in two steps
            error = error.through(name)
    return error
