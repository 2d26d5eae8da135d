"""Callbacks of a session: kept in the order of registration, run one by one, each isolated and limited in time."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Container, Iterator
from typing import Any

from cortado.tasks import settle, start
from cortado.websocket.errors import SessionStateError, WebSocketDisconnect

__all__ = ["LATE_CALLBACKS", "Callbacks", "FlushCallbacks", "call_hook", "wants_argument"]

logger = logging.getLogger("cortado.websocket")

CUT_TIMEOUT = 1.0
"""How long a hook that is cut may take to give way, in seconds."""

LATE_CALLBACKS = 1000
"""How many callbacks of a kind may be registered while they run: an end must come to an end."""

_left_behind: "set[asyncio.Task[None]]" = set()  # the loop itself holds tasks only weakly


class Callbacks:
    """The callbacks of one kind. Each is taken out before it runs, so that none runs twice."""

    __slots__ = ("_over", "_waiting", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        """What registers them, such as `on_ended`."""
        self._waiting: dict[_Registration, None] = {}
        self._over = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self, callback: Callable[..., object], session: Any = None, owner: object = None
    ) -> Callable[[], None]:
        """Register a callback, `fn()` or `fn(session)`; return a function that cancels the registration.

        Args:
            callback: What to call.
            session: What it is given; when left out, the session that it is called for.
            owner: With whom it goes, by `withdraw()`.

        Raises:
            SessionStateError: The callbacks of this kind have already run.
            TypeError: It can't be called with the session or without arguments.
        """
        if self._over:
            raise SessionStateError(
                f"cannot register {self.kind}: its callbacks have run; register while the session is open"
            )
        return _Registration(_caller(callback, session), self._waiting, owner).cancel

    def pop(self) -> "Callable[[Any], object] | None":
        """Return the next callback, as a function of the session, or None when there is no more for now."""
        for registration in self._waiting:
            return registration.taken()
        return None

    def withdraw(self, owners: Container[object]) -> None:
        """Cancel what belongs to some owners."""
        _withdraw(self._waiting, owners)

    def finish(self) -> None:
        """Refuse registrations from now on: their turn is over."""
        self._over = True


class FlushCallbacks:
    """The callbacks of one side of a flush: of the next one only, or of every one until they are cancelled."""

    __slots__ = ("_waiting", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        """What registers them: `on_flush` or `on_flushed`."""
        self._waiting: dict[_Registration, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self, callback: Callable[..., object], session: Any, owner: object, *, once: bool
    ) -> Callable[[], None]:
        """Register a callback, `fn()` or `fn(session)`; return a function that cancels the registration.

        Args:
            callback: What to call.
            session: What it is given.
            owner: With whom it goes, by `withdraw()`.
            once: Whether it comes at the next flush only.

        Raises:
            TypeError: It can't be called with the session or without arguments.
        """
        return _Registration(_caller(callback, session), self._waiting, owner, once=once).cancel

    def turn(self) -> Iterator[Callable[[Any], object]]:
        """Yield the callbacks of one flush, in order, as functions of the session.

        What is registered meanwhile waits for the next flush; what is cancelled meanwhile doesn't come.
        """
        for registration in tuple(self._waiting):
            if registration in self._waiting:
                yield registration.taken()

    def withdraw(self, owners: Container[object]) -> None:
        """Cancel what belongs to some owners."""
        _withdraw(self._waiting, owners)


class _Registration:
    """A callback that waits for its turn. Once it has come, or is cancelled, nothing here holds it any more."""

    __slots__ = ("_waiting", "call", "once", "owner")

    def __init__(
        self,
        call: Callable[[Any], object],
        waiting: "dict[_Registration, None]",
        owner: object,
        *,
        once: bool = True,
    ) -> None:
        self.call, self.owner, self.once = call, owner, once
        self._waiting = waiting
        waiting[self] = None

    def cancel(self) -> None:
        self._waiting.pop(self, None)
        self.call, self.owner = _nothing, None

    def taken(self) -> Callable[[Any], object]:
        """Return the callback, as a function of the session; one that comes once waits no more."""
        call = self.call
        if self.once:
            self.cancel()
        return call


def _nothing(session: object) -> None: ...


def _withdraw(waiting: dict[_Registration, None], owners: Container[object]) -> None:
    for registration in tuple(waiting):
        if registration.owner is not None and registration.owner in owners:
            registration.cancel()


def _caller(callback: Callable[..., object], session: Any) -> Callable[[Any], object]:
    if not wants_argument(callback):
        return lambda _: callback()
    return callback if session is None else lambda _: callback(session)


def wants_argument(callback: Callable[..., object]) -> bool:
    """Tell whether a callback is to be given one argument; one that needs none gets none.

    Raises:
        TypeError: It can't be called, or needs more than one argument.
    """
    if not callable(callback):
        raise TypeError(f"a callback must be callable, not {callback!r}")
    try:
        signature = inspect.signature(callback)
    except ValueError:
        return True  # some builtins, such as the `discard` of a set, have no signature
    for arguments in ((), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise TypeError(
        f"a callback takes no argument or the session, but the signature of {callback!r} is {signature}"
    )


async def call_hook(
    name: str, session_id: str, hook: Callable[[], object], timeout: float
) -> BaseException | None:
    """Run a hook, sync or async, to its end; whatever it does, this returns in time and raises nothing.

    A hook that raises is logged once. One that runs longer than `timeout` seconds is cut by a cancellation; one that
    swallows the cancellation is logged and left behind. Cancelling the caller doesn't reach the hook.

    Returns:
        What the hook failed with, or None.
    """
    try:
        outcome = hook()
    except BaseException as error:  # noqa: BLE001 - one hook's failure must not skip the next
        return _failed(name, session_id, error)
    if not inspect.isawaitable(outcome):
        return None
    failures: list[BaseException] = []
    task = start(_collect(outcome, failures), f"cortado-{name}")
    while (
        ended := await settle(task, timeout)
    ) and task.cancelled():  # before its first step: it has not run
        task = start(_collect(outcome, failures), f"cortado-{name}")
    if not ended:
        return await _cut(name, session_id, task, timeout)
    return _failed(name, session_id, failures[0]) if failures else None


async def _collect(outcome: Awaitable[object], failures: list[BaseException]) -> None:
    try:
        await outcome
    except BaseException as error:  # noqa: BLE001 - even SystemExit must not skip the next hook
        failures.append(error)


async def _cut(name: str, session_id: str, task: asyncio.Task[None], timeout: float) -> BaseException:
    task.cancel()
    if await settle(task, CUT_TIMEOUT):
        logger.error("%s of session %s was cut after %g s", name, session_id, timeout)
    else:
        logger.error("%s of session %s swallowed its cancellation and was left behind", name, session_id)
        _left_behind.add(task)
        task.add_done_callback(_left_behind.discard)
    return TimeoutError(f"{name} of session {session_id} took longer than {timeout:g} s")


def _failed(name: str, session_id: str, error: BaseException) -> BaseException | None:
    if isinstance(error, WebSocketDisconnect):
        logger.debug("%s of session %s found the session ended", name, session_id)
        return None
    logger.error("%s of session %s failed", name, session_id, exc_info=error)
    return error
