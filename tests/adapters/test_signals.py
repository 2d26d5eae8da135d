"""A SIGTERM drains the application first, and then reaches the server, whichever way that listens."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from cortado.adapters.signals import Forewarning

pytestmark = pytest.mark.skipif(os.name == "nt", reason="nobody sends SIGTERM on Windows")


class Told:
    """What happened, in order; a drain that ends when it is let go."""

    def __init__(self):
        self.events = []
        self.changed = asyncio.Event()
        self.drained = asyncio.Event()

    def add(self, event):
        self.events.append(event)
        self.changed.set()

    def server(self, number, frame):
        self.add("server")

    async def drain(self):
        self.add("drain")
        await self.drained.wait()
        self.add("drained")

    async def until(self, *events):
        async with asyncio.timeout(5):
            while self.events != list(events):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture(autouse=True)
def signals_as_before():
    """No test changes how this process takes signals."""
    handler, descriptor = signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    yield
    signal.signal(signal.SIGTERM, handler)
    assert signal.set_wakeup_fd(descriptor) == descriptor


@pytest.fixture(params=["handler", "loop"])
async def told(request):
    """A server that has set a signal handler, and one that listens through the loop."""
    told, loop = Told(), asyncio.get_running_loop()
    if request.param == "handler":
        signal.signal(signal.SIGTERM, told.server)
    else:
        loop.add_signal_handler(signal.SIGTERM, told.server, signal.SIGTERM, None)
    yield told
    loop.remove_signal_handler(signal.SIGTERM)


def terminate():
    signal.raise_signal(signal.SIGTERM)


async def test_drain_comes_first(told):
    """The server hears of the signal when the drain is done, and once."""
    with Forewarning(told.drain, limit=60).heard():
        terminate()
        await told.until("drain")
        told.drained.set()
        await told.until("drain", "drained", "server")


async def test_second_signal(told):
    """A second SIGTERM reaches the server at once, with the first one; the drain goes on."""
    with Forewarning(told.drain, limit=60).heard():
        terminate()
        await told.until("drain")
        terminate()
        await told.until("drain", "server", "server")
        terminate()
        await told.until("drain", "server", "server", "server")


async def test_drain_that_hangs(told):
    """The server is kept waiting for so long and no longer."""
    with Forewarning(told.drain, limit=0.05).heard():
        terminate()
        await told.until("drain", "server")


async def test_drain_that_fails(told, caplog):
    """A drain that raises is logged, and the signal goes on to the server."""

    async def drain():
        raise LookupError("no such drain")

    with Forewarning(drain, limit=60).heard():
        terminate()
        await told.until("server")

    assert [record.message for record in caplog.records if record.exc_info] == ["The drain failed"]


async def test_end_of_the_context(told):
    """A signal that still waits reaches the server at the end; afterwards everything is as it was."""
    handler = signal.getsignal(signal.SIGTERM)
    with Forewarning(told.drain, limit=60).heard():
        terminate()
        await told.until("drain")
    await told.until("drain", "server")
    assert signal.getsignal(signal.SIGTERM) is handler

    terminate()
    await told.until("drain", "server", "server")


async def test_it_can_be_heard_again(told):
    """An application that is started again drains again."""
    forewarning = Forewarning(told.drain, limit=60)
    told.drained.set()
    for _ in range(2):
        told.events.clear()
        with forewarning.heard():
            terminate()
            await told.until("drain", "drained", "server")


async def test_two_applications_in_one_process(told):
    """Both drain before the server hears, also when the first to start is the first to stop."""
    first, second = Told(), Told()
    first.drained.set()
    second.drained.set()
    one = Forewarning(first.drain, limit=60).heard()
    one.__enter__()
    with Forewarning(second.drain, limit=60).heard():
        terminate()
        await told.until("server")
        assert first.events == second.events == ["drain", "drained"]
        one.__exit__(None, None, None)
        terminate()
        await told.until("server", "server")


async def test_handler_that_came_later(told):
    """A handler that somebody set meanwhile stays, and may still pass on to ours."""
    with Forewarning(told.drain, limit=60).heard():
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, later := lambda number, frame: ours(number, frame))

    assert signal.getsignal(signal.SIGTERM) is later


async def test_other_signals_pass():
    """What isn't SIGTERM reaches the loop as ever, while one waits and while none does."""
    told, loop = Told(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.add, "server")
    loop.add_signal_handler(signal.SIGUSR1, told.add, "other")
    try:
        with Forewarning(told.drain, limit=60).heard():
            signal.raise_signal(signal.SIGUSR1)
            await told.until("other")
            terminate()
            await told.until("other", "drain")
            signal.raise_signal(signal.SIGUSR1)
            await told.until("other", "drain", "other")
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGTERM)


