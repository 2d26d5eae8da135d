"""The session: one WebSocket connection, whatever carries it."""

import asyncio
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, Literal, Protocol, TypeVar, overload

from cortado.head import Headers, MultiMapping
from cortado.problems import MEDIA_TYPE, Problem
from cortado.settings import WebSocketSettings
from cortado.websocket.close import CloseEvent, Initiator, check_close_code, cut_reason
from cortado.websocket.errors import InvalidFrame, InvalidMessage, SessionStateError, WebSocketDisconnect
from cortado.websocket.flush import Flush
from cortado.websocket.holdings import Destruction, Holdings, destroy
from cortado.websocket.hooks import Callbacks, call_hook, wants_argument
from cortado.websocket.inbox import Inbox
from cortado.websocket.outbox import Outbox, Pace, payload_size
from cortado.websocket.repetition import Repetition
from cortado.websocket.transport import Departure, RawHeaders, Transport
from cortado.websocket.values import UNSET, ScopedValue

__all__ = ["Keeper", "Refusal", "SessionState", "WebSocketSession", "current_session"]

logger = logging.getLogger("cortado.websocket")

Result = TypeVar("Result")
HeaderItems = Mapping[str, str] | Sequence[tuple[str, str]]
JsonMode = Literal["text", "binary"]

LOSS_TURNS = 3
"""How many turns of the loop the reading side has to tell how the peer left, once a send has failed."""

DEFAULT_HARD_MESSAGE = "This session has been closed."

current_session: ContextVar["WebSocketSession | None"] = ContextVar("cortado_session", default=None)
"""The session whose handler, task or hook runs here."""


class SessionState(StrEnum):
    """Where a session is on its way."""

    CONNECTING = "connecting"
    """The handshake is neither accepted nor refused."""
    OPEN = "open"
    """Messages go both ways."""
    CLOSING = "closing"
    """The end has begun; `close_event` tells how."""
    CLOSED = "closed"
    """The hooks have run; nothing of the session is left."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP response that refuses a handshake."""

    status: int
    headers: RawHeaders
    body: bytes
    title: str

    @classmethod
    def of(cls, problem: Problem) -> "Refusal":
        """Return the response for a problem."""
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        headers += [
            (name.lower().encode(), value.encode("latin-1")) for name, value in problem.headers.items()
        ]
        return cls(problem.status, headers, problem.to_json(), problem.title)


class Keeper(Protocol):
    """Who runs a session, as the session sees it."""

    def report(self, error: BaseException) -> None:
        """Take note of an error that is already logged."""
        ...

    def hold(self, task: asyncio.Task[Any]) -> None:
        """Keep a task alive until it is done, and have the application's end wait for it."""
        ...


