"""Hearing of SIGTERM before the server acts on it, so that sessions end while their sockets still work."""

import asyncio
import functools
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import ClassVar

__all__ = ["Forewarning"]

logger = logging.getLogger("cortado.server")

Drain = Callable[[], Awaitable[None]]
SignalHandler = Callable[[int, FrameType | None], object]


class Forewarning:
    """Lets a SIGTERM drain the application first, and then reach the server.

    The server hears of it when the drain is done, after `limit` seconds, or when a second SIGTERM comes, whichever is
    first; and then of each further one at once. That holds for servers that set a signal handler, and for those that
    listen through their event loop. hypercorn sends its workers no signal; there the drain begins with the server's
    own end. Ctrl-C and all other signals are left alone.

    Args:
        drain: Ends all sessions. Called at most once in each `heard()`, in the running loop.
        limit: How many seconds the server is kept waiting.
    """

    def __init__(self, drain: Drain, *, limit: float) -> None:
        self._drain, self._limit = drain, limit
        self._hold: _Hold | None = None
        self._ear: _Ear | None = None
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Stand before the server for the time of a context, and put back what was there before.

        Leaves the signal alone where nobody handles it in Python, where the server drains by itself, and outside the
        main thread.
        """
        hold = self._hold = _Hold(self._drain, self._limit)
        server = _handler_of_the_server()
        with ExitStack() as stack:
            if server is not None:
                stack.enter_context(_before_handler(server, hold))
                if (
                    sys.platform != "win32"
                ):  # where a loop can't read from a socket, and SIGTERM is never sent
                    self._ear = stack.enter_context(_Ear.open(hold))
            try:
                yield
            finally:
                self._stop()
                hold.pass_on()

    def met(self, send: object) -> None:
        """Take note of a new WebSocket, by the server's `send`.

        A loop that was stopped and started since, as granian's is, listens anew, and we stand before it again.
        """
        if self._ear is not None and threading.current_thread() is threading.main_thread():
            self._ear.listen()
        elif self._watch is None and self._hold is not None and (end := _end_of_hypercorn(send)) is not None:
            self._watch = asyncio.get_running_loop().create_task(
                self._await(end), name="cortado-end-of-server"
            )

    async def _await(self, end: Callable[[], Awaitable[object]]) -> None:
        await end()
        if self._hold is not None:
            self._hold.begin()

    def _stop(self) -> None:
        self._hold = self._ear = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


def _end_of_hypercorn(send: object) -> Callable[[], Awaitable[object]] | None:
    """Return how to wait for the end of hypercorn's worker, which only a private event tells."""
    context = getattr(getattr(send, "__self__", None), "context", None)
    wait: Callable[[], Awaitable[object]] | None = getattr(getattr(context, "terminated", None), "wait", None)
    return wait


def _handler_of_the_server() -> SignalHandler | None:
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or getattr(getattr(handler, "__self__", None), "drains", False):
        return None
    return handler


@contextmanager
def _before_handler(server: SignalHandler, hold: "_Hold") -> Iterator[None]:
    """Stand before the server's handler. Whoever replaces ours meanwhile stays, and ours passes on."""
    hear = hold.before(server)
    signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is hear:
            signal.signal(signal.SIGTERM, server)


class _Ear:
    """Stands before the loop, through which a server hears of signals that calls `loop.add_signal_handler`.

    CPython writes the number of each signal into a file descriptor, from which the loop reads. Ours takes its place;
    what arrives is written on to the loop's, except a SIGTERM that has to wait.
    """

    present: ClassVar[set[int]] = set()
    """The file descriptors of all ears: of two applications in one process, one stands before the other."""

    def __init__(self, hold: "_Hold") -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._hear = hold.before(self._tell)
        self._server = -1

    @classmethod
    @contextmanager
    def open(cls, hold: "_Hold") -> Iterator["_Ear"]:
        """Listen in the running loop for the time of a context."""
        _leave_children_alone()
        loop = asyncio.get_running_loop()
        ear = cls(hold)
        loop.add_reader(ear._reader, ear._read)
        cls.present.add(ear._writer.fileno())
        ear.listen()
        try:
            yield ear
        finally:
            if not ear._leave():
                loop.remove_reader(ear._reader)
                cls.present.discard(ear._writer.fileno())
                ear._reader.close()
                ear._writer.close()

    def listen(self) -> None:
        """Take the loop's place, if it listens and nobody stands before it."""
        server = signal.set_wakeup_fd(self._writer.fileno())
        if server == -1 or server in self.present:
            signal.set_wakeup_fd(server)
        else:
            self._server = server

    def _leave(self) -> bool:
        """Put the loop's file descriptor back; True if another ear stands before us, and goes on writing to us."""
        present = signal.set_wakeup_fd(-1)
        mine = present == self._writer.fileno()
        signal.set_wakeup_fd(self._server if mine else present)
        return not mine and present in self.present

    def _read(self) -> None:
        for number in self._reader.recv(64):
            if number == signal.SIGTERM:
                self._hear(number, None)
            else:
                self._tell(number, None)

    def _tell(self, number: int, _: FrameType | None) -> None:
        os.write(self._server, bytes((number,)))


def _forget_in_child() -> None:
    """Let a forked child's signals not be heard in its parent, whose ear it has inherited."""
    if _Ear.present:
        signal.set_wakeup_fd(-1)


@functools.cache
def _leave_children_alone() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_in_child)


class _Hold:
    """A SIGTERM that the server doesn't know of yet, and the drain that it has begun.

    The same signal comes on each of the ways by which a server may listen.
    """

    def __init__(self, drain: Drain, limit: float) -> None:
        self._drain, self._limit = drain, limit
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._draining: asyncio.Task[None] | None = None
        self._begun = False
        self._passes = False  # whether signals go straight to the server
        self._held: dict[SignalHandler, int] = {}

    def before(self, server: SignalHandler) -> SignalHandler:
        """Return what is to be called for a signal in place of the server."""

        def hear(number: int, frame: FrameType | None) -> None:
            if os.getpid() != self._process:  # a forked child: the loop is its parent's
                server(number, frame)
            elif self._passes or server in self._held:
                self.pass_on()
                server(number, frame)
            else:
                self._held[server] = number
                self.begin()

        return hear

    def pass_on(self) -> None:
        """Let the server have what is held, and from now on every signal."""
        self._passes = True
        while self._held:
            server, number = self._held.popitem()
            server(number, None)

    def begin(self) -> None:
        """Begin the drain, unless it has begun; in the main thread, between any two steps of the program."""
        if self._begun:
            return
        self._begun = True
        try:
            self._loop.call_soon_threadsafe(self._start)
        except RuntimeError:  # the loop is closed: there is nothing left to drain
            self.pass_on()

    def _start(self) -> None:
        self._draining = self._loop.create_task(self._run(), name="cortado-drain")

    async def _run(self) -> None:
        logger.info("Ending the sessions before the server ends")
        patience = self._loop.call_later(self._limit, self.pass_on)
        try:
            await self._drain()
        except Exception:
            logger.exception("The drain failed")
        finally:
            patience.cancel()
            self.pass_on()
