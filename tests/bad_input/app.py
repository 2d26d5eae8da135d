"""An application that is asked for things it can't give."""

from pydantic import BaseModel, Field

from cortado import Cortado
from cortado.container import rest_controller
from cortado.web import QueryParam, get_mapping, post_mapping
from cortado.websocket import WebSocketSession, websocket_mapping
from tests.support.events import record


class Order(BaseModel):
    drink: str = Field(min_length=1)
    cups: int = Field(ge=1)


@rest_controller
class Bar:
    @get_mapping("/orders/{number}")
    async def order(self, number: int, verbose: QueryParam[bool] = False) -> dict[str, object]:
        return {"number": number, "verbose": verbose}

    @post_mapping("/orders")
    async def place(self, order: Order) -> Order:
        return order

    @websocket_mapping("/text/{table}")
    async def text(self, session: WebSocketSession, table: int) -> None:
        await session.accept()
        async for message in session.iter_text():
            await session.send_text(f"{table}: {message}")

    @websocket_mapping("/json")
    async def json(self, session: WebSocketSession) -> None:
        await session.accept()
        while True:
            await session.send_json(await session.receive_json())

    async def on_disconnect(self, session: WebSocketSession) -> None:
        record("on_disconnect", session)


app = Cortado(Bar, settings={"websocket": {"max_message_size": 1000}, "http": {"max_body_size": 1000}})
