from collections.abc import Callable
from typing import Any

import pytest

from cortado import web
from cortado.metadata import own_record, records_of
from cortado.routing.mappings import ExceptionHandling, HttpMapping, RequestMapping
from cortado.web import exception_handler, get_mapping, request_mapping


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_method_mappings(method: str) -> None:
    """Each decorator leaves a record with its method, and returns the same function."""
    mapping: Callable[..., Any] = getattr(web, f"{method.lower()}_mapping")

    async def handler(self: object) -> None: ...

    assert mapping("/a", status_code=299)(handler) is handler
    assert records_of(handler, HttpMapping) == (HttpMapping((method,), "/a", 299),)


@pytest.mark.parametrize(
    ("method", "cancels"),
    [("GET", True), ("HEAD", True), ("OPTIONS", True), ("POST", False), ("PUT", False), ("DELETE", False)],
)
def test_departure(method: str, cancels: bool) -> None:
    """A departure cancels the handlers of safe methods, unless the mapping says otherwise."""
    assert HttpMapping((method,)).cancels is cancels
    assert HttpMapping((method,), on_client_disconnect="cancel").cancels
    assert not HttpMapping((method,), on_client_disconnect="finish").cancels


def test_unknown_answer_to_a_departure() -> None:
    """A misspelt option is refused where it stands."""
    with pytest.raises(ValueError, match='"cancel" or "finish", not \'abort\''):
        get_mapping("/a", on_client_disconnect="abort")  # type: ignore[arg-type]


def test_request_mapping() -> None:
    """The base path is a record on the class itself; a subclass has none of its own."""

    @request_mapping("/base")
    class Controller: ...

    class Child(Controller): ...

    assert own_record(Controller, RequestMapping) == RequestMapping("/base")
    assert own_record(Child, RequestMapping) is None


def test_exception_handler() -> None:
    """An exception handler's record holds its types and status."""

    @exception_handler(KeyError, ValueError, status_code=404)
    async def handler(self: object) -> None: ...

    assert own_record(handler, ExceptionHandling) == ExceptionHandling((KeyError, ValueError), 404)


@pytest.mark.parametrize("decorate", [get_mapping, request_mapping])
def test_forgotten_call(decorate: Callable[..., Any]) -> None:
    """A decorator that was given no path at all says how it is written."""

    def handler() -> None: ...

    with pytest.raises(TypeError, match=f"write @{decorate.__name__}"):
        decorate(handler)


@pytest.mark.parametrize("types", [(), (int,), (KeyboardInterrupt,), (ValueError(),)])
def test_what_is_no_exception_class(types: tuple[Any, ...]) -> None:
    """An exception handler takes exception classes, at least one."""
    with pytest.raises(TypeError, match="takes exception classes"):
        exception_handler(*types)
