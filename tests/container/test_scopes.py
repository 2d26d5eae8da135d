"""Scopes: who lives how long, who may hold whom, and how a scope ends."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Protocol

import pytest

from cortado.container import (
    BeanDefinitionError,
    BeanScope,
    Container,
    ContextClosedError,
    Lazy,
    NoActiveScopeError,
    NoSuchBeanError,
    Qualifier,
    Scope,
    ScopeClosedError,
    ScopeCloseError,
    ScopeMismatchError,
    UnknownScopeError,
    bean,
    component,
    configuration,
    post_construct,
    pre_destroy,
    prototype,
    request_scope,
    scope,
    service,
    session_scope,
)
from cortado.exceptions import ConfigurationError, StartupError


@service
class Clock:
    pass


@session_scope
@component
class Visitor:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


@scope("child")
@component
class Panel:
    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor


@request_scope
@component
class Work:
    def __init__(self, visitor: Visitor, clock: Clock) -> None:
        self.visitor = visitor
        self.clock = clock


@request_scope
@component
class Errand:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


class Ticket:
    pass


async def test_each_scope_has_its_own_instance():
    """One instance for each scope, the same for whoever asks in it."""
    async with Container(Clock, Visitor) as container:
        async with container.scope("session") as first, container.scope(Scope.SESSION) as second:
            assert await first.aget(Visitor) is await first.aget(Visitor) is first.get("visitor")
            assert await first.aget(Visitor) is not await second.aget(Visitor)
            assert first.get(Clock) is second.get(Clock) is container.get(Clock)


async def test_a_scope_shares_what_lives_longer_with_its_siblings():
    """A request within a session gets the session's beans; each request has beans of its own."""
    async with Container(Clock, Visitor, Work) as container, container.scope("session") as session:
        async with (
            container.scope("request", parent=session) as one,
            container.scope("request", parent=session) as two,
        ):
            first, second = await one.aget(Work), two.get(Work)
            assert first is not second
            assert first.visitor is second.visitor is session.get(Visitor)


async def test_child_scopes_nest():
    """Each child scope, however deep, has children's beans of its own."""
    async with Container(Clock, Visitor, Panel) as container, container.scope("session") as session:
        async with container.scope("child", parent=session) as outer:
            async with container.scope("child", parent=outer) as inner:
                assert inner.get(Panel) is not outer.get(Panel)
                assert inner.get(Panel).visitor is outer.get(Panel).visitor


async def test_a_prototype_is_new_within_a_scope_and_holds_the_beans_of_the_scope():
    """What a prototype holds comes from the scope it is asked for in."""

    @prototype
    class Note:
        def __init__(self, visitor: Visitor) -> None:
            self.visitor = visitor

    async with Container(Clock, Visitor, Note) as container:
        async with container.scope("session") as session:
            assert session.get(Note) is not session.get(Note)
            assert session.get(Note).visitor is (await session.aget(Note)).visitor is session.get(Visitor)
        with pytest.raises(NoActiveScopeError):
            container.get(Note)


@pytest.mark.parametrize("held", [Visitor, Lazy[Visitor]])
def test_a_singleton_may_hold_a_shorter_lived_bean_only_lazily(held):
    """The mismatch is a problem at the start; `Lazy` is the cure."""

    class Holder:
        def __init__(self, visitor: held) -> None:
            self.visitor = visitor

    problems = Container(Clock, Visitor, Holder).validate()
    if held is not Visitor:
        assert problems == []
        return
    (problem,) = problems
    assert isinstance(problem, ScopeMismatchError)
    assert problem.path == ("holder", "visitor")
    assert (problem.scope, problem.held) == ("singleton", "session")
    assert "Lazy" in str(problem)


def test_a_mismatch_is_found_through_prototypes():
    """However many prototypes are between the holder and the bean that lives shorter."""

    @prototype
    class Inner:
        def __init__(self, work: Errand) -> None: ...

    @prototype
    class Outer:
        def __init__(self, inner: Inner) -> None: ...

    @session_scope
    @component
    class Holder:
        def __init__(self, outer: Outer) -> None: ...

    (problem,) = Container(Clock, Errand, Inner, Outer, Holder).validate()
    assert isinstance(problem, ScopeMismatchError)
    assert problem.path == ("holder", "outer", "inner", "errand")


