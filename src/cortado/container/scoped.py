"""A scope that is open: beans that live as long as one connection, one request, or one piece of work."""

import contextvars
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, overload

from cortado.container.errors import NoSuchBeanError, ScopeClosedError, ScopeCloseError
from cortado.container.lifetimes import Lifetime
from cortado.container.recipes import NOT_READY, Given, Recipe
from cortado.container.registration import define_given
from cortado.container.teardown import Finaliser, raise_all, report

__all__ = ["BeanScope", "Beans", "ScopeOnDemand"]

T = TypeVar("T")


class Beans(Protocol):
    """What a scope needs of its container."""

    def recipe_for(self, bean: Any, qualifier: str | None) -> Recipe:
        """Return the recipe in force of the bean of a type or name."""
        ...


class BeanScope(Lifetime):
    """The beans of one connection, one request, or one piece of work, from its beginning to its end.

    `Container.scope()` opens one. While its `async with` block runs, `Lazy` and `Container.get` find its beans, too,
    in this task and in the tasks that it starts. Its end ends the scopes within it, then its beans, last created
    first, each finaliser by itself and within the container's `close_timeout`.

    Attributes:
        kind: The scope's word.
        parent: The scope around it; directly below the container, the container's own lifetime.
        closed: Whether it has ended, or is about to.
    """

    __slots__ = ()

    _beans: Beans

    async def __aenter__(self) -> Self:
        self._token = self.active.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            with suppress(ValueError):  # entered in another context, which is nobody's any more
                self.active.reset(self._token)
            self._token = None
        try:
            if not self.leave():
                await self.aclose()
        except ScopeCloseError as failed:
            if error is None or isinstance(error, Exception):
                raise
            report(failed.exceptions)  # a cancellation goes on

    @overload
    def get(self, bean: type[T], qualifier: str | None = None) -> T: ...

    @overload
    def get(self, bean: Any, qualifier: str | None = None) -> Any: ...

    def get(self, bean: Any, qualifier: str | None = None) -> Any:
        """Return the bean of a type or name, created now if need be; or an object that the scope was given.

        Raises:
            NoSuchBeanError: There is none.
            NoUniqueBeanError: There are several, and nothing prefers one of them.
            NoActiveScopeError: It lives in a scope that this one isn't in.
            AsyncBeanError: It, or a bean it needs, has to be awaited and isn't ready.
            BeanCreationError: It can't be created; the next call tries again.
            ScopeClosedError: The scope has ended.
        """
        recipe = self._recipe(bean, qualifier)
        instance = self.at_once(recipe)
        return self.resolve(recipe) if instance is NOT_READY else instance

    @overload
    async def aget(self, bean: type[T], qualifier: str | None = None) -> T: ...

    @overload
    async def aget(self, bean: Any, qualifier: str | None = None) -> Any: ...

    async def aget(self, bean: Any, qualifier: str | None = None) -> Any:
        """Return the bean of a type or name, waiting for its creation if need be; or an object given to the scope.

        Cancelling is safe: a creation under way goes on for the others who wait for it.

        Raises:
            NoSuchBeanError: There is none.
            NoUniqueBeanError: There are several, and nothing prefers one of them.
            NoActiveScopeError: It lives in a scope that this one isn't in.
            BeanCreationError: It can't be created; the next call tries again.
            ScopeClosedError: The scope has ended.
        """
        recipe = self._recipe(bean, qualifier)
        instance = self.at_once(recipe)
        return await self.aresolve(recipe) if instance is NOT_READY else instance

    def on_close(self, callback: Callable[[], Awaitable[object] | object]) -> None:
        """Have a function called, and awaited where it returns an awaitable, when the scope ends.

        Its turn comes before everything that was created, or registered, earlier.

        Raises:
            ScopeClosedError: The scope has ended.
        """
        subject = f"a {self.kind} scope"
        self.at_end(Finaliser(subject, contextvars.copy_context(), (callback,)))

    async def aclose(self) -> None:
        """End the scope. Does nothing when it has ended; several callers wait for the same end.

        Runs to its end even when cancelled half-way; the cancellation goes on then. A finaliser of this scope, or of
        one within it, doesn't wait, for the end waits for the finaliser.

        Raises:
            ScopeCloseError: Some finalisers failed; all were run.
        """
        failures = await self.end()
        if failures:
            raise_all(failures, f"not everything of this {self.kind} scope could be ended")

    def _recipe(self, bean: Any, qualifier: str | None) -> Recipe:
        if self.closed and not self._instances:
            raise self._over()
        try:
            return self._beans.recipe_for(bean, qualifier)
        except NoSuchBeanError:
            if qualifier is not None or not isinstance(bean, type) or self.given(bean) is NOT_READY:
                raise
            return Given(define_given(bean, self.kind))


class ScopeOnDemand:
    """A scope that opens for whoever asks first, and for nobody once its time is over.

    Args:
        open: Opens the scope.
        kind: The scope's word.
    """

    __slots__ = ("_kind", "_lock", "_open", "_over", "_scope")

    def __init__(self, open: Callable[[], BeanScope], kind: str) -> None:
        self._open = open
        self._kind = kind
        self._scope: BeanScope | None = None
        self._over = False
        self._lock = threading.Lock()

    def opened(self) -> BeanScope:
        """Return the scope.

        Raises:
            ScopeClosedError: Its time is over, and it wasn't opened.
        """
        with self._lock:
            if self._scope is None and self._over:
                raise ScopeClosedError(self._kind)
            if self._scope is None:
                self._scope = self._open()
            return self._scope

    async def aget(self, bean: Any, qualifier: str | None = None) -> Any:
        """Return a bean as `BeanScope.aget` does."""
        return await self.opened().aget(bean, qualifier)

    async def aclose(self) -> None:
        """End the scope as `BeanScope.aclose` does, if it was opened."""
        with self._lock:
            self._over = True
            scope = self._scope
        if scope is not None:
            await scope.aclose()

    def is_around(self, around: object) -> bool:
        """Whether something that is found around running code is this scope."""
        return around is self or (around is self._scope and around is not None)
