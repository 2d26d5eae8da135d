"""The decorator that makes a controller's method a WebSocket endpoint."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, TypeVar

from cortado.metadata import attach
from cortado.routing.mappings import WebSocketMapping

__all__ = ["websocket_mapping"]

Handler = TypeVar("Handler", bound=Callable[Concatenate[Any, ...], Coroutine[Any, Any, object]])


def websocket_mapping(path: str = "", *, subprotocols: Sequence[str] = ()) -> Callable[[Handler], Handler]:
    """Map WebSocket connections on a path to the decorated method.

    The method is returned unchanged, with a record attached. What is wrong with it or its path is found when the
    application starts, together with everything else.

    Args:
        path: The path below the controller's `request_mapping`, with variables such as `{room}`.
        subprotocols: The subprotocols that the endpoint speaks, the preferred one first.

    Raises:
        TypeError: The path is no text, as where the decorator is written without parentheses.
    """
    if not isinstance(path, str):
        raise TypeError("websocket_mapping takes a path; write @websocket_mapping() when there is none")

    def decorate(function: Handler) -> Handler:
        attach(function, WebSocketMapping(path, tuple(subprotocols)))
        return function

    return decorate
