"""Beans of the scopes of a session, through the container."""

import asyncio

import pytest

from cortado import Cortado
from cortado.container import (
    Lazy,
    NoActiveScopeError,
    ScopeClosedError,
    component,
    pre_destroy,
    rest_controller,
    scope,
    session_scope,
)
from cortado.testing import TestClient
from cortado.websocket import DestroyedScopeError, WebSocketSession, websocket_mapping

seen: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    """Begin every test with nothing seen."""
    seen.clear()


@session_scope
@component
class Visitor:
    def __init__(self, session: WebSocketSession) -> None:
        self.session = session

    @pre_destroy
    def leave(self) -> None:
        seen.append("visitor")


@scope("child")
@component
class Basket:
    def __init__(self, visitor: Visitor, session: WebSocketSession) -> None:
        self.visitor, self.session = visitor, session
        self.name = ""

    @pre_destroy
    async def empty(self) -> None:
        seen.append(self.name)


@scope("child")
@component
class Checkout:
    def __init__(self, basket: Basket) -> None:
        self.basket = basket

    @pre_destroy
    async def cancel(self) -> None:
        seen.append(f"{self.basket.name} checkout")


async def basket_of(scope: WebSocketSession) -> Basket:
    basket = await scope.aget(Basket)
    basket.name = scope.ns("basket")
    return basket


async def visit(handle, *sources) -> list[object]:
    """Have a handler run in an application to its end; return what it returns."""
    results: list[object] = []

    @rest_controller
    class Shop:
        @websocket_mapping("/shop")
        async def shop(self, session: WebSocketSession) -> None:
            await session.accept()
            results.append(await handle(session))

    async with (
        TestClient(Cortado(Shop, Visitor, Basket, Checkout, *sources)) as client,
        client.websocket("/shop") as socket,
    ):
        closed = await socket.wait_closed()
    assert closed.code == 1000
    return results


async def test_each_scope_has_beans_of_its_own() -> None:
    """A child bean is one per scope, nested ones too; it may hold beans of the session."""

    async def handle(session: WebSocketSession) -> None:
        panel, other = session.make_scope("panel"), session.make_scope("other")
        first = await basket_of(panel)
        assert await session.make_scope("panel").aget(Basket) is first
        assert await basket_of(other) is not first
        assert await basket_of(panel.make_scope("inner")) is not first
        visitor = await session.aget(Visitor)
        assert first.visitor is visitor is await panel.aget(Visitor)
        assert visitor.session is session
        assert first.session == panel

    assert await visit(handle) == [None]
    assert seen == ["panel-inner-basket", "other-basket", "panel-basket", "visitor"]


async def test_beans_end_with_their_scope() -> None:
    """destroy() ends a scope's beans, last created first, those within before; the next ones are new."""

    async def handle(session: WebSocketSession) -> None:
        panel = session.make_scope("panel")
        first = await basket_of(panel)
        await panel.aget(Checkout)
        await basket_of(panel.make_scope("inner"))
        panel.on_destroy(lambda: seen.append(f"callback sees {first.name}"))
        await panel.destroy()
        seen.append("destroyed")
        assert await basket_of(panel) is not first

    assert await visit(handle) == [None]
    assert seen == [
        "callback sees panel-basket",
        "panel-inner-basket",
        "panel-basket checkout",
        "panel-basket",
        "destroyed",
        "panel-basket",
        "visitor",
    ]


async def test_tasks_end_before_beans() -> None:
    """A scope's task still has its beans while it cleans up."""

    async def handle(session: WebSocketSession) -> None:
        panel = session.make_scope("panel")

        async def work() -> None:
            try:
                await session.receive()
            finally:
                await basket_of(panel)
                seen.append("task")

        panel.create_task(work())

    assert await visit(handle) == [None]
    assert seen == ["task", "panel-basket", "visitor"]


async def test_beans_after_the_end() -> None:
    """Who asks an ended session, or a scope of it, for a bean is told so."""
    scopes: list[WebSocketSession] = []

    async def handle(session: WebSocketSession) -> None:
        scopes.append(session.make_scope("panel"))
        await basket_of(scopes[0])

    await visit(handle)
    with pytest.raises(DestroyedScopeError, match="the session is destroyed"):
        await scopes[0].aget(Basket)
    with pytest.raises(ScopeClosedError):
        await scopes[0].root_scope().aget(Visitor)


async def test_a_child_bean_that_asks_for_the_session_gets_its_scope() -> None:
    """What a bean of a scope makes and registers by its session belongs to that scope."""

    @scope("child")
    @component
    class Panel:
        def __init__(self, session: WebSocketSession, visitor: Lazy[Visitor]) -> None:
            self.session, self.visitor = session, visitor
            self.value = session.value(1)

    async def handle(session: WebSocketSession) -> None:
        panel = session.make_scope("panel").make_scope("inner")
        bean = await panel.aget(Panel)
        assert bean.session == panel == await panel.aget(WebSocketSession)
        assert await session.aget(WebSocketSession) is session
        assert await bean.visitor.aget() is await session.aget(Visitor)
        await session.destroy("panel")
        assert not bean.value.is_set()

    assert await visit(handle, Panel) == [None]


async def test_a_task_of_a_scope_is_among_its_beans() -> None:
    """What a scope's task asks for lazily is a bean of the scope; elsewhere nothing changes."""

    @component
    class Till:
        def __init__(self, basket: Lazy[Basket], visitor: Lazy[Visitor]) -> None:
            self.basket, self.visitor = basket, visitor

    async def handle(session: WebSocketSession) -> None:
        till, panel = await session.aget(Till), session.make_scope("panel")
        inner = panel.make_scope("inner")

        async def work(part: WebSocketSession) -> None:
            assert till.basket.get() is await part.aget(Basket)
            assert till.visitor.get() is await session.aget(Visitor)
            if part == panel:
                await inner.create_task(work(inner))
                assert till.basket.get() is await panel.aget(Basket)

        await panel.create_task(work(panel))
        await session.create_task(asyncio.sleep(0))
        with pytest.raises(NoActiveScopeError):
            till.basket.get()
        seen.append("handled")

    assert await visit(handle, Till) == [None]
    assert seen[0] == "handled"


async def test_a_bean_of_a_scope_may_close_the_session_while_it_ends() -> None:
    """The session's end waits for its scopes' beans, so a bean's close() doesn't wait for the session's end."""

    @scope("child")
    @component
    class Panel:
        def __init__(self, session: WebSocketSession) -> None:
            self.session = session

        @pre_destroy
        async def end(self) -> None:
            await self.session.close()
            seen.append("closed")

    async def handle(session: WebSocketSession) -> None:
        await session.make_scope("panel").make_scope("inner").aget(Panel)

    async with asyncio.timeout(5):
        assert await visit(handle, Panel) == [None]
    assert seen == ["closed"]


async def test_where_nothing_lives_in_sessions_scopes_ask_the_container() -> None:
    """Scopes give the application's beans like everybody else."""

    @component
    class Clock: ...

    @rest_controller
    class Times:
        @websocket_mapping("/time")
        async def time(self, session: WebSocketSession) -> None:
            await session.accept()
            seen.append(str(await session.make_scope("panel").aget(Clock) is await session.aget(Clock)))

    async with TestClient(Cortado(Times, Clock)) as client, client.websocket("/time") as socket:
        await socket.wait_closed()

    assert seen == ["True"]