@pytest.mark.parametrize("shape", [list[Errand], dict[str, Errand], tuple[Errand, ...]])
def test_a_mismatch_is_found_in_collections(shape):
    """A list of what lives shorter is no better than one of it."""

    class Holder:
        def __init__(self, all: shape) -> None: ...

    (problem,) = Container(Clock, Errand, Holder).validate()
    assert isinstance(problem, ScopeMismatchError)


def test_a_mismatch_is_found_at_factories_and_dependencies():
    """A `@bean` method's configuration, and what a bean depends on, count too."""

    @session_scope
    @configuration
    class Wiring:
        @bean
        def ticket(self) -> Ticket:
            return Ticket()

    (problem,) = Container(Wiring).validate()
    assert isinstance(problem, ScopeMismatchError)
    assert problem.path == ("ticket", "wiring")


def test_an_unknown_scope_is_a_problem_of_the_start():
    """The word is compared with those that are known."""

    @component(scope="sesion")
    class Typo:
        pass

    (problem,) = Container(Typo).validate()
    assert isinstance(problem, UnknownScopeError)
    assert "did you mean: session?" in str(problem)


@pytest.mark.parametrize("kind", ["request", "prototype"])
def test_only_a_singleton_can_be_created_at_the_start(kind):
    """What lives shorter is created when somebody asks; `lazy=False` would never come true."""

    @component(scope=kind, lazy=False)
    class Eager:
        pass

    (problem,) = Container(Eager).validate()
    assert isinstance(problem, BeanDefinitionError)
    assert "lazy=False" in str(problem)


async def test_lazy_finds_the_scope_of_whoever_calls():
    """One singleton, called in two connections at once, gets the bean of each."""

    @service
    class Greeter:
        def __init__(self, visitor: Lazy[Visitor]) -> None:
            self.visitor = visitor

    async def connection(container, met):
        async with container.scope("session") as session:
            await met.wait()
            return container.get(Greeter).visitor.get() is session.get(Visitor), session.get(Visitor)

    async with Container(Clock, Visitor, Greeter) as container:
        met = asyncio.Barrier(2)
        (right, one), (too, other) = await asyncio.gather(
            connection(container, met), connection(container, met)
        )
        assert right
        assert too
        assert one is not other
        with pytest.raises(NoActiveScopeError):
            container.get(Greeter).visitor.get()


async def test_the_container_finds_the_beans_of_the_open_scope():
    """`Container.get`, `aget` and the provider follow the scope around the call, in threads too."""
    async with Container(Clock, Visitor) as container:
        async with container.scope("session") as session:
            here = await session.aget(Visitor)
            assert container.get(Visitor) is here
            assert await container.aget(Visitor) is here
            assert container.di.visitor() is here
            assert await asyncio.to_thread(container.get, Visitor) is here
        with pytest.raises(NoActiveScopeError, match="no session scope is open"):
            await container.aget(Visitor)


async def test_a_request_outside_a_session_has_no_visitor():
    """What a bean needs of a scope around it has to be there."""
    async with Container(Clock, Visitor, Work) as container, container.scope("request") as request:
        with pytest.raises(NoActiveScopeError) as caught:
            await request.aget(Work)
        assert (caught.value.name, caught.value.scope) == ("visitor", "session")
        assert "around this request scope" in str(caught.value)


async def test_two_containers_do_not_mix():
    """The open scope of one container is none of the other's."""
    async with (
        Container(Clock, Visitor) as one,
        Container(Clock, Visitor) as other,
        one.scope("session") as mine,
    ):
        with pytest.raises(NoActiveScopeError):
            other.get(Visitor)
        async with other.scope("session"):
            assert one.get(Visitor) is mine.get(Visitor)
        with pytest.raises(ConfigurationError, match="another container"):
            other.scope("request", parent=mine)


