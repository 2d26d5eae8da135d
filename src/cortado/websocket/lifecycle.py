"""The life of a session from handshake to end, and the one place where every end is carried through."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import anyio

from cortado.problems import INTERNAL_ERROR, Problem
from cortado.tasks import settle, start, was_cancelled
from cortado.websocket.close import CloseEvent, Initiator, cut_reason
from cortado.websocket.errors import InvalidFrame, InvalidMessage, WebSocketDisconnect
from cortado.websocket.events import SessionClosed, SessionListeners, SessionOpened
from cortado.websocket.hooks import LATE_CALLBACKS, Callbacks, call_hook
from cortado.websocket.registry import SessionRegistry
from cortado.websocket.session import (
    Refusal,
    SessionState,
    WebSocketSession,
    current_session,
    is_own_end,
)

__all__ = ["Endpoint", "Handler", "run_session"]

logger = logging.getLogger("cortado.websocket")

Hook = Callable[[WebSocketSession], object]


@dataclass(frozen=True, slots=True)
class Handler:
    """The handler of one connection, ready to run, with the hooks of its controller."""

    run: Callable[[], Awaitable[None]]
    on_disconnect: Hook | None = None
    on_hard_close: Hook | None = None


class Endpoint(Protocol):
    """What a path leads to."""

    async def open(self, session: WebSocketSession) -> Handler:
        """Find the handler for a connection: guards, controller, parameters. What it raises refuses the handshake."""
        ...

    async def explain(self, session: WebSocketSession, error: Exception) -> Refusal:
        """Say what the client is told of an error; of an unexpected one, which is logged here, a 500."""
        ...

    def report(self, error: BaseException) -> None:
        """Take note of an error that nobody else sees, such as a hook's; it is already logged."""
        ...


async def run_session(
    session: WebSocketSession,
    endpoint: Endpoint,
    registry: SessionRegistry,
    *,
    debug: bool = False,
    listeners: SessionListeners | None = None,
) -> None:
    """Run one connection to its very end, and tell the listeners when it opens and closes.

    Returns when the session is closed and every hook has run. A cancellation ends the session with 1012; however
    often it is repeated, it is raised only when the end is complete.
    """
    run = _Run(session, endpoint, registry, debug, listeners or SessionListeners())
    await run.to_the_end()


