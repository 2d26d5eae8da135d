"""Everything that can be wrong with the wiring of one application."""

from cortado import Cortado
from cortado.container import rest_controller, service
from cortado.web import get_mapping
from cortado.websocket import WebSocketSession, websocket_mapping


class Missing:
    """Registered nowhere."""


@service
class Chicken:
    def __init__(self, egg: "Egg") -> None: ...


@service
class Egg:
    def __init__(self, chicken: Chicken) -> None: ...


@rest_controller
class Broken:
    def __init__(self, missing: Missing) -> None: ...

    @websocket_mapping("/wrong")
    def wrong_signature(self, session: WebSocketSession) -> None: ...

    @websocket_mapping("/twice/{a}")
    async def once(self, session: WebSocketSession) -> None: ...

    @websocket_mapping("/twice/{b}")
    async def twice(self, session: WebSocketSession) -> None: ...

    @get_mapping("/unbindable")
    async def unbindable(self, what) -> None: ...


app = Cortado(Chicken, Egg, Broken)