class TestGiven:
    """Objects that a scope is given."""

    @request_scope
    @component
    class Desk:
        def __init__(self, ticket: Ticket) -> None:
            self.ticket = ticket

    async def test_by_a_protocol(self):
        """It is found by a protocol whose members it has, and what has them not is missing."""

        class Named(Protocol):
            name: str

        class Other(Protocol):
            other: str

        @scope("job")
        @component
        class Greeting:
            def __init__(self, named: Named) -> None:
                self.named = named

        class Job:
            def __init__(self) -> None:
                self.name = "it"

            name: str

        container = Container(Greeting)
        container.register_scope("job")
        job = Job()
        async with container, container.scope("job", job) as open_job:
            assert open_job.get(Greeting).named is job
            assert open_job.get(Named) is job
            with pytest.raises(NoSuchBeanError):
                open_job.get(Other)

    async def test_needs_no_registration(self):
        """It is injected by its type, and can be asked for."""
        ticket = Ticket()
        async with Container(self.Desk) as container, container.scope("request", ticket) as request:
            assert request.get(self.Desk).ticket is ticket
            assert await request.aget(Ticket) is request.get(Ticket) is ticket

    async def test_is_found_from_the_scopes_within(self):
        """A bean of a shorter scope gets what the scope around it was given."""
        ticket = Ticket()
        async with Container(self.Desk) as container, container.scope("session", ticket) as session:
            async with container.scope("request", parent=session) as request:
                assert (await request.aget(self.Desk)).ticket is ticket

    async def test_the_innermost_scope_that_was_given_one_counts(self):
        """Where several scopes are given one, each bean gets that of its own scope, and whoever asks, too."""

        @session_scope
        @component
        class Holder:
            def __init__(self, ticket: Ticket) -> None:
                self.ticket = ticket

        @scope("child")
        @component
        class Part:
            def __init__(self, ticket: Ticket, holder: Holder, late: Lazy[Ticket]) -> None:
                self.ticket, self.holder, self.late = ticket, holder, late

            @post_construct
            async def begin(self) -> None: ...

        container, outer, inner = Container(Holder, Part), Ticket(), Ticket()
        container.register_given("session", Ticket)
        container.register_given("child", Ticket)
        async with container, container.scope("session", outer) as session:
            for _ in range(2):
                async with container.scope("child", inner, parent=session) as child:
                    part = await child.aget(Part)
                    assert part.ticket is part.late.get() is child.get(Ticket) is inner
                    assert await child.aget(Ticket) is await part.late.aget() is inner
                    assert part.holder.ticket is session.get(Ticket) is outer

    async def test_missing_is_an_error_that_says_so(self):
        """Whoever opens a scope learns what it should have been given."""
        async with Container(self.Desk) as container, container.scope("request") as request:
            with pytest.raises(NoSuchBeanError, match="request scope was given none"):
                await request.aget(self.Desk)
            with pytest.raises(NoSuchBeanError):
                request.get(Ticket)

    async def test_declared_makes_the_start_strict(self):
        """Where it is known what a scope is given, whatever else is missing is a problem at the start."""
        container = Container(self.Desk)
        container.register_given("request", Clock)
        (problem,) = container.validate()
        assert isinstance(problem, NoSuchBeanError)
        container.register_given("request", Ticket)
        assert container.validate() == []
        ticket = Ticket()
        async with container, container.scope("request", ticket) as request:
            assert request.get(self.Desk).ticket is ticket

    def test_declared_may_not_be_held_longer(self):
        """An object of a session is no more to be held by a singleton than a bean of it."""

        class Holder:
            def __init__(self, ticket: Ticket) -> None: ...

        container = Container(Holder)
        container.register_given("session", Ticket)
        (problem,) = container.validate()
        assert isinstance(problem, ScopeMismatchError)

    def test_a_forgotten_bean_is_not_taken_for_given(self):
        """What has a stereotype of its own, or is no class, is missing."""

        @request_scope
        @component
        class Desk:
            def __init__(self, clock: Clock, name: str, other: Annotated[Ticket, Qualifier("x")]) -> None: ...

        assert [type(one) for one in Container(Desk).validate()] == [NoSuchBeanError] * 3

    async def test_can_be_overridden(self):
        """A test may put its own object in the place of what the scope is given."""
        mine = Ticket()
        container = Container(self.Desk)
        container.register_given("request", Ticket)
        async with container, container.scope("request", Ticket()) as request:
            with container.override(Ticket, mine):
                assert request.get(self.Desk).ticket is mine
            assert request.get(self.Desk).ticket is not mine


