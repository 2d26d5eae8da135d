import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from cortado.adapters.errors import EXCEPTIONS_EXTENSION, ErrorResponder
from cortado.adapters.http import HTTP_CONTEXT
from cortado.binding import Call
from cortado.container import Container, order, rest_controller
from cortado.head import Head
from cortado.routing.discovery import Discovery, discover
from cortado.web import (
    Conflict,
    Header,
    HTMLResponse,
    HTTPError,
    NotFound,
    Problem,
    Request,
    Response,
    ResponseEntity,
    StreamingResponse,
    controller_advice,
    exception_handler,
    get_mapping,
)
from cortado.web.rendering import RESPONSES, Rendered


class Session:
    """Stands for what the scope of a session provides."""


class ShopError(Exception):
    pass


class SoldOut(ShopError):
    pass


@controller_advice
@order(2)
class Late:
    @exception_handler(ShopError, status_code=409)
    async def shop(self, exc: ShopError) -> dict[str, str]:
        return {"late": str(exc)}

    @exception_handler(LookupError)
    def lookup(self) -> str:
        return "late lookup"


@controller_advice
@order(1)
class Early:
    @exception_handler(ShopError, status_code=409)
    async def shop(self, exc: Exception) -> dict[str, str]:
        return {"early": str(exc)}

    @exception_handler(OSError)
    async def broken(self) -> None:
        raise ValueError("from the handler")

    @exception_handler(TimeoutError)
    async def mapped(self) -> None:
        raise Conflict("too slow")

    @exception_handler(ArithmeticError)
    async def again(self, exc: ArithmeticError) -> None:
        raise exc

    @exception_handler(UnicodeError)
    async def returned(self) -> HTTPError:
        return NotFound("no such letter")

    @exception_handler(BufferError)
    async def problem(self) -> Problem:
        return Problem(429, title="Slow down", headers={"Retry-After": "5"})

    @exception_handler(EOFError)
    async def page(self) -> Response:
        return HTMLResponse("<p>over</p>", 410, {"x-a": "b"})

    @exception_handler(NotFound)
    async def not_found(self, exc: NotFound, accept: Header[str] = "") -> ResponseEntity[str] | str:
        return f"{exc.detail} {accept}"

    @exception_handler(RecursionError)
    async def stream(self) -> AsyncIterator[str]:
        yield "a"

    @exception_handler(AssertionError)
    async def streamed_response(self) -> Response:
        return StreamingResponse(iter(["a", "b"]), 400)

    @exception_handler(MemoryError)
    async def of_sessions(self, session: Session) -> str:
        return "session"

    @exception_handler(Exception, status_code=418)
    async def anything(self, exc: Exception) -> None:
        pass


@rest_controller
class Shop:
    @get_mapping("/")
    async def show(self) -> None:
        pass

    @exception_handler(SoldOut)
    def sold_out(self, exc: SoldOut, request: Request) -> ResponseEntity[dict[str, str]]:
        return ResponseEntity({"local": f"{exc} {request.method}"}, 410)


@asynccontextmanager
async def responding(*beans: type, debug: bool = False) -> Any:
    """Return a function that asks for the response to an exception."""
    async with Container(*beans) as container:
        found: Discovery = discover(
            container, http_context=HTTP_CONTEXT, websocket_context={Session}, responses=RESPONSES
        )
        assert not found.problems
        responder = ErrorResponder(container, found.advice, debug=debug)
        controller = container.get(Shop) if Shop in beans else None

        async def respond(exc: Exception, **more: Any) -> Rendered:
            scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
            head = Head(raw_headers=[(b"accept", b"x/y")])
            options = {
                "controller": controller,
                "handlers": found.http[0].handlers if found.http else (),
                "scope": scope,
            }
            return await responder.respond(
                exc, Call(head, {Request: Request(scope)}), doing="GET /", **options | more
            )

        yield respond


async def test_http_error_is_its_problem(caplog: pytest.LogCaptureFixture) -> None:
    """An `HTTPError` is rendered as its problem, headers included, and not logged."""
    async with responding() as respond:
        told = await respond(HTTPError(429, "later", {"Retry-After": "3"}))
    assert (told.status, told.title) == (429, "Too Many Requests")
    assert told.headers == [(b"retry-after", b"3"), (b"content-type", b"application/problem+json")]
    assert b'"detail":"later"' in told.body
    assert not caplog.records