class _Run:
    """One connection: the handler's task, and the pipeline that ends it in a task of its own."""

    __slots__ = ("context", "debug", "endpoint", "handler", "listeners", "registry", "session", "task")

    def __init__(
        self,
        session: WebSocketSession,
        endpoint: Endpoint,
        registry: SessionRegistry,
        debug: bool,
        listeners: SessionListeners,
    ) -> None:
        self.session, self.endpoint, self.registry, self.debug = session, endpoint, registry, debug
        self.listeners = listeners
        self.context = contextvars.copy_context()
        self.context.run(current_session.set, session)
        session._context = self.context
        self.handler: Handler | None = None
        self.task: asyncio.Task[None] | None = None

    async def to_the_end(self) -> None:
        session = self.session
        session._ending, session._keeper = self.begin_ending, self
        if self.listeners.opened:
            session._opened = self.opened
        self.registry.add(session)
        self.task = asyncio.get_running_loop().create_task(
            self.handle(), name=f"cortado-session {session.path}", context=self.context
        )
        self.task.add_done_callback(self.handled)
        try:
            await self.until_closed()
        except asyncio.CancelledError as error:
            session._shut_down()
            raise await self.absorb(error) from None

    async def until_closed(self) -> None:
        while self.session.state is not SessionState.CLOSED:
            await self.session._next_step()

    async def absorb(self, cancelled: asyncio.CancelledError) -> asyncio.CancelledError:
        """Wait for the end however often the server cancels; return the last cancellation.

        The shield is for a server or middleware on anyio, whose cancellation comes back at every await.
        """
        with anyio.CancelScope(shield=True):
            while self.session.state is not SessionState.CLOSED:
                try:
                    await self.until_closed()
                except asyncio.CancelledError as error:
                    cancelled = error
        return cancelled

    # The handler

    async def handle(self) -> None:
        """Run the handler; decide how the connection ends by how it ends."""
        session = self.session
        try:
            self.handler = await self.endpoint.open(session)
            await self.handler.run()
        except Exception as error:  # noqa: BLE001 - the one place where a handler's failure is turned into an end
            if not is_own_end(error, session):
                await self.failed(error)
                return
        except asyncio.CancelledError as error:
            if is_own_end(error, session) or was_cancelled():
                raise
            self.broke(error)  # it awaited something that somebody else had cancelled
            return
        except BaseExceptionGroup as error:
            if not is_own_end(error, session):
                raise
        self.returned()

    async def opened(self) -> None:
        """Tell that the handshake is accepted, in the task that accepts, whose cancellation goes on."""
        session = self.session
        for tell in self.listeners.opened:
            try:
                async with asyncio.timeout(session.settings.hook_timeout):
                    await tell(SessionOpened(session))
            except WebSocketDisconnect:
                logger.debug("SessionOpened listener of session %s found it ended", session.id)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and was_cancelled():
                    raise
                logger.exception("SessionOpened listener of session %s failed", session.id)
                self.endpoint.report(error)

    def returned(self) -> None:
        if self.session.accepted:
            self.session._end(CloseEvent(1000))
        elif self.session.close_event is None:
            logger.info(
                "The handler of %s returned before accept(): the client is refused with 403", self.session
            )
            self.session._refuse(Refusal.of(Problem(403)))

    async def failed(self, error: Exception) -> None:
        session = self.session
        if isinstance(error, InvalidFrame | InvalidMessage) and session.accepted:
            session._end(CloseEvent(error.code, cut_reason(str(error)), error=error))
            return
        refusal = await self.endpoint.explain(session, error)
        if refusal.status == 500:
            self.crashed(error, refusal)
        elif session.accepted:
            session._end(CloseEvent(4000 + refusal.status, cut_reason(refusal.title), error=error))
        else:
            session._refuse(refusal)

    def crashed(self, error: BaseException, refusal: Refusal | None) -> None:
        session = self.session
        text = f"{type(error).__name__}: {error}" if self.debug else "internal error"
        event = CloseEvent(1011, cut_reason(text), initiator=Initiator.ERROR, error=error)
        if session._end(event):
            session._refusal = refusal or Refusal.of(INTERNAL_ERROR)

    def handled(self, task: asyncio.Task[None]) -> None:
        """The handler's task is done; make sure that the end has begun."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broke(error)
        else:
            self.session._shut_down()

    def broke(self, error: BaseException) -> None:
        """The handler failed with what can't be explained to anybody."""
        logger.error("The handler of %s failed", self.session, exc_info=error)
        self.endpoint.report(error)
        self.crashed(error, None)

    # The end

    def begin_ending(self, session: WebSocketSession) -> None:
        """Carry the end through in a task of its own, whoever began it, and whatever happens to them."""
        session._step_done()
        self.carry_through()

    def carry_through(self, before: "asyncio.Task[None] | None" = None) -> None:
        """Start the end; once more if its task was cancelled before its first step, as by the loop's own end."""
        if before is None or self.session.state is not SessionState.CLOSED:
            ending = start(self.end(), f"cortado-ending {self.session.path}", self.context.copy())
            ending.add_done_callback(self.carry_through)
            self.registry.hold(ending)

    async def end(self) -> None:
        try:
            for step in (self.say_farewell, self.quiesce, self.run_hooks, self.tell_closed, self.destroy):
                try:
                    await step()
                except BaseException:
                    logger.exception("Step %s in the end of %s failed", step.__name__, self.session)
        finally:
            self.finish()

    async def say_farewell(self) -> None:
        """Step 1: what is queued, the notice, the close frame; a peer that doesn't take them is cut off."""
        session = self.session
        try:
            if session._gone:
                session._told_nobody()
                self.cut_if_mute()
                return
            farewell = start(self.farewell(), "cortado-farewell")
            if await settle(farewell, session.settings.close_timeout):
                return
            session._told_nobody()
            session._cut()
            farewell.cancel()
            self.registry.leave_behind(farewell)
        finally:
            session._wire_done = True
            session._step_done()

    def cut_if_mute(self) -> None:
        """Cut a peer off, a little later, that a stopping server would wait for to take its last bytes."""
        session = self.session
        if session.close_event is not None and session.close_event.initiator is Initiator.SHUTDOWN:
            session._loop.call_later(session.settings.close_timeout, session._transport.abort)

    async def farewell(self) -> None:
        session, transport = self.session, self.session._transport
        try:
            if session.accepted or session._accepting:
                await session._outbox.drained()
            if session._gone:
                session._told_nobody()
                return
            if not session.accepted:
                session._inbox.finish(session._disconnect)
                refusal = session._refusal or Refusal.of(Problem(403))
                await transport.deny(refusal.status, refusal.headers, refusal.body)
                return
            notice = session._notice
            if notice is not None:
                message = {"type": "hardDisconnectConfig", "data": {"message": notice}}
                await transport.send_text(session._encode(message).decode())
            event = session.close_event
            if event is not None:
                session._farewell_begun = True
                session._inbox.finish(session._disconnect)
                await transport.close(event.code, event.reason)
        except Exception as error:  # noqa: BLE001 - servers raise all kinds of errors for a lost peer
            logger.debug("The farewell of %s found the peer gone: %r", session, error)
            session._told_nobody()
            session._lost()

    async def quiesce(self) -> None:
        """Step 2: the handler learns of the end; what still runs after the grace period is cancelled, once."""
        session, task = self.session, self.task
        session._inbox.finish(session._disconnect)
        session._outbox.discard()
        if task is None or task.done() or task is asyncio.current_task():
            return
        if await settle(task, session.settings.disconnect_grace_period):
            return
        task.cancel()
        if not await settle(task, session.settings.hook_timeout):
            logger.error("The handler of %s swallowed its cancellation and was left behind", session)
            self.registry.leave_behind(task)

    async def run_hooks(self) -> None:
        """Steps 3 to 5: the controller's hook, the registered ones, and after a hard end those of a hard end."""
        session, handler = self.session, self.handler
        if handler is not None and handler.on_disconnect is not None and session.accepted:
            await self.call("on_disconnect", handler.on_disconnect)
        await self.call_all(session._on_ended)
        if session.close_event is not None and session.close_event.hard:
            if handler is not None and handler.on_hard_close is not None:
                await self.call("on_hard_close", handler.on_hard_close)
            await self.call_all(session._on_hard_close)
        session._on_hard_close.finish()
        session._hard_passed = True

    async def tell_closed(self) -> None:
        """The beginning of step 6: those who listen to the ends of sessions, if the handshake was accepted."""
        if self.session.accepted:
            event = SessionClosed(self.session)
            for tell in self.listeners.closed:
                await self.run("SessionClosed listener", partial(tell, event))

    async def destroy(self) -> None:
        """Steps 6 and 7: what the session and its scopes own; after a hard end also what it remembers."""
        await self.session._destroyed()

    def report(self, error: BaseException) -> None:
        """Take note of an error in what the session owns."""
        self.endpoint.report(error)

    def hold(self, task: asyncio.Task[Any]) -> None:
        """Keep a task alive that ends a scope."""
        self.registry.hold(task)

    def finish(self) -> None:
        """Step 8: out of the registry, and everyone who waits gets on."""
        session = self.session
        session._inbox.close()
        session._state = SessionState.CLOSED
        self.registry.remove(session)
        session._step_done()
        logger.debug("%s ended: %s", session, session.close_event)

    async def call(self, name: str, hook: Hook) -> None:
        await self.run(name, partial(hook, self.session))

    async def run(self, name: str, hook: Callable[[], object]) -> None:
        error = await call_hook(name, self.session.id, hook, self.session.settings.hook_timeout)
        if error is not None:
            self.endpoint.report(error)

    async def call_all(self, callbacks: Callbacks) -> None:
        late = -len(callbacks)
        while (callback := callbacks.pop()) is not None:
            await self.call(callbacks.kind, callback)
            late += 1
            if late >= LATE_CALLBACKS:
                logger.error(
                    "%s of %s keep registering others; the rest is dropped", callbacks.kind, self.session
                )
                break
        callbacks.finish()