def encode_json(data: object) -> bytes:
    """Return JSON as UTF-8, by the standard library."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


class WebSocketSession:
    """One WebSocket connection.

    The handler of a session, the tasks that it started and the session's hooks are its own: their sends wait for the
    wire, and they learn of the end by `WebSocketDisconnect`. To everybody else the session is a recipient that never
    makes them wait and never raises for its state. However the connection ends, its hooks run exactly once.

    Sessions are made by the framework, one for each connection, and are used on one event loop.
    """

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_accepting",
        "_attributes",
        "_close_event",
        "_context",
        "_encode",
        "_ending",
        "_evicted",
        "_farewell_begun",
        "_flush",
        "_gone",
        "_handshake",
        "_hard_message",
        "_hard_passed",
        "_heard_farewell",
        "_holdings",
        "_id",
        "_in_scope",
        "_inbox",
        "_keeper",
        "_loop",
        "_notice",
        "_on_ended",
        "_on_hard_close",
        "_opened",
        "_outbox",
        "_pace",
        "_refusal",
        "_settings",
        "_state",
        "_surely_within",
        "_transport",
        "_waiters",
        "_wire_done",
    )

    _ids: tuple[str, ...] = ()  # the way from the session to the scope that this is; the session is the root

    def __init__(
        self,
        transport: Transport,
        settings: WebSocketSettings | None = None,
        *,
        ending: Callable[["WebSocketSession"], None] = lambda _: None,
        pace: Pace | None = None,
        encode: Callable[[object], bytes] = encode_json,
        hard_disconnect_message: str | None = None,
    ) -> None:
        """Wrap a transport.

        Args:
            transport: The connection.
            settings: Limits and times.
            ending: Called once, when the end begins and `close_event` is set.
            pace: Shared by the sessions of an application.
            encode: Makes JSON of what `send_json` is given.
            hard_disconnect_message: The text of a hard close that names none.
        """
        self._settings = settings or WebSocketSettings()
        self._attributes: dict[str, Any] = {}
        self._accepted = False
        self._loop = asyncio.get_running_loop()
        self._id = secrets.token_urlsafe(24)
        self._transport = transport
        self._handshake = transport.handshake
        self._state = SessionState.CONNECTING
        self._close_event: CloseEvent | None = None
        self._ending = ending
        self._opened: Callable[[], Awaitable[None]] | None = None  # tells those who listen
        self._pace = pace or Pace()
        self._encode = encode
        self._hard_message = hard_disconnect_message
        self._notice: str | None = None
        self._refusal: Refusal | None = None
        self._surely_within = (
            self.settings.max_message_size // 4
        )  # so many characters are never too many bytes
        self._accepting = False
        self._gone = False  # the peer can't be reached any more
        self._wire_done = False
        self._hard_passed = False
        self._farewell_begun = False  # the close frame is on its way, with the code that it has
        self._heard_farewell = False  # the peer's close frame has come
        self._evicted = False  # the peer did not read what was sent to it
        self._waiters: list[asyncio.Future[None]] = []  # for the wire step, or for CLOSED
        self._holdings = Holdings(self)
        self._keeper: Keeper | None = None
        self._flush: Flush | None = None  # made when first needed
        self._in_scope: Callable[[], bool] = (
            bool  # the running code is in the scope of its beans, or in one within; bool() is False
        )
        self._context: Context | None = None  # that of the handler
        self._inbox = Inbox(transport, self._departed)
        self._outbox = Outbox(
            transport,
            max_frames=self.settings.outbox_frames,
            max_bytes=self.settings.outbox_bytes,
            on_overflow=self.settings.on_overflow,
            lost=self._lost,
            overflowed=self._overflowed,
        )
        self._on_ended = Callbacks("on_ended")
        self._on_hard_close = Callbacks("on_hard_close")

    # What the peer said

    @property
    def id(self) -> str:
        """An unguessable name for this session."""
        return self._id

    @property
    def path(self) -> str:
        """The path of the handshake, decoded."""
        return self._handshake.path

    @property
    def path_params(self) -> Mapping[str, Any]:
        """The values of the path's variables."""
        return self._handshake.path_params

    @property
    def query_params(self) -> MultiMapping:
        """The parameters of the handshake's query."""
        return self._handshake.query_params

    @property
    def headers(self) -> Headers:
        """The header fields of the handshake."""
        return self._handshake.headers

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the handshake."""
        return self._handshake.cookies

    @property
    def client(self) -> tuple[str, int] | None:
        """Host and port of the peer, where the server knows them."""
        return self._handshake.client

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, in its order."""
        return self._handshake.subprotocols

    # Where the session is

    @property
    def settings(self) -> WebSocketSettings:
        """The limits and times in force for this session."""
        return self._settings

    @property
    def attributes(self) -> dict[str, Any]:
        """Room for what the handler wants to remember; cleared by a hard close only."""
        return self._attributes

    @property
    def accepted(self) -> bool:
        """Whether the handshake completed; stays True for ever after."""
        return self._accepted

    @property
    def state(self) -> SessionState:
        """Where the session is on its way."""
        return self._state

    @property
    def close_event(self) -> CloseEvent | None:
        """How the session ended; None while it hasn't. Complete before the first hook runs."""
        return self._close_event

    @property
    def dropped_frames(self) -> int:
        """How many frames of others the outbox's bound has cost."""
        return self._outbox.dropped

    def is_stub_session(self) -> bool:
        """Tell whether this is a stand-in without a connection."""
        return False

    # The handshake

    async def accept(self, subprotocol: str | None = None, headers: HeaderItems | None = None) -> None:
        """Complete the handshake; returns when the listeners of `SessionOpened` are done.

        Args:
            subprotocol: One of those that the client offers.
            headers: Fields for the response.

        Raises:
            WebSocketDisconnect: The client is already gone, or the session was closed meanwhile; `accepted` tells.
            SessionStateError: It was accepted before.
            ValueError: The subprotocol was not offered, or a header can't be sent.
        """
        if self._state is not SessionState.CONNECTING or self._accepting:
            if self._close_event is not None:
                raise self._disconnect()
            raise SessionStateError("cannot accept: the session is already accepted; call accept() once")
        if subprotocol is not None and subprotocol not in self.subprotocols:
            offered = ", ".join(self.subprotocols) or "none"
            raise ValueError(
                f"the client did not offer the subprotocol {subprotocol!r}; it offered: {offered}"
            )
        raw = _raw_headers(headers)
        self._accepting = True
        try:
            await self._transport.accept(subprotocol, raw)
        except asyncio.CancelledError:
            self._transport.abort()  # nobody knows how far the handshake got
            self._part(CloseEvent(1006, was_clean=False, initiator=Initiator.NETWORK))
            raise
        except Exception as error:
            self._lost()
            await self._loss_concluded()
            raise self._disconnect() from error
        else:
            self._accepted = True
            if self._close_event is None:
                self._state = SessionState.OPEN
        finally:
            self._accepting = False
            self._outbox.open()
        if self._opened is not None:
            await self._opened()
        if self._close_event is not None:
            raise self._disconnect()

    async def deny(
        self, status: int = 403, body: str | bytes | None = None, headers: HeaderItems | None = None
    ) -> None:
        """Refuse the handshake with an HTTP status.

        Where the server can't send a response here, the client sees 403. Returns when the refusal is on the wire.

        Args:
            status: An error status, 400 to 599.
            body: The response's body; a problem document when left out.
            headers: Fields for the response.

        Raises:
            SessionStateError: The handshake was accepted before.
            ValueError: The status is none of an error, or a header can't be sent.
        """
        if not 400 <= status <= 599:
            raise ValueError(f"a handshake is refused with an error status, 400 to 599, not {status!r}")
        if self.accepted or self._accepting:
            raise SessionStateError("cannot deny: the session is already accepted; call close() instead")
        refusal = Refusal.of(Problem(status))
        if body is not None:
            text = isinstance(body, str)
            kind = b"text/plain; charset=utf-8" if text else b"application/octet-stream"
            content = body.encode() if isinstance(body, str) else body
            refusal = replace(refusal, headers=[(b"content-type", kind)], body=content)
        given = _raw_headers(headers)
        names = {name for name, _ in given}
        kept = [item for item in refusal.headers if item[0] not in names]
        self._refuse(replace(refusal, headers=[*kept, *given]))
        await self.wait_closed()

    # Receiving

    async def receive(self) -> str | bytes:
        """Receive the next message.

        Cancelling is safe: no message is lost. One task at a time may receive.

        Raises:
            WebSocketDisconnect: The session has ended; `close_event` tells how. What had arrived comes first.
            SessionStateError: `accept()` was not called, or another task is receiving.
            InvalidMessage: The message is larger than `max_message_size`.
        """
        if self._state is SessionState.CONNECTING or self._inbox.receiving:
            raise self._wrong_receive()
        message = await self._inbox.get()
        if len(message) > self._surely_within:
            self._check_size(message)
        return message

    async def receive_text(self) -> str:
        """Receive the next message, which must be text; otherwise as `receive()`.

        Raises:
            InvalidFrame: It is a binary one.
        """
        # What receive() does, written again: a call less for every message.
        if self._state is SessionState.CONNECTING or self._inbox.receiving:
            raise self._wrong_receive()
        message = await self._inbox.get()
        if len(message) > self._surely_within:
            self._check_size(message)
        if isinstance(message, str):
            return message
        raise InvalidFrame("text", "binary")

    async def receive_bytes(self) -> bytes:
        """Receive the next message, which must be binary; otherwise as `receive()`.

        Raises:
            InvalidFrame: It is a text one.
        """
        message = await self.receive()
        if isinstance(message, bytes):
            return message
        raise InvalidFrame("binary", "text")

    async def receive_json(self, mode: JsonMode = "text") -> Any:
        """Receive the next message and decode it as JSON; otherwise as `receive()`.

        Raises:
            InvalidFrame: It is not of the mode's kind.
            InvalidMessage: It is not JSON.
        """
        _check_mode(mode)
        message = await (self.receive_text() if mode == "text" else self.receive_bytes())
        try:
            return json.loads(message)
        except (ValueError, RecursionError) as error:
            raise InvalidMessage("the message is not JSON") from error

    def iter_text(self) -> AsyncIterator[str]:
        """Iterate over text messages; ends quietly with the session."""
        return self._iterate(self.receive_text)

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over binary messages; ends quietly with the session."""
        return self._iterate(self.receive_bytes)

    def iter_json(self, mode: JsonMode = "text") -> AsyncIterator[Any]:
        """Iterate over JSON messages; ends quietly with the session."""
        return self._iterate(lambda: self.receive_json(mode))

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Iterate over messages of both kinds; ends quietly with the session."""
        return self._iterate(self.receive)

    # Sending

    async def send_text(self, data: str) -> bool:
        """Send a text message.

        For the session's own handler, its tasks and hooks: waits for the wire, at most `send_timeout`. For everybody
        else: never waits for this peer and never raises for its state. After a cancellation nobody knows whether the
        message was sent.

        Returns:
            True when the message was sent or queued; False when it was not, because the session is ending or over
            its bound. The session's own code never sees False.

        Raises:
            WebSocketDisconnect: The session has ended. Only its own code sees this.
            SessionStateError: `accept()` was not called. Only its own code sees this.
            TypeError: The data isn't text.
        """
        if not isinstance(data, str):
            raise TypeError(f"send_text() takes a str, not {type(data).__name__}")
        return await self._send(data)

    async def send_bytes(self, data: bytes) -> bool:
        """Send a binary message; otherwise as `send_text()`.

        Raises:
            TypeError: The data isn't bytes, a bytearray or a memoryview.
        """
        if not isinstance(data, bytes):
            if not isinstance(data, bytearray | memoryview):
                raise TypeError(f"send_bytes() takes bytes, not {type(data).__name__}")
            data = bytes(data)
        return await self._send(data)

    async def send_json(self, data: Any, mode: JsonMode = "text") -> bool:
        """Send a JSON message, as a text or as a binary frame; otherwise as `send_text()`.

        Raises:
            TypeError, ValueError: The data can't be written as JSON.
        """
        _check_mode(mode)
        encoded = self._encode(data)
        return await self._send(encoded.decode() if mode == "text" else encoded)

    # The end

    async def close(
        self, code: int = 1000, reason: str | None = None, *, hard: bool = False, message: str | None = None
    ) -> None:
        """End the session. Idempotent; never raises for the transport.

        Called by the session's own handler, tasks, hooks or beans it returns when the farewell is done, and the
        hooks run when the handler has ended. Called by anybody else it returns when the session is closed.
        Cancelling stops the waiting, not the end. Before `accept()` it refuses the handshake with 403.

        Args:
            code: The close code; a hard close has its own.
            reason: The close reason; cut to 123 bytes of UTF-8.
            hard: End for good: the client is told not to come back, `on_hard_close` hooks run, state is cleared.
                Turns an end that has begun softly into a hard one.
            message: The text that a hard close shows; the application's when left out.

        Raises:
            ValueError: The code is none that a close frame may carry.
        """
        check_close_code(code)
        if hard:
            self._close_hard(message)
        else:
            self._end(CloseEvent(code, cut_reason(reason)))
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait for the session's end.

        Returns when the session is closed and its hooks have run. The session's own code, for which they wait, gets
        on as soon as the farewell is done. Cancelling stops the waiting, not the end.
        """
        own = self._is_own() or self._in_scope()
        while self._state is not SessionState.CLOSED and not (own and self._wire_done):
            await self._next_step()

    def on_ended(self, callback: Callable[..., object]) -> Callable[[], None]:
        """Run a callback when the session has ended, accepted or not, after the handler; `fn()` or `fn(session)`.

        Callbacks run in the order of registration; one that is registered by another runs too. Sync or async; each
        is isolated and limited by `hook_timeout`. One that a scope registers is gone with the scope.

        Returns:
            A function that cancels the registration.

        Raises:
            SessionStateError: It is too late: they have run.
        """
        return self._register(self.root_scope()._on_ended, callback)

    def on_hard_close(self, callback: Callable[..., object]) -> Callable[[], None]:
        """Run a callback when the session was ended for good, after `on_ended`; otherwise as `on_ended()`."""
        return self._register(self.root_scope()._on_hard_close, callback)

    # What the session, or a scope of it, owns

    def make_scope(self, id: str) -> "WebSocketSession":
        """Return a scope of this session: the session as a part of it sees it, with names of its own.

        A scope has all that a session has. What it registers, creates and is given belongs to it, and ends with its
        `destroy()`; the connection is the session's. Nothing is kept here: two scopes of one id are the same scope.
        Scopes may be made in scopes.

        Args:
            id: Letters, digits and underscores, also those of other alphabets.

        Raises:
            ValueError: The id is something else.
        """
        from cortado.websocket.scopes import SessionScope  # a scope is a kind of session

        return SessionScope(self.root_scope(), (*self._ids, checked_id(id)))

    def root_scope(self) -> "WebSocketSession":
        """Return the session itself, whatever scope of it this is."""
        return self

    def ns(self, id: str) -> str:
        """Return a name as the client knows it: with the scope's name before it, as in `panel-chart`.

        Raises:
            ValueError: It is no string, or empty.
        """
        return "-".join((*self._ids, _checked_name(id)))

    async def destroy(self, id: str | None = None) -> None:
        """Destroy a scope and all within it; nothing around it changes.

        First come the `on_destroy` callbacks, those of the deepest scopes before all others, while everything is still
        there. Then all its tasks are cancelled and awaited, and then, the deepest scope first, its beans end, last
        created first, and its handlers, routes, downloads and values go. The id can be used afresh afterwards.

        Idempotent: a scope that owns nothing is left alone, and whoever comes second waits for the same end.
        Cancelling stops the waiting, not the end. A task of the scope is cancelled as all of them are. Callbacks of a
        destruction aren't made to wait for it.

        The session itself is destroyed at its end, so `destroy()` on it ends it as `close()` does.

        Args:
            id: Of a scope within, to destroy that one.

        Raises:
            ValueError: The id is none.
        """
        if id is not None:
            await self.make_scope(id).destroy()
        elif not self._ids:
            await self.close()
        else:
            holdings = self.root_scope()._holdings.known(self._ids)
            if holdings is not None:
                await destroy(holdings)

    def on_destroy(self, callback: Callable[..., object]) -> Callable[[], None]:
        """Run a callback when the scope is destroyed, while all that it owns is still there; `fn()` or `fn(session)`.

        Of the session itself: at its end, after all other hooks and those of all scopes. Otherwise as `on_ended()`.
        """
        return self._hold("register on_destroy").add_callback(callback, self)

    def create_task(
        self, work: Coroutine[Any, Any, Result], *, name: str | None = None
    ) -> asyncio.Task[Result]:
        """Run some work in a task that the scope owns: it is cancelled, and awaited, when the scope is destroyed.

        Those of the session itself end with it. A task that fails is logged. The beans around a scope's task are those
        of the scope: `Lazy` and `Container.get` find them.

        Raises:
            DestroyedScopeError: It is too late: the scope is being destroyed, or the session has ended.
        """
        try:
            holdings = self._hold("create a task")
        except SessionStateError:
            work.close()
            raise
        root = self.root_scope()
        context = copy_context() if root._context is None or root._is_own() else root._context.copy()
        return holdings.add_task(work, name, holdings.context_of_task(self, context))

    def every(self, seconds: float, callback: Callable[..., object]) -> Callable[[], None]:
        """Call `fn()` or `fn(session)`, sync or async, every so many seconds until the scope is destroyed.

        The first call comes after `seconds`. A call that takes longer is never overlapped: turns that it misses are
        left out. One that raises is logged, and the next comes all the same.

        Returns:
            A function that stops it; a call under way runs to its end.

        Raises:
            ValueError: The seconds are negative or no number.
            DestroyedScopeError: It is too late.
        """
        call = partial(callback, self) if wants_argument(callback) else callback
        root = self.root_scope()
        is_end = partial(is_own_end, session=root)
        repetition = Repetition(seconds, call, str(self._hold("repeat a call")), is_end)
        self.create_task(repetition.run(), name=f"cortado-every {seconds:g} s")
        return repetition.stop

    @overload
    def value(self) -> ScopedValue[Any]: ...

    @overload
    def value(self, initial: Result) -> ScopedValue[Result]: ...

    def value(self, initial: Any = UNSET) -> ScopedValue[Any]:
        """Return a new value that the scope owns: `DestroyedScopeError` for whoever uses it afterwards.

        Raises:
            DestroyedScopeError: It is too late.
        """
        return self._hold("make a value").add_value(initial)

    def on_flush(self, callback: Callable[..., object], once: bool = True) -> Callable[[], None]:
        """Run a callback at the beginning of the next flush, or of every flush; otherwise as `on_ended()`.

        It is gone with its scope.

        Args:
            callback: `fn()` or `fn(session)`, sync or async.
            once: Only at the next flush.
        """
        return self._at_flush("on_flush", callback, once)

    def on_flushed(self, callback: Callable[..., object], once: bool = True) -> Callable[[], None]:
        """Run a callback at the end of the next flush, or of every flush; otherwise as `on_flush()`."""
        return self._at_flush("on_flushed", callback, once)

    async def flush(self) -> None:
        """Run the `on_flush` and then the `on_flushed` callbacks of the session and its scopes, in order.

        A callback that raises, or hangs, skips no other. What is registered meanwhile waits for the next flush.
        Several flushes come one after another. Within its own callbacks, and after the session's end, it does nothing.
        """
        root = self.root_scope()
        if root._flush is not None and root._state is not SessionState.CLOSED:
            await root._flush.run(root._call_at_flush, _write_nothing)

    @overload
    async def aget(self, bean: type[Result], qualifier: str | None = None) -> Result: ...

    @overload
    async def aget(self, bean: Any, qualifier: str | None = None) -> Any: ...

    async def aget(self, bean: Any, qualifier: str | None = None) -> Any:
        """Return a bean by its type or name, in the scope of this session; raises what `Container.aget` raises.

        Of a scope: a bean with `scope="child"` is one of its own.

        Cancelling is safe: a creation under way goes on for the others who wait for it.

        Raises:
            ScopeClosedError: The session's beans have ended with it.
            DestroyedScopeError: The scope's beans are ending.
            SessionStateError: The session isn't that of an application.
        """
        root = self.root_scope()
        holdings = root._holdings.known(self._ids) or self._hold("get a bean")
        return await holdings.aget(self, bean, qualifier)

    def __repr__(self) -> str:
        return f"<WebSocketSession {self._id} {self.path} {self._state}>"

    # What the lifecycle, the sweeper and the registry use

    def _is_own(self) -> bool:
        return current_session.get() is self

    def _hold(self, doing: str) -> Holdings:
        """Return what the scope owns, where it may own more."""
        return self.root_scope()._holdings.within(self._ids, doing)

    def _register(self, callbacks: Callbacks, callback: Callable[..., object]) -> Callable[[], None]:
        if not self._ids:
            return callbacks.add(callback)
        return callbacks.add(callback, self, self._hold(f"register {callbacks.kind}"))

    def _at_flush(self, kind: str, callback: Callable[..., object], once: bool) -> Callable[[], None]:
        holdings, root = self._hold(f"register {kind}"), self.root_scope()
        if root._flush is None:
            root._flush = Flush()
        callbacks = root._flush.before if kind == "on_flush" else root._flush.after
        return callbacks.add(callback, self, holdings, once=once)

    async def _call_at_flush(self, kind: str, callback: Callable[..., object]) -> None:
        error = await call_hook(kind, self._id, partial(callback, self), self._settings.hook_timeout)
        if error is not None:
            self._report(error)

    # What its holdings need of the session

    def _lens(self, ids: tuple[str, ...]) -> "WebSocketSession":
        scope: WebSocketSession = self
        for one in ids:
            scope = scope.make_scope(one)
        return scope

    def _own_context(self) -> Context:
        if self._context is not None:
            return self._context.copy()
        context = copy_context()
        context.run(current_session.set, self)
        return context

    def _says_only_the_end(self, error: BaseException) -> bool:
        return is_own_end(error, self)

    def _withdraw(self, owners: set[Holdings]) -> None:
        self._on_ended.withdraw(owners)
        self._on_hard_close.withdraw(owners)
        if self._flush is not None:
            self._flush.before.withdraw(owners)
            self._flush.after.withdraw(owners)

    def _report(self, error: BaseException) -> None:
        if self._keeper is not None:
            self._keeper.report(error)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        if self._keeper is not None:
            self._keeper.hold(task)
        else:
            _held.add(task)
            task.add_done_callback(_held.discard)

    async def _destroyed(self) -> None:
        """Steps 6 and 7 of the end: what the session and its scopes own; after a hard end also what it remembers."""
        holdings = self._holdings
        if holdings.bare and self._flush is None:  # most sessions own nothing
            holdings.seal()
            await holdings.close_beans()
        else:
            await Destruction(holdings, ends=True).run()
        if self._close_event is not None and self._close_event.hard:
            holdings.forget()
            self._attributes.clear()

    def _end(self, event: CloseEvent) -> bool:
        """Begin the end; only the first call counts."""
        if self._close_event is not None:
            return False
        self._close_event = event
        self._state = SessionState.CLOSING
        self._outbox.seal()
        self._ending(self)
        return True

    def _refuse(self, refusal: Refusal, initiator: Initiator = Initiator.SERVER) -> None:
        if self._end(CloseEvent(4000 + refusal.status, cut_reason(refusal.title), initiator=initiator)):
            self._refusal = refusal

    def _shut_down(self) -> None:
        """The server stops: 1012, and 503 for a handshake."""
        if self._end(CloseEvent(1012, initiator=Initiator.SHUTDOWN)):
            self._refusal = Refusal.of(Problem(503))

    def _close_hard(self, message: str | None) -> None:
        settings = self.settings
        event = CloseEvent(settings.hard_close_code, cut_reason(settings.hard_close_reason), hard=True)
        if self._end(event):
            self._notice = self._hard_text(message)
        elif self._close_event is not None and not self._close_event.hard and not self._hard_passed:
            self._notice = self._hard_text(message)
            ended = self._close_event
            told = (
                ended
                if self._wire_done or self._farewell_begun or self._gone
                else replace(ended, code=event.code, reason=event.reason)
            )
            self._close_event = replace(told, hard=True)

    def _hard_text(self, message: str | None) -> str:
        given = (text for text in (message, self._hard_message) if text is not None)
        return next(given, DEFAULT_HARD_MESSAGE).encode(errors="replace").decode()

    def _departed(self, departure: Departure) -> None:
        """The peer is gone: it said so, or the transport did."""
        self._heard_farewell = departure.was_clean
        if departure.code == 1012:
            initiator = Initiator.SHUTDOWN  # no client says "service restart": the server closed its sockets
        else:
            initiator = Initiator.CLIENT if departure.was_clean else Initiator.NETWORK
        self._part(CloseEvent(departure.code, departure.reason, departure.was_clean, initiator))

    def _lost(self) -> None:
        """A send has failed. The peer's own farewell may be waiting to be read: it has a moment to tell how it left."""
        self._gone = True
        self._outbox.discard()
        if self._close_event is None:
            self._inbox.read_ahead()
            self._conclude_loss(LOSS_TURNS)

    def _conclude_loss(self, turns: int) -> None:
        if self._close_event is not None:
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._conclude_loss, turns - 1)
        else:
            self._part(CloseEvent(1006, was_clean=False, initiator=Initiator.NETWORK))

    async def _loss_concluded(self) -> None:
        while self._close_event is None:
            await self._next_step()

    def _part(self, event: CloseEvent) -> None:
        self._gone = True
        self._end(event)
        self._outbox.discard()
        self._inbox.finish(self._disconnect)

    def _told_nobody(self) -> None:
        """No close frame could be sent: the end is clean only if the peer's own has come."""
        if self._close_event is not None and not self._heard_farewell:
            self._close_event = replace(self._close_event, was_clean=False)

    def _overflowed(self) -> None:
        self._evicted = True
        self._end(CloseEvent(1013, "too slow"))

    def _cut(self) -> None:
        """Give the peer up: it does not take what is sent to it."""
        self._evicted = True
        self._transport.abort()
        self._part(CloseEvent(1006, was_clean=False, initiator=Initiator.NETWORK))

    def _disconnect(self) -> WebSocketDisconnect:
        event = self._close_event
        if event is None:
            raise SessionStateError(f"the session is {self._state}, not ended")
        return WebSocketDisconnect(event.code, event.reason, session_id=self._id)

    async def _send(self, frame: str | bytes) -> bool:
        outbox = self._outbox
        if current_session.get() is self:
            if self._state is not SessionState.OPEN:
                await asyncio.sleep(0)  # a handler that catches this and tries again must not stop the loop
                raise self._wrong_send()
            if not await outbox.write(frame):
                await self._loss_concluded()
                raise self._disconnect()
            sent = True
            if not self._inbox.arrived and outbox.writes > 1:
                self._inbox.read_ahead()  # a handler that only pushes must learn of the departure
        else:
            sent = outbox.offer(frame)
        if self._pace.spend(len(frame)):
            await asyncio.sleep(0)
        return sent

    def _wrong_send(self) -> Exception:
        if self._close_event is not None:
            return self._disconnect()
        return SessionStateError(f"cannot send: the session is {self._state}; call accept() first")

    def _wrong_receive(self) -> Exception:
        if self._inbox.receiving:
            return SessionStateError("cannot receive: another task is already receiving from this session")
        return SessionStateError(f"cannot receive: the session is {self._state}; call accept() first")

    def _check_size(self, message: str | bytes) -> None:
        limit = self.settings.max_message_size
        if payload_size(message) > limit:
            raise InvalidMessage(f"the message is larger than max_message_size, {limit} bytes", 1009)

    async def _iterate(self, receive: Callable[[], Coroutine[Any, Any, Result]]) -> AsyncIterator[Result]:
        while True:
            try:
                message = await receive()
            except WebSocketDisconnect:
                return
            yield message

    async def _next_step(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _step_done(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


_held: set[asyncio.Task[Any]] = set()  # of sessions that nobody runs


async def _write_nothing() -> None: ...


def checked_id(id: object) -> str:
    """Return the id of a scope.

    Raises:
        ValueError: It is none.
    """
    if not (isinstance(id, str) and re.fullmatch(r"\w+", id)):
        raise ValueError(f"a scope's id is a string of letters, digits and underscores, not {id!r}")
    return id


def _checked_name(id: object) -> str:
    if not (isinstance(id, str) and id):
        raise ValueError(f"a name is a string that isn't empty, not {id!r}")
    return id


def is_own_end(error: BaseException, session: WebSocketSession) -> bool:
    """Tell whether an exception only says that this session has ended, be it wrapped in exception groups."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_own_end(one, session) for one in error.exceptions)
    if isinstance(error, WebSocketDisconnect):
        return error.session_id in (None, session.id)
    return isinstance(error, asyncio.CancelledError) and session.close_event is not None


def _check_mode(mode: str) -> None:
    if mode not in ("text", "binary"):
        raise ValueError(f'the mode of JSON messages is "text" or "binary", not {mode!r}')


def _raw_headers(headers: HeaderItems | None) -> list[tuple[bytes, bytes]]:
    items = headers.items() if isinstance(headers, Mapping) else (headers or ())
    return [(_header_name(name), _header_value(value)) for name, value in items]


def _header_name(name: str) -> bytes:
    if (
        not name
        or not all(mark.isalnum() or mark in "!#$%&'*+-.^_`|~" for mark in name)
        or not name.isascii()
    ):
        raise ValueError(f"{name!r} is no name of a header field")
    return name.lower().encode("ascii")


def _header_value(value: str) -> bytes:
    if any(mark in value for mark in "\r\n\0"):
        raise ValueError("the value of a header field must not contain line breaks or NUL")
    return value.encode("latin-1")
