import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable
from functools import wraps
from typing import Any

import pytest
from pydantic import BaseModel, Field

from cortado.adapters.errors import ErrorResponder
from cortado.adapters.http import HTTP_CONTEXT, http_routes
from cortado.adapters.router import Router
from cortado.container import Container, post_construct, rest_controller, service
from cortado.exceptions import StartupError
from cortado.routing.discovery import discover
from cortado.settings import HttpSettings
from cortado.web import (
    Body,
    FileResponse,
    HTTPError,
    NotFound,
    PlainTextResponse,
    QueryParam,
    Request,
    Response,
    ResponseEntity,
    StreamingResponse,
    delete_mapping,
    exception_handler,
    get_mapping,
    head_mapping,
    post_mapping,
    request_mapping,
)
from cortado.web.rendering import RESPONSES
from tests.adapters.asking import Answer, ask

USER: contextvars.ContextVar[str] = contextvars.ContextVar("USER")


class Item(BaseModel):
    name: str
    unit_price: float = Field(default=0.0, alias="unitPrice")


class Secret(Item):
    password: str = "hidden"


@service
class Shelf:
    def __init__(self) -> None:
        self.closed: list[str] = []


def through(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@rest_controller
@request_mapping("/items")
class ItemController:
    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    @get_mapping("/{id}")
    async def show(self, id: int, word: QueryParam[str] = "w") -> Item:
        return Item(name=f"{id}{word}", unitPrice=1)

    @post_mapping(status_code=201)
    async def create(self, item: Item) -> Item:
        return item

    @post_mapping("/secret")
    async def secret(self) -> Item:
        return Secret(name="a")

    @get_mapping("/wrong")
    async def wrong(self) -> Item:
        return {"name": "a", "password": "hidden"}  # type: ignore[return-value]

    @delete_mapping("/{id}")
    async def drop(self, id: int) -> None:
        pass

    @get_mapping("/plain/{kind}")
    async def plain(self, kind: str):  # type: ignore[no-untyped-def]
        return {
            "dict": {"a": [1, None, float("nan")]},
            "list": [Item(name="x")],
            "str": "grüß",
            "bytes": b"\x00",
            "none": None,
            "number": 5,
        }[kind]

    @get_mapping("/response")
    async def response(self) -> Response:
        return PlainTextResponse("as it is", 418, {"x-a": "b"})

    @get_mapping("/entity")
    async def entity(self) -> ResponseEntity[Item]:
        return ResponseEntity(
            Secret(name="a"), 202, {"ETag": '"1"', "Content-Type": "application/vnd.x+json"}
        )

    @get_mapping("/thread")
    def thread(self) -> dict[str, Any]:
        return {"main": threading.current_thread() is threading.main_thread(), "user": USER.get()}

    @get_mapping("/wrapped")
    @through
    async def wrapped(self) -> str:
        return "awaited"

    @get_mapping("/stream/{kind}")
    async def stream(self, kind: str) -> AsyncIterator[str | bytes]:
        try:
            if kind == "early":
                raise NotFound("nothing to stream")
            yield "a" if kind != "bytes" else b"a"
            if kind == "late":
                raise ValueError("in mid-stream")
            if kind == "endless":
                await asyncio.Event().wait()
            yield "b"
        finally:
            self.shelf.closed.append(kind)

    @get_mapping("/unfit")
    async def unfit(self) -> Any:
        return object()

    @get_mapping("/broken")
    async def broken(self) -> None:
        raise ValueError("secret of the house")

    @get_mapping("/given-up")
    async def given_up(self) -> None:
        raise KeyError("local")

    @exception_handler(KeyError)
    async def lost(self, exc: KeyError, request: Request) -> ResponseEntity[dict[str, str]]:
        return ResponseEntity({"lost": str(exc), "at": request.url.path}, 410)

    @post_mapping("/raw")
    async def raw(self, request: Request) -> str:
        return f"{len(await request.body())}"

    @post_mapping("/both")
    async def both(self, request: Request, item: Body[dict[str, int]]) -> Any:
        return [item, await request.json()]

    @post_mapping("/any")
    async def any(self, data: Body[bytes]) -> str:
        return f"{len(data)}"

    @get_mapping("/file")
    async def file(self) -> FileResponse:
        return FileResponse(__file__)

    @get_mapping("/own-stream")
    async def own_stream(self) -> Response:
        return StreamingResponse(self.stream("endless"), media_type="text/x-own")

    @head_mapping("/headed")
    async def headed(self) -> ResponseEntity[None]:
        return ResponseEntity(None, 200, {"x-from": "head"})

    @get_mapping("/headed")
    async def headed_get(self) -> ResponseEntity[str]:
        return ResponseEntity("body", 200, {"x-from": "get"})


async def started(*beans: type, settings: HttpSettings | None = None) -> tuple[Router, Container]:
    container = Container(*beans)
    await container.start()
    found = discover(container, http_context=HTTP_CONTEXT, responses=RESPONSES)
    if found.problems:
        raise StartupError(found.problems)
    errors = ErrorResponder(container, found.advice)
    routes = http_routes(found.http, container=container, errors=errors, settings=settings or HttpSettings())
    return Router(routes, errors=errors), container


@pytest.fixture
async def app() -> AsyncIterator[Router]:
    router, container = await started(Shelf, ItemController)
    yield router
    await container.stop()


async def get(app: Router, path: str, method: str = "GET") -> Answer:
    return await ask(app, method, f"/items{path}")


async def test_model_to_json(app: Router) -> None:
    """A model becomes JSON by its aliases, with its length in the head."""
    answer = await get(app, "/7?word=x")
    assert answer.status == 200
    assert answer.headers == {"content-type": "application/json", "content-length": "29"}
    assert answer.json() == {"name": "7x", "unitPrice": 1.0}


async def test_body_in_and_out(app: Router) -> None:
    """A body is validated from JSON, and the declared status is used."""
    answer = await ask(app, "POST", "/items", json_body={"name": "a", "unitPrice": 2})
    assert (answer.status, answer.json()) == (201, {"name": "a", "unitPrice": 2.0})


async def test_body_in_pieces(app: Router) -> None:
    """A body may arrive in pieces."""
    headers = {"content-type": "application/json"}
    answer = await ask(app, "POST", "/items", [b'{"na', b"", b'me":"a"}'], headers=headers)
    assert (answer.status, answer.json()["name"]) == (201, "a")


async def test_only_declared_fields_are_written(app: Router) -> None:
    """Of a subclass only the fields of the annotated model are sent."""
    answer = await get(app, "/secret", "POST")
    assert answer.json() == {"name": "a", "unitPrice": 0.0}


async def test_wrong_result_is_500(app: Router, caplog: pytest.LogCaptureFixture) -> None:
    """A result that isn't what the annotation says is the handler's error, and nothing of it is sent."""
    answer = await get(app, "/wrong")
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert b"hidden" not in answer.body
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("kind", "media_type", "body"),
    [
        ("dict", "application/json", b'{"a":[1,null,null]}'),
        ("list", "application/json", b'[{"name":"x","unitPrice":0.0}]'),
        ("number", "application/json", b"5"),
        ("str", "text/plain; charset=utf-8", "grüß".encode()),
        ("bytes", "application/octet-stream", b"\x00"),
    ],
)
async def test_plain_results(app: Router, kind: str, media_type: str, body: bytes) -> None:
    """Without an annotation, a result is sent by its own type."""
    answer = await get(app, f"/plain/{kind}")
    assert (200, media_type, body) == (answer.status, answer.headers["content-type"], answer.body)


