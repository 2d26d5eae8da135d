"""The decorators that make a controller's methods answer requests and handle exceptions."""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from cortado.metadata import attach
from cortado.routing.mappings import ExceptionHandling, HttpMapping, OnClientDisconnect, RequestMapping

__all__ = [
    "delete_mapping",
    "exception_handler",
    "get_mapping",
    "head_mapping",
    "options_mapping",
    "patch_mapping",
    "post_mapping",
    "put_mapping",
    "request_mapping",
]

Controller = TypeVar("Controller", bound=type[Any])
Handler = TypeVar("Handler", bound=Callable[..., Any])


def request_mapping(path: str) -> Callable[[Controller], Controller]:
    """Give a controller its base path, for REST and WebSocket mappings alike.

    It is joined with the path of each mapping with exactly one `/` between. A subclass that has none of its own
    takes the nearest base class's.

    Raises:
        TypeError: The path is no text, as where the decorator is written without parentheses.
    """
    _check_text(path, "request_mapping")

    def decorate(controller: Controller) -> Controller:
        attach(controller, RequestMapping(path))
        return controller

    return decorate


def get_mapping(
    path: str = "",
    *,
    status_code: int | None = None,
    on_client_disconnect: OnClientDisconnect | None = None,
) -> Callable[[Handler], Handler]:
    """Map GET requests on a path to the decorated method; HEAD is answered too, without the body.

    The method is returned unchanged, with a record attached. What is wrong with it or its path is found when the
    application starts, together with everything else. A method that isn't `async` runs in the thread pool.

    Args:
        path: The path below the controller's `request_mapping`, with variables such as `{id}` or `{id:int}`.
        status_code: The status of the response; by default 200, or 204 where nothing is returned.
        on_client_disconnect: What happens to a handler whose client has left: `"cancel"`, once the setting
            `http.disconnect_grace_period` is over, or `"finish"`, nothing. By default, GET, HEAD and OPTIONS are
            cancelled, and all others finish.

    Raises:
        TypeError: The path is no text, as where the decorator is written without parentheses.
        ValueError: `on_client_disconnect` is something else.
    """
    return _mapping("GET", path, status_code, on_client_disconnect)


def post_mapping(
    path: str = "",
    *,
    status_code: int | None = None,
    on_client_disconnect: OnClientDisconnect | None = None,
) -> Callable[[Handler], Handler]:
    """Map POST requests on a path to the decorated method; see `get_mapping`."""
    return _mapping("POST", path, status_code, on_client_disconnect)


def put_mapping(
    path: str = "",
    *,
    status_code: int | None = None,
    on_client_disconnect: OnClientDisconnect | None = None,
) -> Callable[[Handler], Handler]:
    """Map PUT requests on a path to the decorated method; see `get_mapping`."""
    return _mapping("PUT", path, status_code, on_client_disconnect)


def patch_mapping(
    path: str = "",
    *,
    status_code: int | None = None,
    on_client_disconnect: OnClientDisconnect | None = None,
) -> Callable[[Handler], Handler]:
    """Map PATCH requests on a path to the decorated method; see `get_mapping`."""
    return _mapping("PATCH", path, status_code, on_client_disconnect)


def delete_mapping(
    path: str = "",
    *,
    status_code: int | None = None,
    on_client_disconnect: OnClientDisconnect | None = None,
) -> Callable[[Handler], Handler]:
    """Map DELETE requests on a path to the decorated method; see `get_mapping`."""
    return _mapping("DELETE", path, status_code, on_client_disconnect)


def head_mapping(
    path: str = "",
    *,
    status_code: int | None = None,
    on_client_disconnect: OnClientDisconnect | None = None,
) -> Callable[[Handler], Handler]:
    """Map HEAD requests on a path to the decorated method, in place of the GET mapping's answer."""
    return _mapping("HEAD", path, status_code, on_client_disconnect)


def options_mapping(
    path: str = "",
    *,
    status_code: int | None = None,
    on_client_disconnect: OnClientDisconnect | None = None,
) -> Callable[[Handler], Handler]:
    """Map OPTIONS requests on a path to the decorated method, in place of the answer with `Allow` alone."""
    return _mapping("OPTIONS", path, status_code, on_client_disconnect)


def exception_handler(
    *types: type[Exception], status_code: int | None = None
) -> Callable[[Handler], Handler]:
    """Let the decorated method turn exceptions of these types into responses.

    In a controller it serves that controller, in a `controller_advice` all of them; the controller's own come first,
    and among them the one for the most specific class. It serves requests, handshakes and messages alike. It may take
    the exception, and whatever else can be bound, and return whatever a mapping may return, or a `Problem`.

    Args:
        types: The exceptions, subclasses included.
        status_code: The status of the response; by default the exception's own where it is an `HTTPError`, else 500.

    Raises:
        TypeError: No exception class is given, or something else.
    """
    if not types or not all(_is_exception(kind) for kind in types):
        raise TypeError("exception_handler takes exception classes; write @exception_handler(NotFound)")

    def decorate(function: Handler) -> Handler:
        attach(function, ExceptionHandling(types, status_code))
        return function

    return decorate


def _mapping(
    method: str, path: str, status_code: int | None, on_client_disconnect: OnClientDisconnect | None
) -> Callable[[Handler], Handler]:
    _check_text(path, f"{method.lower()}_mapping")
    if on_client_disconnect not in (None, *get_args(OnClientDisconnect)):
        raise ValueError(f'on_client_disconnect is "cancel" or "finish", not {on_client_disconnect!r}')

    def decorate(function: Handler) -> Handler:
        attach(function, HttpMapping((method,), path, status_code, on_client_disconnect))
        return function

    return decorate


def _check_text(path: object, decorator: str) -> None:
    if not isinstance(path, str):
        raise TypeError(f'{decorator} takes a path; write @{decorator}("/path")')


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)
