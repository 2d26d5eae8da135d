"""Values that live as long as a scope of a session."""

import asyncio
import inspect
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from cortado.websocket.errors import DestroyedScopeError, SessionStateError
from cortado.websocket.hooks import wants_argument

__all__ = ["UNSET", "ScopedValue", "Unset"]

logger = logging.getLogger("cortado.websocket")

T = TypeVar("T")


class Unset:
    """The type of `UNSET`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()
"""What stands for no value."""


class Owner(Protocol):
    """The scope that a value belongs to."""

    name: str

    def run(self, work: Awaitable[object], name: str) -> None:
        """Run some work in a task of the scope; nothing where the scope has none any more."""
        ...


class ScopedValue(Generic[T]):
    """A value that a scope owns: it can be read, set and followed until the scope is destroyed.

    `session.value()` makes one. The end of the session alone destroys it only if that was a hard one: after a soft end
    it stays readable for work that outlives the connection. For one event loop.
    """

    __slots__ = ("__weakref__", "_changes", "_destroyed", "_followers", "_owner", "_scope", "_value")

    def __init__(self, owner: Owner, initial: "T | Unset" = UNSET) -> None:
        self._owner = weakref.ref(owner)  # a value that is kept keeps no scope alive
        self._scope = owner.name
        self._value = initial
        self._destroyed = False
        self._changes = 0
        self._followers: dict[_Follower[T], None] = {}

    def get(self) -> T:
        """Return the value.

        Raises:
            DestroyedScopeError: The scope is destroyed.
            SessionStateError: It was never set.
        """
        self._check("get the value")
        if isinstance(self._value, Unset):
            raise SessionStateError(
                "cannot get the value: it was never set; give an initial one or ask is_set()"
            )
        return self._value

    def set(self, value: T) -> None:
        """Set the value, and tell those who follow it if it is another one: another object that isn't equal.

        Raises:
            DestroyedScopeError: The scope is destroyed.
        """
        self._check("set the value")
        before, self._value = self._value, value
        if not _same(before, value):
            self._changes += 1
            self._tell(value, self._changes)

    def is_set(self) -> bool:
        """Tell whether there is a value; False when the scope is destroyed."""
        return not isinstance(self._value, Unset)

    def on_change(self, callback: Callable[..., object]) -> Callable[[], None]:
        """Call `fn()` or `fn(value)` at every change, in the order of registration, before `set()` returns.

        An awaitable that it returns is awaited in a task of the value's scope. One that raises is logged, and hurts
        neither `set()` nor the others. A bound method is held weakly: it is called for as long as somebody else has
        its object. Any other function is held until the value's scope is destroyed: a scope that follows the value of
        a longer one hands what this returns to its own `on_destroy()`.

        Returns:
            A function that cancels the registration.

        Raises:
            DestroyedScopeError: The scope is destroyed.
            TypeError: It can't be called with one argument or none.
        """
        self._check("follow the value")
        follower = _Follower(callback, self._followers)
        self._followers[follower] = None
        return follower.cancel

    def __repr__(self) -> str:
        told = "destroyed" if self._destroyed else repr(self._value)
        return f"<ScopedValue of {self._scope or 'the session'}: {told}>"

    def destroy(self) -> None:
        """Forget the value; the framework calls this."""
        self._destroyed = True
        self._value = UNSET
        self._followers.clear()

    def _check(self, doing: str) -> None:
        if self._destroyed:
            raise DestroyedScopeError(
                self._scope, doing, "what shall outlive a scope belongs to a longer one, and is passed in"
            )

    def _tell(self, value: T, change: int) -> None:
        for follower in tuple(self._followers):
            if change != self._changes or self._destroyed:
                return  # a follower has set another value, of which all were told
            if follower not in self._followers:
                continue
            try:
                outcome = follower.call(value)
            except (Exception, asyncio.CancelledError):
                logger.exception("on_change of a value of scope %r failed", self._scope)
                continue
            if inspect.isawaitable(outcome):
                self._await(outcome)

    def _await(self, outcome: Awaitable[object]) -> None:
        owner = self._owner()
        if owner is not None:
            owner.run(outcome, "cortado-on_change")
        elif inspect.iscoroutine(outcome):
            outcome.close()


class _Follower(Generic[T]):
    __slots__ = ("__weakref__", "_callback", "_followers", "_wants_value")

    def __init__(self, callback: Callable[..., object], followers: "dict[_Follower[T], None]") -> None:
        self._wants_value = wants_argument(callback)
        self._followers = followers
        self._callback: Callable[[], Callable[..., object] | None] = lambda: callback
        if inspect.ismethod(callback):
            try:
                self._callback = weakref.WeakMethod(callback, self._gone)
            except TypeError:
                return  # its object can't be held weakly

    def cancel(self) -> None:
        self._followers.pop(self, None)

    def call(self, value: T) -> object:
        callback = self._callback()
        if callback is None:
            return None
        return callback(value) if self._wants_value else callback()

    def _gone(self, _: object) -> None:
        self.cancel()


def _same(before: object, now: object) -> bool:
    if before is now:
        return True
    try:
        return type(before) is type(now) and bool(before == now)
    except Exception:  # noqa: BLE001 - some objects, such as arrays, can't say whether they are equal
        return False
