"""Many scopes, and many who ask at once: nothing is made twice, and nothing stays behind."""

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cortado.container import BeanScope, Container, bean, component, configuration, pre_destroy, session_scope

SCOPES = 10_000
AT_ONCE = 1_000
RACERS = 8


class Count:
    """How many beans were created and ended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.created = self.ended = 0

    def create(self) -> None:
        with self.lock:
            self.created += 1

    def end(self) -> None:
        with self.lock:
            self.ended += 1


class Channel:
    """An async resource of a session."""


@configuration
class Channels:
    def __init__(self, count: Count) -> None:
        self.count = count

    @bean(scope="session")
    async def channel(self) -> AsyncIterator[Channel]:
        await asyncio.sleep(0)
        self.count.create()
        yield Channel()
        await asyncio.sleep(0)
        self.count.end()


@session_scope
@component
class Visitor:
    def __init__(self, count: Count) -> None:
        self.count = count
        count.create()

    @pre_destroy
    def end(self) -> None:
        self.count.end()


@session_scope
@component
class Talk:
    """Holds what ends, and has no end of its own."""

    def __init__(self, visitor: Visitor, channel: Channel) -> None:
        self.visitor, self.channel = visitor, channel


def container(count: Count, *sources: type) -> Container:
    made = Container(Visitor, *sources)
    made.register_instance(count)
    return made


def scopes_and_beans() -> int:
    gc.collect()
    return sum(isinstance(one, BeanScope | Visitor | Talk | Channel) for one in gc.get_objects())


async def use(beans: Container) -> None:
    async with beans.scope("session") as session:
        await session.aget(Talk)


async def test_ten_thousand_scopes_leave_no_trace():
    """One after the other, with resources that are opened and closed: memory stays what it was."""
    count = Count()
    async with container(count, Channels, Talk) as beans:
        for _ in range(500):  # until caches are as large as they get
            await use(beans)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(SCOPES):
            await use(beans)
        gc.collect()
        assert sys.getallocatedblocks() - before < SCOPES // 10, "scopes leave something behind"
        assert count.created == count.ended == 2 * (SCOPES + 500)
        assert scopes_and_beans() == 0
        assert not beans.lifetime._children
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_thousand_scopes_at_once():
    """Each has beans of its own while it lives, and none afterwards."""
    count, all_open = Count(), asyncio.Barrier(AT_ONCE)
    async with container(count, Channels, Talk) as beans:

        async def live() -> tuple[int, int]:
            async with beans.scope("session") as session:
                one, other = await asyncio.gather(session.aget(Talk), session.aget(Talk))
                assert one is other
                await all_open.wait()
                assert len(beans.lifetime._children) == AT_ONCE
                await all_open.wait()
                return id(one), id(one.channel)

        lives = await asyncio.gather(*(live() for _ in range(AT_ONCE)))
        assert len({talk for talk, _ in lives}) == len({channel for _, channel in lives}) == AT_ONCE
        assert count.created == count.ended == 2 * AT_ONCE
        assert not beans.lifetime._children
        assert scopes_and_beans() == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stop_ends_a_thousand_scopes():
    """Scopes that are open at the container's stop end with it."""
    count = Count()
    beans = container(count, Channels, Talk)
    await beans.start()
    scopes = [beans.scope("session") for _ in range(AT_ONCE)]
    await asyncio.gather(*(one.aget(Talk) for one in scopes))
    await beans.stop()
    assert count.created == count.ended == 2 * AT_ONCE
    assert all(one.closed for one in scopes)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("where", ["container", "scope"])
async def test_threads_race_for_one_bean(where):
    """Whichever thread is first, all get its instance; a hundred times over."""
    count = Count()
    gate = threading.Barrier(RACERS)

    def ask(source: Container | BeanScope) -> object:
        gate.wait(10)
        return source.get("bean")

    beans = Container()
    beans.register_instance(count)
    beans.register(Visitor, name="bean", scope="singleton" if where == "container" else "session")
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(RACERS) as threads:
        for number in range(1, 101):
            async with beans:
                source = beans if where == "container" else beans.scope("session")
                got = await asyncio.gather(
                    *(loop.run_in_executor(threads, ask, source) for _ in range(RACERS))
                )
                assert len(set(map(id, got))) == 1
            assert count.created == count.ended == number


@pytest.mark.parametrize("where", ["container", "scope"])
async def test_event_loops_race_for_one_bean(where):
    """An async bean is created on one of the loops, and the others get it; so do threads, once it is there."""
    count = Count()

    class Line(Visitor):
        """Belongs to no event loop, unlike an async generator."""

    @configuration
    class Shared:
        @bean(scope="singleton" if where == "container" else "session")
        async def line(self, count: Count) -> Line:
            for _ in range(5):
                await asyncio.sleep(0)
            return Line(count)

    beans = Container(Shared)
    beans.register_instance(count)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(RACERS) as threads:
        for number in range(1, 31):
            gate = threading.Barrier(RACERS)
            done = threading.Barrier(RACERS)
            async with beans:
                source = beans if where == "container" else beans.scope("session")

                def ask(source=source, gate=gate, done=done) -> list[object]:
                    async def ask_often() -> list[object]:
                        gate.wait(10)
                        found = await asyncio.gather(*(source.aget(Line) for _ in range(5)))
                        done.wait(10)  # the loop that creates it lives until all have it
                        return found

                    return asyncio.run(ask_often())

                got = await asyncio.gather(*(loop.run_in_executor(threads, ask) for _ in range(RACERS)))
                assert len({id(one) for some in got for one in some}) == 1
                assert source.get(Line) is got[0][0]
            assert count.created == count.ended == number
