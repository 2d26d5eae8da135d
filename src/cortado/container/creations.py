"""Creations under way: who waits for whom, and what is a circle."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextvars import Context, ContextVar
from threading import get_ident

from cortado.container.definitions import BeanDefinition
from cortado.container.errors import CircularDependencyError
from cortado.container.recipes import Recipe

__all__ = [
    "Creation",
    "Run",
    "RunOver",
    "SharedCreation",
    "circle",
    "creating",
    "way",
    "way_up",
    "within_creation",
]


class Creation:
    """One instance on its way, and what its factory waits for.

    Attributes:
        recipe: What is being created.
        parent: The creation of which this one is a part.
        waits: The creations that it waits for.
        over: Whether it has ended, well or not.
    """

    __slots__ = ("over", "parent", "recipe", "waits")

    def __init__(self, recipe: Recipe, parent: "Creation | None") -> None:
        self.recipe = recipe
        self.parent = parent
        self.waits: tuple[Creation, ...] = ()
        self.over = False

    @property
    def definition(self) -> BeanDefinition:
        """What is being created."""
        return self.recipe.definition


class SharedCreation(Creation):
    """A creation that several may wait for.

    Attributes:
        context: That of the factory, and of what ends the instance; gone when it is over.
        thread: Where the factory was called.
        awaits: Whether it runs in a task.
        task: The task, once it is known.
        error: Why it failed.
        outcome: Set for those who wait, when it is over; None while there is none of them.
    """

    __slots__ = ("awaits", "context", "error", "outcome", "task", "thread")

    def __init__(self, recipe: Recipe, parent: Creation | None) -> None:
        super().__init__(recipe, parent)
        self.context = Context()
        self.thread = get_ident()
        self.awaits = False
        self.task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None
        self.outcome: Future[None] | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it can't come to an end, because the event loop of its task is closed."""
        return not self.over and self.task is not None and self.task.get_loop().is_closed()

    def awaited(self) -> "Future[None]":
        """Return what is done when the creation is over; to be called under the lock, and before it is."""
        if self.outcome is None:
            self.outcome = Future()
            self.outcome.set_running_or_notify_cancel()  # so that a waiter's cancellation can't reach it
        return self.outcome

    def close(self, error: BaseException | None = None) -> None:
        """Say that it is over; to be called under the lock, for nobody can begin to wait any more."""
        self.error, self.over = error, True

    def conclude(self) -> None:
        """Let those go on who wait for it."""
        del self.context  # which holds this creation
        if self.outcome is not None:
            self.outcome.set_result(None)

    def check(self) -> None:
        """Raise what it failed with, if it failed."""
        if self.error is not None:
            raise self.error


class Run(Creation):
    """The creations of one compiled plan, one after another; `recipe` is the one under way.

    Whoever creates something of the same lifetime meanwhile disturbs it, and it stops at the next bean. Each of the
    two first says what it does and then looks at what the other does, so that at least one of them gives way.
    """

    __slots__ = ("around", "awaiting", "disturbed", "thread")

    def __init__(self, recipe: Recipe, parent: Creation | None, around: object) -> None:
        self.recipe = recipe
        self.around = around
        self.parent = parent
        self.waits = ()
        self.over = False
        self.disturbed = False
        self.awaiting: tuple[SharedCreation, ...] = ()
        self.thread = get_ident()

    def end(self) -> SharedCreation:
        """Return what is done when this run is over, for those who wait for its bean; to be called under the lock."""
        ended = SharedCreation(self.recipe, self.parent)
        ended.thread = self.thread
        ended.waits = (self,)
        ended.awaited()  # before anybody can conclude it
        self.awaiting = (*self.awaiting, ended)
        return ended


class RunOver(Exception):
    """A run that created the bean, or failed to, is over: look again."""


creating: ContextVar[Creation | None] = ContextVar("creating", default=None)
"""The creation of which the running code is a part."""


def within_creation() -> bool:
    """Whether the code that asks is part of the creation of a bean."""
    creation = creating.get()
    return creation is not None and not creation.over


def way(start: Creation, goal: Creation) -> list[Creation]:
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


def way_up(creation: Creation) -> list[Creation]:
    """Return the creations from another one of the same bean down to this one, where it is a part of it."""
    found = [creation]
    while creation.parent is not None and not creation.parent.over:
        creation = creation.parent
        found.insert(0, creation)
        if creation.recipe is found[-1].recipe:
            return found
    return []


def circle(creations: Sequence[Creation]) -> CircularDependencyError:
    """Return the error for creations that wait for each other; the first is also the last."""
    recipes = [one.recipe for one in creations]
    once = [one for at, one in enumerate(recipes) if at < 2 or one is not recipes[at - 1]]
    return CircularDependencyError([(one.definition.name, str(one.definition)) for one in once])
