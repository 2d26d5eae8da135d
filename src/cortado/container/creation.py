"""The instances of one lifetime: each created once, whoever asks at the same time, and ended in order."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import Context, ContextVar

from cortado.container.definitions import BeanDefinition
from cortado.container.errors import (
    AsyncBeanError,
    BeanCreationError,
    CircularDependencyError,
    ContainerError,
)
from cortado.container.recipes import NOT_READY, Built, Cell, Recipe, at_once, closed
from cortado.container.teardown import Finaliser, report
from cortado.tasks import settle

__all__ = ["Instances", "within_creation"]


class Creation:
    """One instance on its way, and what its factory waits for."""

    __slots__ = ("over", "parent", "recipe", "waits")

    def __init__(self, recipe: Recipe, parent: "Creation | None") -> None:
        self.recipe = recipe
        self.parent = parent
        self.waits: list[Creation] = []
        self.over = False

    @property
    def definition(self) -> BeanDefinition:
        """What is being created."""
        return self.recipe.definition


class SharedCreation(Creation):
    """A creation that several may wait for."""

    __slots__ = ("context", "outcome", "task", "thread")

    def __init__(self, recipe: Recipe, parent: Creation | None) -> None:
        super().__init__(recipe, parent)
        self.outcome: Future[object] = Future()
        self.outcome.set_running_or_notify_cancel()  # so that a waiter's cancellation can't reach it
        self.context = Context()
        self.thread = threading.get_ident()
        self.task: asyncio.Task[None] | None = None


creating: ContextVar[Creation | None] = ContextVar("creating", default=None)


def within_creation() -> bool:
    """Whether the code that asks is part of the creation of a bean."""
    creation = creating.get()
    return creation is not None and not creation.over


class Instances:
    """Creates instances by their recipes, keeps them, and ends them in the reverse order of completion.

    Any number of tasks, event loops and threads may ask at once.
    """

    def __init__(self, close_timeout: float) -> None:
        self._close_timeout = close_timeout
        self._lock = threading.Lock()  # guards the bookkeeping; no code of a user's runs under it
        self._creations: dict[SharedCreation, None] = {}
        self._finalisers: list[tuple[Cell, Finaliser]] = []
        self._closed = False

    def get(self, recipe: Recipe) -> object:
        """Return an instance, created here and now if need be.

        Raises:
            AsyncBeanError: Something that has to be awaited isn't ready.
        """
        if recipe.ready:
            return recipe.cell.instance
        missing = _missing(recipe)
        for one in missing:
            if one.must_await:
                raise AsyncBeanError(one.definition.name, recipe.definition.name)
        return self._get(recipe, missing)

    async def aget(self, recipe: Recipe) -> object:
        """Return an instance, waiting for it if need be. Cancelling harms no one else who waits."""
        for one in _missing(recipe):
            try:
                await self._acreate(one)
            except BeanCreationError as error:
                raise _seen_from(recipe, one, error) from error.__cause__
        return await self._value(recipe)

    def get_if_ready(self, recipe: Recipe) -> object:
        """Return an instance where that takes no waiting, not even for another thread; else `NOT_READY`."""
        if recipe.ready:
            return recipe.cell.instance
        if recipe.may_await:
            return NOT_READY
        missing = _missing(recipe)
        if any(one.may_await or one.cell.creation is not None for one in missing):
            return NOT_READY
        return self._get(recipe, missing)

    async def close(self) -> list[BaseException]:
        """End every creation under way and then every instance, last completed first; return what failed."""
        with self._lock:
            self._closed = True
            underway = list(self._creations)
        for one in underway:
            _cancel(one)
        failures = [error for one in underway for error in await self._ended(one)]
        while True:
            with self._lock:
                if not self._finalisers:
                    return failures
                cell, finaliser = self._finalisers.pop()
                cell.instance = NOT_READY
            failures += await finaliser.run(self._close_timeout)

    def _get(self, recipe: Recipe, missing: Sequence[Recipe]) -> object:
        for one in missing:
            try:
                self._create(one)
            except BeanCreationError as error:
                raise _seen_from(recipe, one, error) from error.__cause__
        return at_once(self._value(recipe), recipe.definition.name)

    def _create(self, recipe: Recipe) -> None:
        creation, mine = self._join(recipe)
        if creation is None:
            return
        with self._waiting_for(creation):
            if mine:
                self._run(creation)
            elif creation.thread == threading.get_ident():
                if creation.task is not None:
                    raise AsyncBeanError(recipe.definition.name, recipe.definition.name)
                raise _circle([creation, creation])
            creation.outcome.result()

    async def _acreate(self, recipe: Recipe) -> None:
        creation, mine = self._join(recipe)
        if creation is None:
            return
        with self._waiting_for(creation):
            if mine and not recipe.may_await:
                self._run(creation)
                creation.outcome.result()
                return
            if mine:
                self._start(creation)
            await asyncio.wrap_future(creation.outcome)

    def _join(self, recipe: Recipe) -> tuple[SharedCreation | None, bool]:
        """Return the creation of an instance and whether it is ours to run, or None where the instance exists."""
        with self._lock:
            if recipe.ready:
                return None, False
            if self._closed:
                raise closed()
            known = recipe.cell.creation
            if isinstance(known, SharedCreation):
                return known, False
            creation = recipe.cell.creation = SharedCreation(recipe, creating.get())
            self._creations[creation] = None
            creation.context.run(creating.set, creation)
            return creation, True

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
        with self._lock:
            way = _way(creation, me)
            if way:
                raise _circle([me, *way])
            me.waits.append(creation)
        try:
            yield
        finally:
            with self._lock:
                me.waits.remove(creation)

    def _start(self, creation: SharedCreation) -> None:
        loop = asyncio.get_running_loop()
        name = f"creation of {creation.definition.name}"
        task = asyncio.Task(self._arun(creation), loop=loop, name=name, context=creation.context)
        creation.task = task
        task.add_done_callback(lambda _: self._settle(creation))

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
                self._fail(creation, closed())

    async def _arun(self, creation: SharedCreation) -> None:
        try:
            built = await creation.recipe.build(self._value)
        except BaseException as error:
            self._fail(creation, error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
        else:
            finaliser = self._publish(creation, built)
            if finaliser is not None:
                # in a context of its own: the finaliser enters the one that this task is in
                ending = asyncio.create_task(finaliser.run(self._close_timeout), context=Context())
                report(await ending)
                self._fail(creation, closed())

    def _publish(self, creation: SharedCreation, built: Built) -> Finaliser | None:
        """Let everyone have the instance; or return what ends it, where everything has ended meanwhile."""
        finaliser = Finaliser(creation.definition, creation.context, built.ending)
        cell = creation.recipe.cell
        with self._lock:
            if self._closed:
                return finaliser
            cell.instance, cell.creation = built.instance, None
            self._finalisers.append((cell, finaliser))
            del self._creations[creation]
        creation.over = True
        creation.outcome.set_result(built.instance)
        return None

    def _fail(self, creation: SharedCreation, error: BaseException) -> None:
        """Tell everyone who waits; whoever asks next tries again."""
        with self._lock:
            creation.recipe.cell.creation = None
            self._creations.pop(creation, None)
            ended = self._closed and isinstance(error, asyncio.CancelledError)
        creation.over = True
        creation.outcome.set_exception(closed() if ended else _failure(creation.definition, error))

    def _settle(self, creation: SharedCreation) -> None:
        """A task that is cancelled before its first step never comes to tell how it went."""
        if not creation.outcome.done():
            self._fail(creation, asyncio.CancelledError())

    async def _ended(self, creation: SharedCreation) -> list[BaseException]:
        outcome = asyncio.wrap_future(creation.outcome)
        outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        if await settle(outcome, self._close_timeout):
            return []
        late = f"the creation of {creation.definition} didn't end within {self._close_timeout:g} seconds"
        return [TimeoutError(late)]

    async def _value(self, recipe: Recipe) -> object:
        """Return an instance that exists, or a new one where none is kept."""
        if recipe.cached:
            if not recipe.ready:
                raise closed()
            return recipe.cell.instance
        if self._closed:
            raise closed()
        creation = Creation(recipe, creating.get())
        way = _way_up(creation)
        if way:
            raise _circle(way)
        with self._waiting_for(creation):
            token = creating.set(creation)
            try:
                return (await recipe.build(self._value)).instance
            except Exception as error:  # noqa: BLE001 - passed on
                failure = _failure(recipe.definition, error)
                raise failure from failure.__cause__
            finally:
                creation.over = True
                creating.reset(token)


def _cancel(creation: SharedCreation) -> None:
    """Cancel a creation that runs in a task, which may belong to another event loop."""
    task = creation.task
    if task is not None and not task.get_loop().is_closed():
        task.get_loop().call_soon_threadsafe(task.cancel)


def _missing(recipe: Recipe) -> list[Recipe]:
    """Return the recipes whose instances are kept but don't exist yet, each after those it needs."""
    order: dict[Recipe, None] = {}
    stack = [recipe]
    while stack:
        last = stack[-1]
        if last in order or last.ready:
            stack.pop()
            continue
        missing = [one for one in last.inputs if one not in order and not one.ready]
        if missing:
            stack += reversed(missing)
        else:
            order[stack.pop()] = None
    return [one for one in order if one.cached]


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


def _way(start: Creation, goal: Creation) -> list[Creation]:
    """Return the creations from one to another, each waiting for the next; empty where there is no such way."""
    ways = {start: [start]}
    queue = [start]
    for one in queue:
        if one is goal:
            return ways[one]
        for awaited in one.waits:
            if awaited not in ways:
                ways[awaited] = [*ways[one], awaited]
                queue.append(awaited)
    return []


def _way_up(creation: Creation) -> list[Creation]:
    """Return the creations from another one of the same bean down to this one, where it is a part of it."""
    way = [creation]
    while creation.parent is not None and not creation.parent.over:
        creation = creation.parent
        way.insert(0, creation)
        if creation.recipe is way[-1].recipe:
            return way
    return []


def _circle(creations: Sequence[Creation]) -> CircularDependencyError:
    return CircularDependencyError([(one.definition.name, str(one.definition)) for one in creations])