async def test_nothing_is_204(app: Router) -> None:
    """None is answered with 204, without a body and its headers."""
    for answer in (await get(app, "/plain/none"), await get(app, "/3", "DELETE")):
        assert (answer.status, answer.headers, answer.body) == (204, {}, b"")


async def test_response_is_untouched(app: Router) -> None:
    """A Starlette response is sent as it is."""
    answer = await get(app, "/response")
    assert (answer.status, answer.headers["x-a"], answer.body) == (418, "b", b"as it is")


async def test_entity(app: Router) -> None:
    """An entity carries status and headers; its body is written as annotated."""
    answer = await get(app, "/entity")
    assert (
        answer.status,
        answer.headers["etag"],
        answer.headers["content-type"],
    ) == (202, '"1"', "application/vnd.x+json")
    assert {"name", "unitPrice"} == set(answer.json())


async def test_sync_handler_runs_in_a_thread(app: Router) -> None:
    """A plain method runs off the loop, with the caller's context variables."""
    USER.set("me")
    assert (await get(app, "/thread")).json() == {"main": False, "user": "me"}


async def test_decorated_coroutine_is_awaited(app: Router) -> None:
    """A coroutine behind a plain decorator is awaited."""
    assert (await get(app, "/wrapped")).body == b"awaited"


