"""What a session and its scopes own, and the one way in which all of it ends."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context, ContextVar
from enum import Enum
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from cortado.settings import WebSocketSettings
from cortado.tasks import settle_all, start
from cortado.websocket.errors import DestroyedScopeError, SessionStateError
from cortado.websocket.hooks import LATE_CALLBACKS, Callbacks, call_hook
from cortado.websocket.values import UNSET, ScopedValue, Unset

__all__ = ["Beans", "Destruction", "Holdings", "Host", "OwnBeans", "destroy"]

logger = logging.getLogger("cortado.websocket")

T = TypeVar("T")

_left_behind: set[asyncio.Task[Any]] = set()  # the loop itself holds tasks only weakly


class Beans(Protocol):
    """Where a session, or a scope of it, gets its beans."""

    async def aget(self, bean: Any, qualifier: str | None = None, /) -> Any:
        """Return a bean."""
        ...


class OwnBeans(Beans, Protocol):
    """Beans that live as long as a session, or a scope of it."""

    async def aclose(self) -> None:
        """End them, in time and in order, even when cancelled half-way; raises what went wrong."""
        ...


class Host(Protocol):
    """The session to which holdings belong."""

    @property
    def id(self) -> str:
        """Its name, for logs."""
        ...

    @property
    def settings(self) -> WebSocketSettings:
        """Its limits."""
        ...

    def _lens(self, ids: tuple[str, ...]) -> object:
        """Return what callbacks of a scope are given: the session as the scope sees it."""
        ...

    def _own_context(self) -> Context:
        """Return a context in which the session's own code runs."""
        ...

    def _says_only_the_end(self, error: BaseException) -> bool:
        """Tell whether an exception only says that the session has ended."""
        ...

    def _withdraw(self, owners: "set[Holdings]") -> None:
        """Cancel the callbacks that scopes have registered with the session."""
        ...

    def _report(self, error: BaseException) -> None:
        """Take note of an error that is already logged."""
        ...

    def _keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a task alive until it is done, and have the application's end wait for it."""
        ...


class Phase(Enum):
    """How far the destruction of a scope has come."""

    LIVE = "live"
    ENDING = "ending"
    """Its callbacks have run; nothing may be added any more, but its beans are still there."""
    OVER = "over"