async def test_loop_that_listens_anew():
    """When the loop has taken its place back, the next WebSocket puts us before it again."""
    told, loop = Told(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.add, "server")
    forewarning = Forewarning(told.drain, limit=60)
    try:
        with forewarning.heard():
            handler = signal.getsignal(signal.SIGTERM)
            loop.add_signal_handler(signal.SIGUSR1, told.add, "other")  # sets the loop's descriptor
            signal.signal(signal.SIGTERM, handler)
            forewarning.met(None)
            terminate()
            await told.until("drain")
            told.drained.set()
            await told.until("drain", "drained", "server")
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGTERM)


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
async def test_nobody_listens(handler):
    """Where nobody handles SIGTERM in Python, it keeps its meaning."""
    signal.signal(signal.SIGTERM, handler)

    with Forewarning(Told().drain, limit=60).heard():
        assert signal.getsignal(signal.SIGTERM) is handler


async def test_server_that_drains_itself():
    """A server that ends the sessions itself keeps its handler."""

    class Server:
        drains = True

        def handle(self, number, frame): ...

    handler = Server().handle
    signal.signal(signal.SIGTERM, handler)

    with Forewarning(Told().drain, limit=60).heard():
        assert signal.getsignal(signal.SIGTERM) is handler


FORKED = """
import asyncio, os, signal
from cortado.adapters.signals import Forewarning

heard = []

async def drain():
    heard.append("drain")

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)  # so that the loop listens
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append("server"))
    with Forewarning(drain, limit=60).heard():
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGTERM)
            os._exit(len(heard))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for _ in range(10):
            await asyncio.sleep(0)
    print(status, heard)

asyncio.run(main())
"""


def test_forked_child():
    """A signal to a forked child is the child's: its own handler has it at once, and its parent goes on."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "1 []\n"


async def test_outside_the_main_thread():
    """In another thread there are no signals to hear, and nothing is changed."""

    async def live():
        with Forewarning(Told().drain, limit=60).heard():
            return signal.getsignal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    seen = await asyncio.to_thread(asyncio.run, live())

    assert seen is before
    assert threading.current_thread() is threading.main_thread()


async def test_end_of_hypercorn():
    """Where the server's end is told by an event, the drain begins with it; the watch ends with the context."""
    told, end = Told(), asyncio.Event()
    stream = type("Stream", (), {"app_send": lambda self, event: None})()
    stream.context = SimpleNamespace(terminated=end)
    tasks = len(asyncio.all_tasks())
    forewarning = Forewarning(told.drain, limit=60)
    told.drained.set()

    with forewarning.heard():
        forewarning.met(stream.app_send)
        forewarning.met(stream.app_send)
        assert len(asyncio.all_tasks()) == tasks + 1
        end.set()
        await told.until("drain", "drained")
    with forewarning.heard():
        end.clear()
        forewarning.met(stream.app_send)
    forewarning.met(stream.app_send)
    await asyncio.sleep(0)

    assert told.events == ["drain", "drained"]
    assert len(asyncio.all_tasks()) == tasks
