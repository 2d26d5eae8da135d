"""Whatever happens to a session, in whatever order: it ends once, in time, in order, and leaves nothing behind."""

import asyncio
import logging
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cortado.problems import INTERNAL_ERROR
from cortado.settings import WebSocketSettings
from cortado.testing import MemoryTransport
from cortado.websocket import Initiator, SessionRegistry, SessionState, WebSocketSession
from cortado.websocket.lifecycle import Handler, run_session
from cortado.websocket.session import Refusal

LIMITS = WebSocketSettings(
    accept_timeout=30.0,
    disconnect_grace_period=1.0,
    close_timeout=2.0,
    send_timeout=5.0,
    hook_timeout=3.0,
    outbox_frames=4,
)
LONGEST = 300.0
"""Seconds of the loop's own clock after which an end is no end any more."""
STATES = list(SessionState)
KINDS = ("on_disconnect", "on_ended", "on_hard_close", "on_destroy")
BEHAVIOURS = ("sync", "async", "raises", "exits", "hangs", "stubborn", "registers", "sends", "closes")


class Failure(Exception):
    """A handler fails."""


Command = Callable[[WebSocketSession], Awaitable[object]]


class JumpingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Waits for nothing: the time that the loop would sleep passes at once."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "every task waits, and nothing will ever wake one"
        self.now += max(0.0, timeout)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing else is left to do."""

    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


class Connection:
    """One session, driven from outside: its handler does what it is told to, and everything is written down."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.registry = SessionRegistry()
        self.session = WebSocketSession(self.transport, LIMITS)
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self.expected: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self.begun: list[tuple[str, str]] = []
        self.done: list[str] = []
        self.reported: list[BaseException] = []
        self.fed, self.received, self.offered = 0, list[str](), 0
        self.leave = False
        self.task = asyncio.get_running_loop().create_task(
            run_session(self.session, self, self.registry), name="server"
        )

    async def open(self, session: WebSocketSession) -> Handler:
        return Handler(
            self.handle,
            self.hook("on_disconnect", "controller", "async"),
            self.hook("on_hard_close", "controller", "async"),
        )

    async def handle(self) -> None:
        while not self.leave:
            await (await self.commands.get())(self.session)

    async def explain(self, session: WebSocketSession, error: Exception) -> Refusal:
        self.reported.append(error)
        return Refusal.of(INTERNAL_ERROR)

    def report(self, error: BaseException) -> None:
        self.reported.append(error)

    def register(self, kind: str, behaviour: str) -> None:
        name = f"{kind} {len(self.expected[kind])} {behaviour}"
        cancel = getattr(self.session, kind)(self.hook(kind, name, behaviour))
        assert callable(cancel)
        self.expected[kind].append(name)

    def hook(self, kind: str, name: str, behaviour: str) -> Callable[[WebSocketSession], object]:
        def begin(_: WebSocketSession) -> None:
            self.begun.append((kind, name))
            if behaviour == "registers":
                self.register(kind, "sync")
            if behaviour != "sync":
                return
            self.done.append(name)

        async def run(session: WebSocketSession) -> None:
            begin(session)
            await asyncio.sleep(0)
            match behaviour:
                case "raises":
                    raise ValueError(name)
                case "exits":
                    raise SystemExit(name)
                case "hangs":
                    await asyncio.sleep(LONGEST)
                case "stubborn":
                    await stubborn(LIMITS.hook_timeout * 2)
                case "sends":
                    await session.send_text("too late")
                case "closes":
                    await session.close(hard=True)
            self.done.append(name)

        return begin if behaviour == "sync" else run