class Holdings:
    """What one scope of a session owns, until it is destroyed. The session itself is the root of its scopes."""

    __slots__ = (
        "__weakref__",
        "_entries",
        "_tasks",
        "_values",
        "beans",
        "children",
        "destruction",
        "end_beans",
        "enter_beans",
        "host",
        "ids",
        "name",
        "on_destroy",
        "open_beans",
        "parent",
        "phase",
        "registered",
    )

    def __init__(self, host: Host, parent: "Holdings | None" = None, id: str = "") -> None:
        self.host, self.parent = host, parent
        self.ids: tuple[str, ...] = () if parent is None else (*parent.ids, id)
        self.name = "-".join(self.ids)
        """The scope's name, which is the prefix of all its names; empty for the root."""
        self.phase = Phase.LIVE
        self.children: dict[str, Holdings] = {}
        self.destruction: Destruction | None = None
        self.on_destroy = Callbacks("on_destroy")
        self.registered = 0
        """Of the root: how many `on_destroy` callbacks were registered in all scopes."""
        self.beans: Beans | None = None
        self.end_beans: Callable[[], Awaitable[None]] | None = None  # where the beans are its own
        self.open_beans: Callable[[Beans, object], OwnBeans] | None = None  # of the root: for a scope within
        self.enter_beans: Callable[[Callable[[], Beans]], None] | None = None  # of the root: for their tasks
        # What most scopes never have is made when first needed.
        self._tasks: set[asyncio.Task[Any]] | None = None
        self._values: WeakSet[ScopedValue[Any]] | None = None
        self._entries: dict[object, Callable[[], None]] | None = None

    # The tree

    @property
    def root(self) -> "Holdings":
        """The holdings of the session itself."""
        one = self
        while one.parent is not None:
            one = one.parent
        return one

    def within(self, ids: tuple[str, ...], doing: str) -> "Holdings":
        """Return the holdings of a scope within, made now if need be.

        Raises:
            DestroyedScopeError: It, or a scope around it, is being destroyed.
        """
        self.check(doing)
        one = self
        for name in ids:
            known = one.children.get(name)
            if known is None:
                known = one.children[name] = Holdings(one.host, one, name)
            known.check(doing)
            one = known
        return one

    def known(self, ids: tuple[str, ...]) -> "Holdings | None":
        """Return the holdings of a scope within, if it has any."""
        one: Holdings | None = self
        for name in ids:
            one = None if one is None else one.children.get(name)
        return one

    def all(self) -> "list[Holdings]":
        """Return these holdings and all within, the deepest first."""
        found: list[Holdings] = [self]
        for one in found:
            found += one.children.values()
        return found[::-1]

    def around(self) -> "Iterator[Holdings]":
        """Yield these holdings and those around them, from the inside out."""
        one: Holdings | None = self
        while one is not None:
            yield one
            one = one.parent

    def check(self, doing: str) -> None:
        """Make sure that something may be added.

        Raises:
            DestroyedScopeError: It is too late for that.
        """
        if self.phase is not Phase.LIVE:
            cure = "make a new scope for it" if self.ids else "it would never end"
            raise DestroyedScopeError(self.name, doing, cure)

    # What is owned

    def add_task(
        self, work: Coroutine[Any, Any, T], name: str | None, context: Context | None
    ) -> asyncio.Task[T]:
        """Run some work in a task that ends with the scope.

        Raises:
            DestroyedScopeError: It is too late; the work is closed.
        """
        try:
            self.check("create a task")
        except DestroyedScopeError:
            work.close()
            raise
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def run(self, work: Awaitable[object], name: str) -> None:
        """Run some work in a task of the scope; nothing where the scope has none any more."""
        coroutine = work if inspect.iscoroutine(work) else _awaited(work)
        with contextlib.suppress(DestroyedScopeError):
            self.add_task(coroutine, name, self.host._own_context())

    def add_callback(self, callback: Callable[..., object], lens: object) -> Callable[[], None]:
        """Register a callback for the destruction."""
        self.root.registered += 1
        return self.on_destroy.add(callback, lens if self.ids else None)

    def add_value(self, initial: "T | Unset" = UNSET) -> ScopedValue[T]:
        """Return a value that is destroyed with the scope; only whoever uses it keeps it alive."""
        value: ScopedValue[T] = ScopedValue(self, initial)
        if self._values is None:
            self._values = WeakSet()
        self._values.add(value)
        return value

    def enter(self, remove: Callable[[], None]) -> Callable[[], None]:
        """Have a handler, a route or a download removed when the beans have ended; return what removes it now.

        Those of the session itself stay until `forget()`.
        """
        entries = self._entries = {} if self._entries is None else self._entries
        key = object()

        def leave() -> None:
            if entries.pop(key, None) is not None:
                remove()

        entries[key] = leave
        return leave

    def context_of_task(self, lens: object, context: Context) -> Context:
        """Return a context in which the scope's beans are those around the code, and open for whoever asks first."""
        enter = self.root.enter_beans
        if enter is not None and self.ids:
            context.run(enter, partial(self._own_beans, lens))
        return context

    async def aget(self, lens: object, bean: Any, qualifier: str | None) -> Any:
        """Return a bean of the scope; those that live in it have their place from the first that is asked for."""
        return await self._own_beans(lens).aget(bean, qualifier)

    def _own_beans(self, lens: object) -> Beans:
        if self.beans is not None:
            return self.beans
        if self.parent is None:
            raise SessionStateError("cannot get a bean: no container serves this session")
        if self.phase is Phase.OVER:
            raise DestroyedScopeError(self.name, "get a bean", "make a new scope for it")
        around = self.parent._own_beans(self.host._lens(self.parent.ids))
        opened = self.root.open_beans
        if opened is None:
            return around
        beans = opened(around, lens)
        self.beans, self.end_beans = beans, beans.aclose
        return beans

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        if self._tasks is not None:
            self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None or self.host._says_only_the_end(error):
            return
        logger.error("Task %s of %s failed", task.get_name(), self, exc_info=error)

    def __str__(self) -> str:
        return f"session {self.host.id}" + (f", scope {self.name}" if self.ids else "")

    @property
    def bare(self) -> bool:
        """Whether nothing has to be ended, except beans."""
        return not (self.children or self.on_destroy or self._tasks)

    # The end of it, step by step

    def seal(self) -> None:
        """Take in nothing more."""
        self.phase = Phase.ENDING
        self.on_destroy.finish()

    def cancel_tasks(self) -> set[asyncio.Task[Any]]:
        """Cancel the scope's tasks, once each, and return them."""
        tasks = set(self._tasks or ())
        for task in tasks:
            task.cancel()
        return tasks

    async def close_beans(self) -> None:
        """End the scope's own beans, whatever they do."""
        self.phase = Phase.OVER
        end, self.end_beans = self.end_beans, None
        if end is None:
            return
        try:
            await end()
        except asyncio.CancelledError:
            logger.debug(
                "The end of the beans of %s was cancelled on its way", self
            )  # and complete all the same
        except Exception as error:
            logger.exception("Beans of %s could not be ended as they should", self)
            self.host._report(error)

    def forget(self) -> None:
        """Remove handlers, routes and downloads, and destroy the values."""
        self._remove_entries()
        values, self._values = self._values, None
        for value in tuple(values or ()):
            value.destroy()

    def leave_values(self) -> None:
        """Let the session have the values: its end decides whether they stay readable."""
        if self._values:
            root = self.root
            root._values = WeakSet() if root._values is None else root._values
            root._values.update(self._values)
        self._values = None
        self._remove_entries()

    def detach(self) -> None:
        """Make room for a new scope of the same id."""
        if self.parent is not None:
            self.parent.children.pop(self.ids[-1], None)

    def _remove_entries(self) -> None:
        for remove in tuple((self._entries or {}).values()):
            remove()


