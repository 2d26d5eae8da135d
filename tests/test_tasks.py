"""Waiting that no cancellation cuts short."""

import asyncio
import contextvars
import gc
import warnings
from contextvars import Context, ContextVar

import anyio
import pytest

from cortado.tasks import Starter, settle, settle_all, start, was_cancelled


async def test_settle_waits_however_often_it_is_cancelled():
    """Cancelling the waiter neither ends the wait nor reaches the task, and is visible afterwards."""
    release = asyncio.Event()
    task = asyncio.create_task(release.wait())
    waiter = asyncio.create_task(settle(task, 5))
    for _ in range(3):
        await asyncio.sleep(0)
        waiter.cancel()
    await asyncio.sleep(0)
    assert not waiter.done()
    release.set()

    assert await waiter is True
    assert waiter.cancelling() == 3
    assert task.result() is True


async def test_settle_gives_up_in_time():
    """When the time is up the wait returns False, and the task runs on."""
    task = asyncio.create_task(asyncio.sleep(30))
    assert await settle(task, 0.01) is False
    assert not task.done()
    task.cancel()


async def test_settle_all_returns_who_still_runs():
    """Several tasks are waited for together."""
    quick, slow = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(30))
    assert await settle_all((quick, slow), 0.05) == {slow}
    slow.cancel()
    assert await settle_all((quick, slow), 5) == set()


async def test_outcomes_are_not_raised():
    """A task that fails is just done."""

    async def fail():
        raise KeyError

    task = asyncio.create_task(fail())
    assert await settle(task, 5)
    with pytest.raises(KeyError):
        task.result()


async def test_start_runs_in_the_given_context():
    """Work is started in the context it is given, past any task factory."""
    variable = contextvars.ContextVar("variable", default="outer")
    context = contextvars.copy_context()
    context.run(variable.set, "inner")
    seen = []

    async def work():
        seen.append(variable.get())

    await start(work(), "named", context)
    task = start(work(), "named")
    await task

    assert seen == ["inner", "outer"]
    assert task.get_name() == "named"


async def test_was_cancelled_tells_whose_cancellation_it_is():
    """A cancelled task knows it; one whose awaited future was cancelled isn't."""
    told = []

    async def wait(future):
        try:
            await future
        except asyncio.CancelledError:
            told.append(was_cancelled())

    loop = asyncio.get_running_loop()
    mine, foreign = loop.create_future(), loop.create_future()
    tasks = [asyncio.create_task(wait(mine)), asyncio.create_task(wait(foreign))]
    await asyncio.sleep(0)
    tasks[0].cancel()
    foreign.cancel()
    await asyncio.wait(tasks)

    assert told == [True, False]


