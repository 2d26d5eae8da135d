"""From a container's controllers to Starlette's WebSocket routes."""

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from cortado import StartupError
from cortado.adapters.starlette import WebSocketRegistrar
from cortado.container import Container, controller, rest_controller, service
from cortado.testing import TestClient
from cortado.web import get_mapping, request_mapping
from cortado.websocket import WebSocketSession, websocket_mapping

built: list[str] = []


@pytest.fixture(autouse=True)
def forget():
    """Begin every test with nothing built."""
    built.clear()


class Trap:
    """A descriptor that must never be triggered."""

    def __get__(self, instance, owner):
        raise AssertionError("a descriptor was triggered")


@rest_controller
@request_mapping("/ws")
class First:
    trap = Trap()

    def __init__(self) -> None:
        built.append("First")

    @websocket_mapping("/z")
    async def z(self, session: WebSocketSession) -> None:
        await session.accept()

    @get_mapping("/http")
    async def http(self) -> str:
        return "x"

    @websocket_mapping("a/")
    async def a(self, session: WebSocketSession) -> None:
        await session.accept()
        await session.send_text("a")


@controller
class Second:
    @websocket_mapping("/second/{name}")
    async def second(self, session: WebSocketSession, name: str) -> None: ...


class Undecorated(First):
    """A subclass without a stereotype of its own."""


@service
class NoController:
    """Has nothing to map."""


async def test_the_four_steps():
    """Controllers' paths and methods become WebSocketRoutes in definition order, and nothing is instantiated."""
    container = Container(First, NoController, Second)
    routes = WebSocketRegistrar().collect_routes(container)

    assert all(type(route) is WebSocketRoute for route in routes)
    assert [route.path for route in routes] == ["/ws/z", "/ws/a/", "/second/{name}"]
    assert built == []


async def test_routes_work_in_any_starlette_application():
    """The routes can be put into a Starlette application; the controller is built at the first connection, once."""
    registrar = WebSocketRegistrar()
    async with Container(First) as container:
        app = Starlette(routes=registrar.collect_routes(container))
        async with TestClient(app) as client:
            assert built == []
            for _ in range(3):
                async with client.websocket("/ws/a/") as socket:
                    assert await socket.receive_text() == "a"

    assert built == ["First"]
    assert len(registrar.sessions) == 0
    assert registrar.sessions.counters.opened == 3


async def test_overrides_act_at_the_next_connection():
    """A controller that is overridden while the server runs is used from the next connection on."""

    class Other(First):
        @websocket_mapping("a/")
        async def a(self, session: WebSocketSession) -> None:
            await session.accept()
            await session.send_text("other")

    registrar = WebSocketRegistrar()
    async with Container(First) as container:
        app = Starlette(routes=registrar.collect_routes(container))
        async with TestClient(app) as client:
            with container.override(First, Other()):
                async with client.websocket("/ws/a/") as socket:
                    assert await socket.receive_text() == "other"
            async with client.websocket("/ws/a/") as socket:
                assert await socket.receive_text() == "a"


def test_wrong_mappings_are_all_named():
    """What can't be mapped is one StartupError with every problem."""

    @rest_controller
    class Wrong:
        @websocket_mapping("/x")
        def plain(self, session: WebSocketSession) -> None: ...

        @websocket_mapping("/y/{a}")
        async def one(self, session: WebSocketSession, b: int) -> None: ...

        @websocket_mapping("/z/{a}")
        async def two(self, session: WebSocketSession, a: int) -> None: ...

        @websocket_mapping("/z/{b}")
        async def three(self, session: WebSocketSession, b: int) -> None: ...

    with pytest.raises(StartupError) as failed:
        WebSocketRegistrar().collect_routes(Container(Wrong))

    text = str(failed.value)
    for part in ("Wrong.plain", "Wrong.one", "Wrong.three"):
        assert part in text