class TestOwnScopes:
    """Scopes that the application registers."""

    @component(scope="job")
    class Report:
        def __init__(self, clock: Clock, ticket: Ticket) -> None:
            self.ticket = ticket

    async def test_open_and_end_like_the_others(self):
        """The word is the scope."""
        container = Container(Clock, self.Report)
        container.register_scope("job", given=[Ticket])
        async with container, container.scope("job", Ticket()) as job:
            assert job.get(self.Report) is await job.aget(self.Report)
            assert job.kind == "job"

    async def test_live_within_another_one(self):
        """They may hold what lives in the scope around them, and nothing of a scope beside them."""

        @component(scope="turn")
        class Turn:
            def __init__(self, visitor: Visitor) -> None:
                self.visitor = visitor

        container = Container(Clock, Visitor, Turn)
        container.register_scope("turn", within="session")
        async with container, container.scope("session") as session:
            async with container.scope("turn", parent=session) as turn:
                assert turn.get(Turn).visitor is session.get(Visitor)
        beside = Container(Clock, Visitor, Turn)
        beside.register_scope("turn")
        (problem,) = beside.validate()
        assert isinstance(problem, ScopeMismatchError)

    @pytest.mark.parametrize(
        ("name", "within"),
        [("session", "singleton"), ("two words", "singleton"), ("job", "jobs"), ("", "session")],
    )
    def test_have_names_of_their_own(self, name, within):
        """A name that is taken or no word, or a scope around that isn't known, is an error at once."""
        with pytest.raises(ConfigurationError):
            Container().register_scope(name, within)