class TestStarter:
    """Tasks whose first step is done at once."""

    async def test_work_that_never_waits_is_done_when_it_returns(self):
        """No task is left of it."""
        done = []

        async def work():
            done.append(asyncio.current_task())

        before = asyncio.all_tasks()
        assert Starter().begin(work(), "quick") is None
        assert len(done) == 1
        assert done[0] is not asyncio.current_task()
        assert asyncio.all_tasks() == before

    async def test_the_whole_work_is_one_task(self):
        """What the first step takes for the running task goes on with it, and is seen by everyone from then on."""
        seen = []
        go = asyncio.Event()

        async def work():
            seen.append(asyncio.current_task())
            await go.wait()
            seen.append(asyncio.current_task())

        task = Starter().begin(work(), "slow")
        assert task in asyncio.all_tasks()
        assert task.get_name() == "slow"
        go.set()
        await asyncio.wait_for(task, 10)
        assert seen == [task, task]

    async def test_its_context_is_its_own(self):
        """What it sets is seen by itself, in every step, and by nobody else."""
        where = ContextVar("where", default="outside")
        seen = []

        async def work():
            where.set("inside")
            await asyncio.sleep(0)
            seen.append(where.get())

        await asyncio.wait_for(Starter().begin(work(), "mine"), 10)
        given = Context()
        await asyncio.wait_for(Starter().begin(work(), "given", given), 10)
        assert seen == ["inside", "inside"]
        assert (where.get(), given[where]) == ("outside", "inside")

    async def test_timeouts_of_the_first_step_hold(self):
        """A timeout that the first step enters cancels the work, not its caller."""

        async def work():
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

        task = Starter().begin(work(), "limited")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 10)
        assert asyncio.current_task().cancelling() == 0

    async def test_scopes_of_anyio_hold(self):
        """A cancel scope is left by the task that entered it."""

        async def work():
            with anyio.CancelScope() as scope:
                await anyio.sleep(0)
                scope.cancel()
                await anyio.sleep(0)
            left.append(scope.cancelled_caught)

        left = []
        await asyncio.wait_for(Starter().begin(work(), "scoped"), 10)
        assert left == [True]

    @pytest.mark.parametrize("turns", [0, 1, 2])
    async def test_it_can_be_cancelled_at_any_time(self, turns):
        """The work learns of it where it waits."""
        told = []

        async def work():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append("cancelled")
                raise

        task = Starter().begin(work(), "cancelled")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        assert told == ["cancelled"]

    async def test_it_waits_for_what_others_wait_for(self):
        """A future that several wait for wakes all of them, whoever comes first."""
        starter = Starter()
        shared = asyncio.get_running_loop().create_future()
        got = []

        async def work():
            got.append(await shared)

        tasks = [starter.begin(work(), "one"), asyncio.create_task(work()), starter.begin(work(), "other")]
        await asyncio.sleep(0)
        tasks.append(starter.begin(work(), "late"))
        shared.set_result("it")
        tasks.append(starter.begin(work(), "too late"))
        await asyncio.wait_for(asyncio.gather(*tasks[:-1]), 10)
        assert tasks[-1] is None
        assert got == ["it"] * 5

    async def test_its_cancellation_waits_for_what_it_waits_for(self):
        """As with any task: a task that the work awaits is cancelled first, and ends before the work does."""
        told = []

        async def inner():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                told.append("inner")
                raise

        async def work():
            try:
                await other
            except asyncio.CancelledError:
                told.append("work")
                raise

        other = asyncio.create_task(inner())
        await asyncio.sleep(0)
        task = Starter().begin(work(), "cancelled")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        assert told == ["inner", "work"]

    async def test_what_the_first_step_raises_is_raised(self):
        """A later step's error is the task's."""

        async def fail(turns):
            for _ in range(turns):
                await asyncio.sleep(0)
            raise RuntimeError("no")

        starter = Starter()
        with pytest.raises(RuntimeError, match="no"):
            starter.begin(fail(0), "fails")
        with pytest.raises(RuntimeError, match="no"):
            await asyncio.wait_for(starter.begin(fail(1), "fails"), 10)
        assert asyncio.current_task() is not None

    async def test_what_cannot_be_waited_for_is_an_error_of_the_work(self):
        """As with any task: the work is told where it waits, and may go on."""
        told = []

        class Wrong:
            def __await__(self):
                yield 5

        async def work():
            try:
                await Wrong()
            except RuntimeError as error:
                told.append(str(error))
            await asyncio.sleep(0)

        await asyncio.wait_for(Starter().begin(work(), "wrong"), 10)
        assert told == ["Task got bad yield: 5"]

    @pytest.mark.parametrize("leaves", ["group", "timeout"])
    async def test_what_is_left_behind_reaches_no_other_work(self, leaves):
        """A task group or a timeout that work has entered and not left cancels the work's task, which has ended."""
        starter = Starter()
        group, late = asyncio.TaskGroup(), asyncio.timeout(0)

        async def enter():
            await (group if leaves == "group" else late).__aenter__()

        async def fail():
            raise RuntimeError("no")

        async def other():
            for _ in range(10):
                await asyncio.sleep(0)

        starter.begin(enter(), "enters")
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        if leaves == "group":
            group.create_task(fail())
        assert await asyncio.wait_for(starter.begin(other(), "other"), 10) is None

    async def test_the_callbacks_of_done_work_are_called(self):
        """Whoever wants to know when the task ends is told, though nothing had to wait."""
        called = asyncio.Event()

        async def work():
            asyncio.current_task().add_done_callback(lambda _: called.set())

        Starter().begin(work(), "quick")
        assert await asyncio.wait_for(called.wait(), 10)

    async def test_a_first_step_may_cancel_its_own_task(self):
        """The work learns of it where it waits first, whichever task it borrows."""
        starter = Starter()

        async def quick():
            return None

        async def work():
            asyncio.current_task().cancel()
            await asyncio.sleep(10)

        starter.begin(quick(), "leaves its task for the next")
        await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(starter.begin(work(), "cancels itself"), 10)

    async def test_first_steps_nest(self):
        """Work may begin other work in its first step, in the same task's name or not."""
        starter = Starter()
        tasks = []

        async def inner(turns):
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks.append(asyncio.current_task())

        async def outer():
            me = asyncio.current_task()
            starter.begin(inner(0), "inner")
            waits = starter.begin(inner(1), "inner")
            assert asyncio.current_task() is me
            await waits
            tasks.append(me)

        caller = asyncio.current_task()
        task = starter.begin(outer(), "outer")
        assert asyncio.current_task() is caller
        await asyncio.wait_for(task, 10)
        assert len({*tasks[1:], caller}) == 3
        assert tasks[0] not in (task, caller)

    def test_a_starter_serves_one_loop_after_another(self):
        """What it keeps at hand is of no use to another loop, and harms nobody."""
        starter = Starter()
        done = []

        async def work(turns):
            for _ in range(turns):
                await asyncio.sleep(0)
            done.append(turns)

        async def run():
            starter.begin(work(0), "quick")
            await asyncio.wait_for(starter.begin(work(2), "slow"), 10)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(2):
                asyncio.run(run())
            gc.collect()
        assert done == [0, 2, 0, 2]