class Destruction:
    """The end of a scope and all within it, carried through once.

    The callbacks come first, those of the deepest scopes before all others, while everything is still there. Then
    nothing may be added any more, and the tasks of all these scopes are cancelled and awaited. Then, the deepest scope
    first, beans end, and handlers, routes, downloads and values go.
    """

    __slots__ = ("_around", "_done", "_ends", "_scopes", "host", "top")

    def __init__(self, top: Holdings, *, ends: bool = False) -> None:
        """Prepare the end of some holdings.

        Args:
            top: The scope.
            ends: Whether this is the end of the session: values then stay, and so does what else the root holds.
        """
        self.top, self.host = top, top.host
        self._ends = ends
        self._around = _within.get()
        self._scopes: list[Holdings] = []  # the deepest first, once nothing more can be added
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        top.destruction = self

    @property
    def over(self) -> bool:
        """Whether it is done."""
        return self._done.done()

    async def wait(self) -> None:
        """Wait until it is done. Cancelling stops only the waiting."""
        await asyncio.shield(self._done)

    def begin(self, before: "asyncio.Task[None] | None" = None) -> None:
        """Start it in a task of its own; once more if that was cancelled before its first step."""
        if before is None or not self.over:
            task = start(self.run(), f"cortado-destroy {self.top.name}", self.host._own_context())
            task.add_done_callback(self.begin)
            self.host._keep(task)

    async def run(self) -> None:
        """Carry it through, to its end, however often the task is cancelled. It raises nothing."""
        _within.set((*self._around, self))
        steps = (
            self._wait_for_others,
            self._run_callbacks,
            self._seal,
            self._end_tasks,
            self._close_beans,
            self._clear,
        )
        for step in steps:
            try:
                await step()
            except BaseException:
                logger.exception("Step %s in the destruction of %s failed", step.__name__, self.top)
        self.top.detach()
        self.top.children.clear()
        if not self.over:
            self._done.set_result(None)

    async def _wait_for_others(self) -> None:
        """Let those come to their end that are under way within."""
        while others := [
            one.destruction
            for one in self.top.all()
            if one is not self.top and one.destruction is not None and not one.destruction.over
        ]:
            await settle_all({one._done for one in others}, WAIT)

    async def _run_callbacks(self) -> None:
        host = self.host
        left = LATE_CALLBACKS + sum(len(one.on_destroy) for one in self.top.all())
        for one, callback in self._callbacks():
            name = f"{host.id}, scope {one.name}" if one.ids else host.id
            hook = partial(callback, host._lens(one.ids))
            error = await call_hook("on_destroy", name, hook, host.settings.hook_timeout)
            if error is not None:
                host._report(error)
            left -= 1
            if not left:
                logger.error("on_destroy of %s keep registering others; the rest is dropped", self.top)
                break

    def _callbacks(self) -> "Iterator[tuple[Holdings, Callable[[Any], object]]]":
        """Yield the callbacks, always the next one of the deepest scope that has one."""
        root, known, scopes = self.top.root, -1, list[Holdings]()
        while True:
            if known != root.registered:
                known, scopes = root.registered, self.top.all()[::-1]
            callback = scopes[-1].on_destroy.pop()
            if callback is not None:
                yield scopes[-1], callback
            elif len(scopes) > 1:
                scopes.pop()
            else:
                return

    async def _seal(self) -> None:
        self._scopes = self.top.all()
        for one in self._scopes:
            one.seal()
        self.host._withdraw(set(self._scopes))

    async def _end_tasks(self) -> None:
        owners = {task: one for one in self._scopes for task in one.cancel_tasks()}
        for task in await settle_all(owners, self.host.settings.hook_timeout):
            logger.error(
                "Task %s of %s swallowed its cancellation and was left behind", task.get_name(), owners[task]
            )
            _left_behind.add(task)
            task.add_done_callback(_left_behind.discard)

    async def _close_beans(self) -> None:
        for one in self._scopes:
            await one.close_beans()

    async def _clear(self) -> None:
        for one in self._scopes:
            if not self._ends:
                one.forget()
            elif one is not self.top:
                one.leave_values()


WAIT = 3600.0
"""Seconds; no destruction takes that long: whatever it waits for has a limit of its own."""

_within: ContextVar[tuple[Destruction, ...]] = ContextVar("cortado_destructions", default=())
"""The destructions that the running code is part of."""


async def destroy(top: Holdings) -> None:
    """Destroy a scope, and wait until that is done; whoever comes second waits for the same end.

    Code that the destruction waits for, such as its callbacks, isn't made to wait. Cancelling stops only the waiting.
    """
    covering = (one.destruction for one in top.around())
    destruction = next((one for one in covering if one is not None and not one.over), None)
    if destruction is None:
        destruction = Destruction(top)
        destruction.begin()
    scopes = set(top.around()) | set(top.all())
    if not any(one.top in scopes for one in _within.get()):
        await destruction.wait()


async def _awaited(work: Awaitable[T]) -> T:
    return await work