class TestEnd:
    """What happens when a scope ends."""

    async def test_ends_beans_in_the_reverse_order_of_their_creation(self):
        """Dependants first; callbacks in their place among the beans."""
        ended = []

        @session_scope
        @component
        class First:
            @pre_destroy
            def end(self) -> None:
                ended.append("first")

        @session_scope
        @component
        class Second:
            def __init__(self, first: First) -> None: ...

            @pre_destroy
            async def end(self) -> None:
                await asyncio.sleep(0)
                ended.append("second")

        async with Container(First, Second) as container:
            async with container.scope("session") as session:
                await session.aget(First)
                session.on_close(lambda: ended.append("callback"))
                await session.aget(Second)
                assert not session.closed
            assert ended == ["second", "callback", "first"]
            assert session.closed

    async def test_generators_go_on_after_their_yield(self):
        """A `@bean` method that yields is a resource of the scope."""
        ended = []

        @configuration
        class Wiring:
            @bean(scope="request")
            async def ticket(self) -> AsyncIterator[Ticket]:
                yield Ticket()
                ended.append("ticket")

        async with Container(Wiring) as container:
            for _ in range(2):
                async with container.scope("request") as request:
                    assert isinstance(await request.aget(Ticket), Ticket)
            assert ended == ["ticket", "ticket"]

    async def test_what_outlives_it_gets_an_error(self):
        """A task, or a `Lazy` that is still held, doesn't bring a scope's beans back to life."""
        async with Container(Clock, Visitor) as container:
            async with container.scope("session") as session:
                go = asyncio.Event()

                async def late():
                    await go.wait()
                    await container.aget(Visitor)

                task = asyncio.create_task(late())
                await session.aget(Visitor)
            go.set()
            with pytest.raises(ScopeClosedError):
                await task
            for ask in (lambda: session.get(Visitor), lambda: session.on_close(print)):
                with pytest.raises(ScopeClosedError):
                    ask()
            with pytest.raises(ScopeClosedError):
                container.scope("request", parent=session)

    async def test_ends_the_scopes_within_first(self):
        """A scope that is left open within another one ends with it, before it."""
        ended = []
        async with Container() as container:
            session = container.scope("session")
            session.on_close(lambda: ended.append("session"))
            request = container.scope("request", parent=session)
            request.on_close(lambda: ended.append("request"))
            await session.aclose()
            assert ended == ["request", "session"]
            assert request.closed

    async def test_the_container_ends_the_scopes_that_are_open(self):
        """Nothing is alive after the container's stop."""
        ended = []
        container = Container()
        await container.start()
        session = container.scope("session")
        session.on_close(lambda: ended.append("session"))
        await container.stop()
        assert ended == ["session"]
        with pytest.raises(ContextClosedError):
            container.scope("session")
        with pytest.raises(ScopeClosedError):
            session.get(Clock)

    async def test_failures_come_as_a_group_when_all_is_done(self):
        """Each finaliser by itself."""
        ended = []

        def fail():
            raise RuntimeError("no")

        async with Container() as container:
            session = container.scope("session")
            session.on_close(lambda: ended.append("last"))
            session.on_close(fail)
            session.on_close(fail)
            with pytest.raises(ScopeCloseError) as caught:
                await session.aclose()
            assert [str(one) for one in caught.value.exceptions] == ["no", "no"]
            assert ended == ["last"]

    async def test_is_complete_even_when_cancelled(self):
        """Cancelled half-way, everything still ends, and then the cancellation goes on."""
        ended = []
        begun = asyncio.Event()
        go = asyncio.Event()

        async def slow():
            begun.set()
            await go.wait()
            ended.append("slow")

        async with Container() as container:

            async def work():
                async with container.scope("session") as session:
                    session.on_close(lambda: ended.append("first"))
                    session.on_close(slow)

            task = asyncio.create_task(work())
            await begun.wait()
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended == ["slow", "first"]

    async def test_the_scopes_around_end_too_when_every_task_is_cancelled(self):
        """As at the end of `asyncio.run`: the scopes around the one that is about to end still end."""
        ended = []
        begun = asyncio.Event()

        async def hang():
            begun.set()
            await asyncio.Event().wait()

        async with Container() as container:
            session = container.scope("session")
            session.on_close(lambda: ended.append("session"))
            container.scope("request", parent=session).on_close(hang)
            closing = asyncio.create_task(session.aclose())
            await begun.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert ended == ["session"]

    @pytest.mark.parametrize("closed", ["session", "request"])
    async def test_a_finaliser_may_close_what_waits_for_it(self, closed):
        """It doesn't wait for its own scope, or one around that, which end after it."""
        ended = []
        container = Container(close_timeout=5)
        await container.start()
        session = container.scope("session")
        request = container.scope("request", parent=session)

        async def close():
            await (session if closed == "session" else request).aclose()
            ended.append("request")

        session.on_close(lambda: ended.append("session"))
        request.on_close(close)
        await request.aclose()
        await session.aclose()
        assert ended == ["request", "session"]
        await container.stop()

    async def test_what_fails_in_an_end_that_a_finaliser_began_is_logged(self, caplog):
        """Nobody else hears of it."""

        def fail():
            raise RuntimeError("no")

        async with Container() as container:
            session = container.scope("session")
            request = container.scope("request", parent=session)
            session.on_close(fail)
            request.on_close(session.aclose)
            await request.aclose()
            await session.aclose()
        assert [str(record.exc_info[1]) for record in caplog.records] == ["no"]

    @pytest.mark.parametrize("hooked", [False, True])
    async def test_during_a_construction(self, hooked):
        """Nobody gets a bean whose construction, in a thread, a scope's end has overtaken."""
        entered, leave = threading.Event(), threading.Event()

        class Plain:
            def __init__(self) -> None:
                entered.set()
                leave.wait(10)

        class Hooked(Plain):
            @pre_destroy
            def down(self) -> None: ...

        wanted = Hooked if hooked else Plain
        container = Container()
        container.register(wanted, scope="session")
        async with container:
            session = container.scope("session")
            asking = asyncio.create_task(asyncio.to_thread(session.get, wanted))
            await asyncio.to_thread(entered.wait, 10)
            closing = asyncio.create_task(session.aclose())
            while not session.closed:
                await asyncio.sleep(0)
            leave.set()
            with pytest.raises(ScopeClosedError):
                await asking
            await closing

    async def test_several_may_close_at_once(self):
        """Both wait for the one end; the failures are told once."""
        runs = []
        go = asyncio.Event()

        async def slow():
            runs.append(1)
            await go.wait()
            raise RuntimeError("no")

        async with Container() as container:
            session = container.scope("session")
            session.on_close(slow)
            closers = [asyncio.create_task(session.aclose()) for _ in range(3)]
            while not runs:
                await asyncio.sleep(0)
            go.set()
            results = await asyncio.gather(*closers, return_exceptions=True)
            assert [type(one) for one in results] == [ScopeCloseError, type(None), type(None)]
            assert runs == [1]

    async def test_what_fails_is_logged_where_a_cancellation_is_raised_instead(self, caplog):
        """A cancelled end raises the cancellation; what its finalisers raised isn't lost."""
        begun, go = asyncio.Event(), asyncio.Event()

        async def fail():
            begun.set()
            await go.wait()
            raise RuntimeError("no")

        async with Container() as container:
            session = container.scope("session")
            session.on_close(fail)
            closing = asyncio.create_task(session.aclose())
            await begun.wait()
            closing.cancel()
            await asyncio.sleep(0)
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await closing
        assert [str(record.exc_info[1]) for record in caplog.records] == ["no"]

    @pytest.mark.parametrize("kind", ["scope", "container"])
    async def test_a_cancelled_block_passes_the_cancellation_on_though_its_end_fails(self, kind, caplog):
        """No failing finaliser takes a cancellation's place, so that timeouts and task groups hold."""

        def fail():
            raise RuntimeError("no")

        async with Container() as outer:
            container = outer if kind == "scope" else Container()
            begun = asyncio.Event()

            async def work():
                async with container.scope("session") if kind == "scope" else container as opened:
                    (opened if kind == "scope" else opened.scope("session")).on_close(fail)
                    begun.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert [str(record.exc_info[1]) for record in caplog.records] == ["no"]

    @pytest.mark.parametrize("steps", range(8))
    async def test_is_complete_even_when_every_task_is_cancelled(self, steps):
        """As by the end of an event loop, at whatever step; and nobody who comes later waits for ever."""
        ended = []
        container = Container()
        await container.start()
        session = container.scope("session")
        request = container.scope("request", parent=session)

        async def end(name):
            ended.append(name)

        session.on_close(lambda: end("session"))
        request.on_close(lambda: end("request"))
        closing = asyncio.create_task(session.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(closing, *tasks, return_exceptions=True)
        await session.aclose()
        assert ended == ["request", "session"]
        await container.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_comes_in_another_context_too(self):
        """A block may be left in another task than it was entered in, as fixtures and generators are."""
        ended = []
        async with Container() as container:
            session = container.scope("session")
            session.on_close(lambda: ended.append("session"))
            await asyncio.create_task(session.__aenter__())
            await asyncio.create_task(session.__aexit__(None, None, None))
            assert ended == ["session"]

    async def test_nobody_gets_a_bean_that_holds_one_which_has_ended(self):
        """A bean without an end of its own is gone as soon as one that it may hold has ended."""
        got = []

        @session_scope
        @component
        class Ended:
            @pre_destroy
            def end(self) -> None: ...

        @session_scope
        @component
        class Holder:
            def __init__(self, ended: Ended) -> None: ...

        async with Container(Ended, Holder) as container, container.scope("session") as session:

            def late():
                for one in (Holder, Ended):
                    with pytest.raises(ScopeClosedError):
                        session.get(one)
                    got.append(one)

            session.on_close(late)
            session.get(Ended)
            session.on_close(lambda: got.append(type(session.get(Holder))))
            session.get(Holder)
        assert got == [Holder, Holder, Ended]

    async def test_a_prototype_on_its_way_is_not_handed_out(self):
        """Whoever waits for a prototype when the scope ends gets no instance with ended beans."""
        begun, go = asyncio.Event(), asyncio.Event()

        @configuration
        class Wiring:
            @bean(scope="prototype")
            async def ticket(self, visitor: Visitor) -> Ticket:
                begun.set()
                await go.wait()
                return Ticket()

        async with Container(Clock, Visitor, Wiring) as container:
            session = container.scope("session")
            asked = asyncio.create_task(session.aget(Ticket))
            await begun.wait()
            await session.aclose()
            go.set()
            with pytest.raises(ScopeClosedError):
                await asked

    @pytest.mark.parametrize("steps", range(6))
    async def test_waits_for_the_end_of_what_was_completed_too_late(self, steps):
        """A bean that comes into being while its scope ends is ended within that end, in whatever step it comes."""
        opened, ended = [], []
        begun, go = asyncio.Event(), asyncio.Event()

        @configuration
        class Wiring:
            @bean(scope="session")
            async def ticket(self) -> AsyncIterator[Ticket]:
                begun.set()
                await go.wait()
                opened.append("ticket")
                yield Ticket()
                for _ in range(3):
                    await asyncio.sleep(0)
                ended.append("ticket")

        async with Container(Wiring) as container:
            session = container.scope("session")
            asked = asyncio.create_task(session.aget(Ticket))
            await begun.wait()
            closing = asyncio.create_task(session.aclose())
            for _ in range(steps):
                await asyncio.sleep(0)
            go.set()
            await closing
            assert ended == opened
            await asyncio.wait([asked])
            assert isinstance(asked.exception(), ScopeClosedError) or steps == 0
            assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("kind", "parent"), [("singleton", None), ("prototype", None), ("sesion", None), ("session", "request")]
)
async def test_what_cannot_be_opened(kind, parent):
    """A scope that isn't known, or that lives as long as the one around it, is an error with the words known."""
    async with Container() as container:
        outer = None if parent is None else container.scope(parent)
        with pytest.raises(ConfigurationError):
            container.scope(kind, parent=outer)