async def stubborn(seconds: float) -> None:
    """Sleep, whoever cancels."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


class SessionMachine(RuleBasedStateMachine):
    """Drives one session from everywhere at once: its handler, its peer, its server, strangers and the clock."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.CRITICAL)
        self.loop = JumpingLoop()
        self.cancelled = self.peer_said_goodbye = False
        self.strangers: list[asyncio.Task[Any]] = []
        self.furthest = SessionState.CONNECTING
        self.connection = self.run(self.connect())

    async def connect(self) -> Connection:
        return Connection()

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    @property
    def leaving(self) -> bool:
        """Whether the peer has gone, or was told to."""
        transport = self.connection.transport
        return bool(transport._departed or transport.closed or transport.denied or transport.aborted)

    # The handler

    def tell(self, command: Command) -> None:
        self.connection.commands.put_nowait(command)

    @rule()
    def handler_accepts(self) -> None:
        self.tell(lambda session: session.accept())

    @rule(status=st.sampled_from([401, 404, 503]))
    def handler_denies(self, status: int) -> None:
        self.tell(lambda session: session.deny(status))

    @rule(times=st.integers(1, 3), patience=st.sampled_from([0.0, 0.5, 60.0]))
    def handler_receives(self, times: int, patience: float) -> None:
        async def receive(session: WebSocketSession) -> None:
            for _ in range(times):
                try:
                    async with asyncio.timeout(patience):
                        self.connection.received.append(await session.receive_text())
                except TimeoutError:
                    continue

        self.tell(receive)

    @rule(count=st.integers(1, 3))
    def handler_sends(self, count: int) -> None:
        async def send(session: WebSocketSession) -> None:
            for _ in range(count):
                self.connection.offered += 1
                assert await session.send_text(str(self.connection.offered))

        self.tell(send)

    @rule(turns=st.integers(0, 4), seconds=st.sampled_from([0.0, 1.0, 4.0]))
    def handler_is_busy(self, turns: int, seconds: float) -> None:
        async def work(session: WebSocketSession) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(seconds)

        self.tell(work)

    @rule()
    def handler_swallows_cancellations(self) -> None:
        async def stay(session: WebSocketSession) -> None:
            await stubborn(LIMITS.disconnect_grace_period * 2)
            if session.close_event is not None:
                raise Failure

        self.tell(stay)

    @rule(hard=st.booleans())
    def handler_closes(self, hard: bool) -> None:
        self.tell(lambda session: session.close(4010, hard=hard))

    @rule()
    def handler_returns(self) -> None:
        self.connection.leave = True
        self.tell(lambda session: asyncio.sleep(0))

    @rule(grouped=st.booleans())
    def handler_fails(self, grouped: bool) -> None:
        async def fail(session: WebSocketSession) -> None:
            raise ExceptionGroup("together", [Failure()]) if grouped else Failure

        self.tell(fail)

    @rule(seconds=st.sampled_from([0.0, 2.0]), swallows=st.booleans())
    def handler_starts_a_task(self, seconds: float, swallows: bool) -> None:
        async def begin(session: WebSocketSession) -> None:
            session.create_task(stubborn(seconds) if swallows else asyncio.sleep(seconds))

        self.tell(begin)

    # The peer

    @precondition(lambda self: not self.leaving)
    @rule(count=st.integers(1, 20))
    def peer_sends(self, count: int) -> None:
        connection = self.connection
        connection.transport.feed(*(str(connection.fed + number) for number in range(count)))
        connection.fed += count

    @precondition(lambda self: not self.leaving)
    @rule(clean=st.booleans())
    def peer_leaves(self, clean: bool) -> None:
        self.peer_said_goodbye = clean
        if clean:
            self.connection.transport.depart(4321, "bye")
        else:
            self.connection.transport.vanish()

    @rule(stalls=st.booleans())
    def peer_stops_or_resumes_reading(self, stalls: bool) -> None:
        (self.connection.transport.stall if stalls else self.connection.transport.resume)()

    @rule()
    def wire_breaks(self) -> None:
        self.connection.transport.fail_sends(ConnectionResetError("the wire broke"))

    # Strangers, the server and the clock

    @rule(count=st.integers(1, 8))
    def stranger_sends(self, count: int) -> None:
        async def send() -> None:
            for _ in range(count):
                self.connection.offered += 1
                await self.connection.session.send_text(str(self.connection.offered))

        self.run(send())

    @rule(hard=st.booleans(), patient=st.booleans())
    def stranger_closes(self, hard: bool, patient: bool) -> None:
        async def close() -> None:
            await self.connection.session.close(4020, "enough", hard=hard)

        self.strangers.append(self.loop.create_task(close()))
        if not patient:
            self.turn(1)
            self.strangers[-1].cancel()

    @precondition(lambda self: self.connection.session.state in STATES[:2])
    @rule(kind=st.sampled_from(KINDS[1:]), behaviour=st.sampled_from(BEHAVIOURS))
    def stranger_registers_a_hook(self, kind: str, behaviour: str) -> None:
        self.connection.register(kind, behaviour)

    @rule()
    def reading_goes_on_ahead(self) -> None:
        async def read_ahead() -> None:
            if self.connection.session.state is SessionState.OPEN:
                self.connection.session._inbox.read_ahead()

        self.run(read_ahead())

    @precondition(lambda self: not self.connection.task.done())
    @rule(times=st.integers(1, 3), turns=st.integers(0, 3))
    def server_cancels(self, times: int, turns: int) -> None:
        self.turn(1)  # a task that has not begun has no session yet
        for _ in range(times):
            self.cancelled = self.connection.task.cancel() or self.cancelled
            self.turn(turns)

    @rule(turns=st.integers(1, 12))
    def turn(self, turns: int) -> None:
        async def wait() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(wait())

    @rule(seconds=st.sampled_from([0.3, 1.1, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    # What is always true

    @invariant()
    def promises_hold(self) -> None:
        connection, session = self.connection, self.connection.session
        received, begun = connection.received, connection.begun
        assert not connection.transport.violations
        assert received == [str(number) for number in range(len(received))], "lost, doubled or out of order"
        sent = [int(str(frame)) for frame in connection.transport.sent if str(frame).isdigit()]
        assert sent == sorted(set(sent)), "frames left doubled or out of order"
        assert STATES.index(session.state) >= STATES.index(self.furthest), "the state went back"
        self.furthest = session.state
        assert (session.close_event is None) == (session.state in STATES[:2])
        assert len(begun) == len(set(begun)), "a hook ran twice"
        assert not begun or session.close_event is not None, "a hook ran before the end"

    # What is true at the end

    def teardown(self) -> None:
        try:
            self.run(self.end())
        finally:
            self.loop.close()
            logging.disable(logging.NOTSET)

    async def end(self) -> None:
        connection = self.connection
        await asyncio.sleep(0)
        if not self.leaving:
            connection.transport.vanish()
        self.connection.session._inbox.read_ahead()
        done, _ = await asyncio.wait([connection.task], timeout=LONGEST)
        assert done, f"{connection.session} does not end"
        assert connection.task.cancelled() == self.cancelled
        await asyncio.wait_for(asyncio.gather(*self.strangers, return_exceptions=True), LONGEST)
        self.check_hooks()
        self.check_farewell()
        assert connection.session.state is SessionState.CLOSED
        assert not len(connection.registry)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=LONGEST)
        assert not left
        assert not connection.transport.violations

    def check_hooks(self) -> None:
        connection, event = self.connection, self.connection.session.close_event
        assert event is not None
        wanted = [("on_disconnect", "controller")] if connection.session.accepted else []
        wanted += [("on_ended", name) for name in connection.expected["on_ended"]]
        if event.hard:
            names = ["controller", *connection.expected["on_hard_close"]]
            wanted += [("on_hard_close", name) for name in names]
        wanted += [("on_destroy", name) for name in connection.expected["on_destroy"]]
        assert connection.begun == wanted
        for _, name in wanted:
            unfinished = name.split()[-1] in {"raises", "exits", "hangs", "stubborn", "sends"}
            assert unfinished or name in connection.done, name

    def check_farewell(self) -> None:
        transport, event = self.connection.transport, self.connection.session.close_event
        assert event is not None
        frame = transport.closed
        if frame is not None and event.initiator in {Initiator.SERVER, Initiator.ERROR, Initiator.SHUTDOWN}:
            assert (frame.code, frame.reason) == (event.code, event.reason)
        if frame is None and transport.denied is None:
            assert transport._departed
            assert not event.was_clean or self.peer_said_goodbye


SessionMachine.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.filterwarnings("error")
class TestSession(SessionMachine.TestCase):  # type: ignore[misc, name-defined]
    """Any sequence of events ends the session once, in time, with every hook in order, and leaves nothing."""
