"""What the side-by-side benchmark asks of every framework, written as a user of Cortado would write it.

The models, and how many routes there are, come from the benchmark's own `models` module on the path.
"""

from collections.abc import AsyncIterator

from models import ROUTES, Msg, Order, Repo, Service

from cortado import Cortado
from cortado.container import Container, bean, component, configuration, request_scope, rest_controller
from cortado.web import QueryParam, get_mapping, post_mapping, request_mapping
from cortado.websocket import WebSocketSession, websocket_mapping


@request_scope
@component
class Context:
    def __init__(self) -> None:
        self.one = 1


class ClosedContext:
    def __init__(self) -> None:
        self.one = 1


@configuration
class Resources:
    @bean(scope="request")
    async def closed_context(self) -> AsyncIterator[ClosedContext]:
        yield ClosedContext()


@rest_controller
class Api:
    def __init__(self, service: Service) -> None:
        self._service = service

    @get_mapping("/hello")
    async def hello(self) -> dict[str, str]:
        return {"hello": "world"}

    @get_mapping("/items/{id}")
    async def item(self, id: int, q: QueryParam[str | None] = None) -> dict[str, object]:
        return {"id": id, "q": q}

    @post_mapping("/order")
    async def order(self, order: Order) -> Order:
        return order

    @get_mapping("/di")
    async def injected(self, context: Context) -> dict[str, int]:
        return {"value": self._service.value(context)}

    @get_mapping("/diy")
    async def injected_and_closed(self, context: ClosedContext) -> dict[str, int]:
        return {"value": self._service.value(context)}


@rest_controller
@request_mapping("/ws")
class Sockets:
    def __init__(self) -> None:
        self._room: set[WebSocketSession] = set()

    @websocket_mapping("/echo")
    async def echo(self, session: WebSocketSession) -> None:
        await session.accept()
        while True:
            await session.send_text(await session.receive_text())

    @websocket_mapping("/typed")
    async def typed(self, session: WebSocketSession) -> None:
        await session.accept()
        while True:
            message = Msg.model_validate_json(await session.receive_text())
            await session.send_text(message.model_dump_json())

    @websocket_mapping("/room")
    async def room(self, session: WebSocketSession) -> None:
        await session.accept()
        self._room.add(session)
        async for _ in session:
            pass

    @websocket_mapping("/pub")
    async def publish(self, session: WebSocketSession) -> None:
        await session.accept()
        while True:
            message = await session.receive_text()
            for member in list(self._room):
                await member.send_text(message)

    async def on_disconnect(self, session: WebSocketSession) -> None:
        self._room.discard(session)


def resource(number: int) -> type:
    @rest_controller
    @request_mapping(f"/api/v1/res{number}/items")
    class Resource:
        @get_mapping("/{id}")
        async def item(self, id: int) -> dict[str, int]:
            return {"id": id}

    Resource.__name__ = Resource.__qualname__ = f"Resource{number}"
    return Resource


container = Container(Api, Sockets, *(resource(number) for number in range(ROUTES)))
container.register(Repo)
container.register(Service)
container.register(Context)
container.register(Resources)
app = Cortado(container)