async def test_a_bean_is_created_once_for_threads_and_tasks():
    """Single flight holds in a scope as it does in the container."""
    made = []
    gate = threading.Barrier(4)

    @session_scope
    @component
    class Slow:
        def __init__(self) -> None:
            made.append(self)

    async with Container(Slow) as container, container.scope("session") as session:

        def ask():
            gate.wait(10)
            return session.get(Slow)

        got = await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(4)))
        assert len(made) == 1
        assert set(got) == set(made)


async def test_an_override_reaches_the_beans_of_an_open_scope():
    """Those that hold the overridden bean are built anew, and the old ones are back at the end."""
    mine = Clock()
    async with Container(Clock, Visitor) as container, container.scope("session") as session:
        before = session.get(Visitor)
        with container.override(Clock, mine):
            assert session.get(Visitor).clock is mine
        assert session.get(Visitor) is before


async def test_an_override_may_not_live_shorter():
    """A replacement that needs a shorter-lived bean is refused, and nothing has changed."""

    @request_scope
    @component
    class Short:
        pass

    class Other(Clock):
        def __init__(self, short: Short) -> None: ...

    async with Container(Clock, Short) as container:
        with pytest.raises(ScopeMismatchError), container.override(Clock, Other):
            pytest.fail("it is in force")
        assert type(container.get(Clock)) is Clock