async def test_unexpected_exception_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is logged once with its traceback; the client learns nothing."""
    failure = ValueError("secret")
    async with responding() as respond:
        told = await respond(failure)
    assert told.body == b'{"type":"about:blank","title":"Internal Server Error","status":500}'
    (record,) = caplog.records
    assert (record.name, record.message) == ("cortado.web", "unexpected exception in GET /")
    assert record.exc_info is not None
    assert record.exc_info[1] is failure


async def test_debug_tells_the_exception() -> None:
    """With `debug`, the client is told what the exception says."""
    async with responding(debug=True) as respond:
        told = await respond(ValueError("secret"))
    assert b"ValueError: secret" in told.body


async def test_callers_own_logger(caplog: pytest.LogCaptureFixture) -> None:
    """The caller may choose the logger and the words."""
    async with responding() as respond:
        await respond(ValueError("x"), logger=logging.getLogger("cortado.websocket"))
    assert [record.name for record in caplog.records] == ["cortado.websocket"]


async def test_local_handler_comes_before_advice() -> None:
    """The controller's own handler answers before any advice."""
    async with responding(Late, Early, Shop) as respond:
        told = await respond(SoldOut("gone"))
    assert (told.status, told.body, told.title) == (410, b'{"local":"gone GET"}', "Gone")


async def test_local_handler_needs_its_controller() -> None:
    """Without an instance of the controller, an advice answers."""
    async with responding(Early, Shop) as respond:
        told = await respond(SoldOut("gone"), controller=None)
    assert told.body == b'{"early":"gone"}'


async def test_advice_in_order() -> None:
    """Of two advices for one class the earlier one answers, whatever the order of registration."""
    async with responding(Late, Early) as respond:
        told = await respond(SoldOut("x"))
    assert (told.status, told.body) == (409, b'{"early":"x"}')


async def test_most_specific_class_wins() -> None:
    """Among advices the most specific class wins over the order; a plain method answers off the loop."""
    async with responding(Late, Early) as respond:
        told = await respond(KeyError("x"))
    assert (told.status, told.body) == (500, b"late lookup")


@pytest.mark.parametrize(
    ("exc", "status", "body"),
    [
        (TimeoutError(), 409, b"too slow"),
        (UnicodeError(), 404, b"no such letter"),
        (BufferError(), 429, b"Slow down"),
        (NotFound("nothing"), 404, b"nothing x/y"),
        (EOFError(), 410, b"<p>over</p>"),
        (RuntimeError(), 418, b""),
        (AssertionError(), 400, b"ab"),
        (RecursionError(), 500, b"Internal"),
    ],
)
async def test_what_handlers_return(exc: Exception, status: int, body: bytes) -> None:
    """A handler may raise or return an `HTTPError`, return a problem, a body, a response, or nothing."""
    async with responding(Early) as respond:
        told = await respond(exc)
    assert told.status == status
    assert body in told.body
    assert told.title
    assert not any(name == b"content-length" for name, _ in told.headers)


@pytest.mark.parametrize(
    ("exc", "logged"), [(OSError("first"), "from the handler"), (ZeroDivisionError("it"), "it")]
)
async def test_handler_that_raises(exc: Exception, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    """What an exception handler raises is unexpected itself: 500, logged once."""
    async with responding(Early) as respond:
        told = await respond(exc)
    assert told.status == 500
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [logged]


async def test_handler_that_asks_for_more_than_there_is() -> None:
    """A handler that takes a session isn't chosen for a request."""
    async with responding(Early) as respond:
        told = await respond(MemoryError())
    assert told.status == 418


async def test_starlettes_http_exception() -> None:
    """What Starlette's own parts raise is a problem as well."""
    async with responding() as respond:
        told = await respond(HTTPException(404))
        assert told.body == b'{"type":"about:blank","title":"Not Found","status":404}'
        told = await respond(HTTPException(403, "no", {"x-a": "b"}))
    assert (b"x-a", b"b") in told.headers
    assert b'"detail":"no"' in told.body


async def test_unexpected_exceptions_reach_the_tests_client() -> None:
    """A list in the scope's extensions collects unexpected exceptions, and only those."""
    collected: list[Exception] = []
    failure = ValueError("x")
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "extensions": {EXCEPTIONS_EXTENSION: collected},
    }
    async with responding() as respond:
        await respond(failure, scope=scope)
        await respond(NotFound(), scope=scope)
    assert collected == [failure]


@pytest.mark.parametrize(
    "error",
    [
        Conflict(headers={"x": "a\r\nset-cookie: b"}),
        Conflict(headers={"x": "\u20ac"}),
        HTTPError(409, object()),  # type: ignore[arg-type]  # what the test is about
        HTTPException(409, object()),  # type: ignore[arg-type]
    ],
    ids=["line break", "no latin-1", "no JSON", "no JSON, Starlette"],
)
async def test_error_that_cannot_be_told(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """An error with a header or a detail that can't be sent is an unexpected exception, logged once: 500."""
    told = await ErrorResponder(Container()).respond(error, Call(Head()), scope={}, doing="GET /")

    assert (told.status, told.headers) == (500, [(b"content-type", b"application/problem+json")])
    assert [record.getMessage() for record in caplog.records] == ["unexpected exception in GET /"]