async def test_stream(app: Router) -> None:
    """An async iterator is sent piece by piece, as text or bytes, and closed."""
    text, binary = await get(app, "/stream/text"), await get(app, "/stream/bytes")
    assert (text.body, text.headers["content-type"]) == (b"ab", "text/plain; charset=utf-8")
    assert (binary.body, binary.headers["content-type"]) == (b"ab", "application/octet-stream")
    assert "content-length" not in text.headers


async def test_stream_that_fails_before_its_first_piece(app: Router) -> None:
    """A stream that fails before anything was sent is answered like any other error."""
    assert (await get(app, "/stream/early")).status == 404


async def test_stream_that_fails_later(app: Router, caplog: pytest.LogCaptureFixture) -> None:
    """A stream that fails in its middle is logged once and left unfinished."""
    answer = await get(app, "/stream/late")
    assert (answer.status, answer.body, answer.complete) == (200, b"a", False)
    assert [record.message for record in caplog.records] == [
        "unexpected exception in GET /items/stream/{kind}"
    ]


async def test_client_leaves_a_stream() -> None:
    """When the client goes away, the stream is closed, and nothing is logged."""
    app, container = await started(Shelf, ItemController)
    await ask(app, "GET", "/items/stream/endless", leaves=True)
    shelf = await container.resolver(Shelf).get()
    assert shelf.closed == ["endless"]
    await container.stop()


@pytest.mark.parametrize("path", ["/7", "/plain/str", "/response", "/file"])
async def test_head_is_get_without_body(app: Router, path: str) -> None:
    """HEAD gets the head of GET, length included, and no body."""
    got, head = await get(app, path), await get(app, path, "HEAD")
    assert got.body
    assert (got.status, got.headers["content-length"], b"") == (
        head.status,
        head.headers["content-length"],
        head.body,
    )


@pytest.mark.parametrize("path", ["/stream/endless", "/own-stream"])
async def test_head_of_a_stream(app: Router, path: str) -> None:
    """HEAD doesn't wait for a stream."""
    answer = await get(app, path, "HEAD")
    assert (answer.status, answer.body, answer.complete) == (200, b"", True)
    assert answer.headers["content-type"].startswith("text/")


async def test_mapped_head_comes_before_get(app: Router) -> None:
    """A method mapped to HEAD answers it instead of the one mapped to GET."""
    assert (await get(app, "/headed", "HEAD")).headers["x-from"] == "head"
    assert (await get(app, "/headed")).headers["x-from"] == "get"


async def test_invalid_values_are_422(app: Router, caplog: pytest.LogCaptureFixture) -> None:
    """Invalid values are a problem with every error in it, and not logged."""
    answer = await get(app, "/seven")
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [error["location"] for error in answer.json()["errors"]] == [["path", "id"]]
    assert not caplog.records