def test_a_start_names_all_mismatches():
    """All problems come at once."""

    class One:
        def __init__(self, visitor: Visitor) -> None: ...

    class Two:
        def __init__(self, errand: Errand) -> None: ...

    with pytest.raises(StartupError) as caught:
        asyncio.run(Container(Clock, Visitor, Errand, One, Two).start())
    assert [type(one) for one in caught.value.problems] == [ScopeMismatchError] * 2


async def test_what_a_scope_lets_go_of_may_ask_for_beans():
    """A `__del__` is a user's code: it runs without the container's lock."""
    told = []

    class Other:
        pass

    class Last:
        def __init__(self, other: Lazy[Other]) -> None:
            self.other = other

        def __del__(self) -> None:
            told.append(type(self.other.get()))

    container = Container(Other)
    container.register(Last, scope="session")
    async with container:
        async with container.scope("session") as session:
            session.get(Last)
        assert told == [Other]


@pytest.mark.parametrize("hooked", [False, True])
async def test_a_prototype_is_made_in_the_scope_of_whoever_asks(hooked):
    """Its constructor finds the beans of that scope through a `Lazy`."""

    class Guest:
        def __init__(self, visitor: Lazy[Visitor], panel: Lazy[Panel]) -> None:
            self.visitor, self.panel = visitor.get(), panel.get()

    class Invited(Guest):
        @post_construct
        def greet(self) -> None: ...

    wanted = Invited if hooked else Guest
    container = Container(Clock, Visitor, Panel)
    container.register(wanted, scope="prototype")
    async with container, container.scope("session") as session:
        async with container.scope("child", parent=session) as child:
            for guest in (container.get(wanted), await container.aget(wanted), child.get(wanted)):
                assert guest.visitor is session.get(Visitor)
                assert guest.panel is child.get(Panel)


async def test_a_scope_keeps_nothing_after_its_end():
    """Ten thousand scopes leave the container as it was."""
    async with Container(Clock, Visitor) as container:
        for _ in range(10_000):
            async with container.scope("session") as session:
                session.get(Visitor)
        assert isinstance(session, BeanScope)
        assert not container.lifetime._children
