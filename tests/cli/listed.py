"""Applications for the commands that list what an application is made of."""

from typing import Annotated

from cortado import Cortado
from cortado.container import Lazy, prototype, rest_controller, service
from cortado.web import Body, Header, Query, get_mapping, post_mapping, request_mapping
from cortado.websocket import WebSocketSession, websocket_mapping


@service
class Prices:
    def __init__(self) -> None:
        raise AssertionError("listing creates nothing")


@prototype
@service(name="basket")
class ShoppingBasket:
    def __init__(self, prices: Lazy[Prices]) -> None: ...


@request_mapping("/items")
@rest_controller
class Items:
    def __init__(self, prices: Prices) -> None: ...

    @get_mapping("/{item:int}")
    async def show(self, item: int, basket: ShoppingBasket, limit: Annotated[int, Query()] = 10) -> str:
        return ""

    @post_mapping("/")
    async def add(self, item: Body[dict[str, int]], trace_id: Header[str]) -> str:
        return ""

    @websocket_mapping("/live")
    async def live(self, session: WebSocketSession) -> None: ...


@rest_controller
class Broken:
    def __init__(self, lost: "Lost") -> None: ...

    @get_mapping("/broken")
    async def show(self, anything: object) -> str:
        return ""


class Lost: ...


app = Cortado(Prices, ShoppingBasket, Items)
broken = Cortado(Broken)