async def test_malformed_json_is_400(app: Router) -> None:
    """A body that isn't JSON is a bad request."""
    answer = await ask(app, "POST", "/items", b"{", headers={"content-type": "application/json"})
    assert (answer.status, answer.json()["title"]) == (400, "Bad Request")


async def test_other_media_type_is_415(app: Router) -> None:
    """A body of another media type isn't read."""
    assert (await ask(app, "POST", "/items", b'{"name":"a"}')).status == 415


async def test_unexpected_exception_is_500(app: Router, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception tells the client nothing, and is logged once with its traceback."""
    answer = await get(app, "/broken")
    assert answer.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500}
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("cortado.web", logging.ERROR)
    assert record.exc_info is not None


async def test_result_that_cannot_be_serialised_is_500(app: Router) -> None:
    """A result that can't become JSON is the handler's error."""
    assert (await get(app, "/unfit")).status == 500


async def test_controllers_exception_handler(app: Router, caplog: pytest.LogCaptureFixture) -> None:
    """A controller's exception handler answers, with the request at hand, and nothing is logged."""
    answer = await get(app, "/given-up")
    assert (answer.status, answer.json()) == (410, {"lost": "'local'", "at": "/items/given-up"})
    assert not caplog.records


async def test_request_reads_the_body(app: Router) -> None:
    """A handler that takes the request reads the body itself, also after the binder has."""
    assert (await ask(app, "POST", "/items/raw", [b"ab", b"c"])).body == b"3"
    assert (await ask(app, "POST", "/items/both", json_body={"a": 1})).json() == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize("path", ["/items/any", "/items/raw"])
@pytest.mark.parametrize("declared", [True, False])
async def test_body_over_the_limit_is_413(path: str, declared: bool) -> None:
    """A body over the limit is refused, by its declared length or by what comes, however it is read."""
    app, container = await started(Shelf, ItemController, settings=HttpSettings(max_body_size=4))
    headers = {"content-length": "5"} if declared else {}
    assert (await ask(app, "POST", path, [b"abc", b"de"], headers=headers)).status == 413
    assert (await ask(app, "POST", path, [b"abc", b"d"])).body == b"4"
    await container.stop()


@pytest.mark.parametrize("path", ["/items/any", "/items/raw"])
async def test_late_body_is_408(path: str) -> None:
    """A body that doesn't arrive in time is answered, however it is read."""
    app, container = await started(Shelf, ItemController, settings=HttpSettings(body_timeout=0.01))
    events: list[Any] = []

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(event: Any) -> None:
        events.append(event)

    await app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
    assert events[0]["status"] == 408
    await container.stop()


class Trickle:
    """A client whose body comes when the test says so."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[Any] = []
        self.waiting = asyncio.Event()
        self.interrupted = False

    async def receive(self) -> Any:
        self.waiting.set()
        try:
            return await self.events.get()
        except asyncio.CancelledError:
            self.interrupted = True
            raise

    async def send(self, event: Any) -> None:
        self.sent.append(event)

    def post(self, app: Router, path: str) -> asyncio.Task[None]:
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        return asyncio.create_task(app(scope, self.receive, self.send))


@pytest.mark.parametrize("path", ["/items/any", "/items/raw"])
async def test_body_that_comes_later(app: Router, path: str) -> None:
    """A body that isn't there yet is waited for, piece by piece."""
    client = Trickle()
    answering = client.post(app, path)
    for piece, more in ((b"ab", True), (b"c", False)):
        await client.waiting.wait()
        client.waiting.clear()
        client.events.put_nowait({"type": "http.request", "body": piece, "more_body": more})
    await answering
    assert client.sent[1]["body"] == b"3"


async def test_cancelled_while_the_body_comes(app: Router) -> None:
    """A cancellation reaches the server's `receive`, and goes on to the server."""
    client = Trickle()
    answering = client.post(app, "/items/any")
    await client.waiting.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert client.interrupted
    assert client.sent == []


@pytest.mark.parametrize("path", ["/items/any", "/items/raw"])
async def test_client_leaves_before_its_body_is_whole(
    app: Router, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that leaves within its body is neither answered nor logged."""
    assert (await ask(app, "POST", path, b"abc", leaves=True)).events == []
    assert not caplog.records


async def test_controller_that_takes_time_to_make() -> None:
    """A controller whose creation must be awaited is there when its handler runs."""

    @rest_controller
    class Slow:
        @post_construct
        async def open(self) -> None:
            await asyncio.sleep(0)
            self.opened = True

        @get_mapping("/slow")
        async def show(self) -> dict[str, bool]:
            return {"opened": self.opened}

    app, container = await started(Slow)
    assert (await ask(app, "GET", "/slow")).json() == {"opened": True}
    await container.stop()


async def test_failing_controller_is_500_and_tried_again() -> None:
    """A controller that can't be created is a 500, and the next request tries again."""
    tries: list[int] = []

    @rest_controller
    class Fragile:
        def __init__(self) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("no database")

        @get_mapping("/fragile")
        async def show(self) -> str:
            return "there"

    app, container = await started(Fragile)
    assert (await ask(app, "GET", "/fragile")).status == 500
    assert (await ask(app, "GET", "/fragile")).body == b"there"
    await container.stop()


@rest_controller
class Door:
    @get_mapping("/door")
    async def knock(self) -> None:
        raise HTTPError(401, "who is it", {"WWW-Authenticate": "Basic"})


async def test_http_error_with_headers(app: Router) -> None:
    """The headers of an `HTTPError` go with its response."""
    app, container = await started(Door)
    answer = await ask(app, "GET", "/door")
    assert (
        answer.status,
        answer.headers["www-authenticate"],
        answer.json()["detail"],
    ) == (401, "Basic", "who is it")
    await container.stop()


async def test_routes_are_starlettes(app: Router) -> None:
    """Each mapping is a Starlette route with path, methods and name; nothing was created for that."""
    shown = {(route.path, *route.methods): route.name for route in app.routes}  # type: ignore[attr-defined]
    assert shown[("/items", "POST")] == "item_controller.create"


async def test_default_is_not_shared() -> None:
    """What a handler adds to a default list is not there for the next client."""

    @rest_controller
    class Tags:
        @get_mapping("/tags")
        async def tags(self, tags: QueryParam[list[str]] = []) -> list[str]:  # noqa: B006 - what the test is about
            tags.append("mine")
            return tags

    app, container = await started(Tags)
    assert [(await ask(app, "GET", "/tags")).json() for _ in range(2)] == [["mine"], ["mine"]]
    await container.stop()


async def test_stream_of_what_is_no_text() -> None:
    """A stream that yields neither text nor bytes is a 500, before anything of it is sent."""

    @rest_controller
    class Rows:
        @get_mapping("/rows")
        async def rows(self) -> AsyncIterator[dict[str, int]]:
            yield {"a": 1}

    app, container = await started(Rows)
    answer = await ask(app, "GET", "/rows")
    assert (answer.status, answer.complete) == (500, True)
    await container.stop()


async def test_stream_beside_an_unread_body() -> None:
    """A body over the limit that no handler reads doesn't cut off the stream that answers it."""

    @rest_controller
    class Echo:
        @post_mapping("/stream")
        async def stream(self) -> AsyncIterator[str]:
            for word in ("a", "b", "c"):
                await asyncio.sleep(0)
                yield word

    app, container = await started(Echo)
    body = bytes(HttpSettings().max_body_size + 1)
    answer = await ask(
        app, "POST", "/stream", body, headers={"content-length": str(len(body))}, asgi={"spec_version": "2.3"}
    )
    assert (answer.body, answer.complete) == (b"abc", True)
    await container.stop()
