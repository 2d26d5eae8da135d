"""HTTP requests of the test client against bare ASGI and Starlette applications."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from cortado.testing import IncompleteResponse, TestClient, WaitTimeoutError


async def respond(send, status=200, body=b"", headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def http(handler):
    """Return a bare application with one handler for whatever comes over HTTP."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await handler(scope, receive, send)

    return app


async def mirror(request: Request) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "query": request.query_params.multi_items(),
            "header": request.headers.get("x-a"),
            "body": (await request.body()).decode(),
        }
    )


METHODS = ["get", "post", "put", "patch", "delete", "options"]


@pytest.mark.parametrize("method", METHODS)
async def test_each_method_reaches_the_application(method):
    """Method, path, query, header fields and body arrive as they were sent."""
    app = Starlette(routes=[Route("/x", mirror, methods=[name.upper() for name in METHODS])])

    async with TestClient(app) as client:
        call = getattr(client, method)
        response = await call("/x", params={"a": "1"}, headers={"X-A": "b"}, content="body")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {
        "method": method.upper(),
        "path": "/x",
        "query": [["a", "1"]],
        "header": "b",
        "body": "body",
    }


async def test_json_goes_as_json():
    """The body of `json=` is JSON, and says so."""
    app = Starlette(routes=[Route("/x", mirror, methods=["POST"])])

    async with TestClient(app) as client:
        response = await client.post("/x", json={"a": [1, None]})

    assert response.json()["body"] == '{"a":[1,null]}'


async def test_head_has_no_body():
    """A body that answers HEAD stays behind, as on a real server."""

    async def handler(scope, receive, send):
        await respond(send, body=b"not for you", headers=[(b"x-length", b"11")])

    async with TestClient(http(handler)) as client:
        response = await client.head("/")

    assert response.content == b""
    assert response.headers["x-length"] == "11"


async def test_cookies_go_with_later_requests_and_handshakes():
    """A cookie that an answer sets comes back, over HTTP and in a WebSocket handshake."""
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            seen.append(dict(scope["headers"]).get(b"cookie"))
            await respond(send, 204, headers=[(b"set-cookie", b"sid=1; Path=/")])
        elif scope["type"] == "websocket":
            seen.append(dict(scope["headers"]).get(b"cookie"))
            await send({"type": "websocket.accept"})

    async with TestClient(app) as client:
        response = await client.get("/")
        await client.get("/")
        async with client.websocket("/ws"):
            pass

    assert response.cookies["sid"] == "1"
    assert seen == [None, b"sid=1", b"sid=1"]


async def test_redirects_are_followed_on_demand():
    """A redirect is the answer, unless the test wants it followed."""
    app = Starlette(
        routes=[
            Route("/old", lambda request: RedirectResponse("/new")),
            Route("/new", lambda request: Response("here")),
        ]
    )

    async with TestClient(app) as client:
        assert (await client.get("/old")).status_code == 307
        assert (await client.get("/old", follow_redirects=True)).text == "here"


async def test_an_exception_of_the_application_is_raised():
    """The test sees the original exception, also if a 500 was sent already."""

    async def broken(request):
        raise LookupError("in the handler")

    async with TestClient(Starlette(routes=[Route("/", broken)])) as client:
        with pytest.raises(LookupError, match="in the handler"):
            await client.get("/")


@pytest.mark.parametrize("sent", [False, True])
async def test_exceptions_can_be_left_to_the_server(sent):
    """Without raise_server_exceptions an exception is a 500, the application's own or the server's."""

    async def handler(scope, receive, send):
        if sent:
            await respond(send, 500, b"own text")
        raise LookupError

    async with TestClient(http(handler)) as client:
        response = await client.get("/", raise_server_exceptions=False)

    assert response.status_code == 500
    assert response.text == ("own text" if sent else "Internal Server Error")


async def test_exceptions_that_a_framework_reported_are_raised():
    """What a framework turned into a 500 and reported in the scope comes to the surface."""

    async def handler(scope, receive, send):
        scope["extensions"]["cortado.exceptions"].append(LookupError("reported"))
        await respond(send, 500)

    async with TestClient(http(handler)) as client:
        with pytest.raises(LookupError, match="reported"):
            await client.get("/")
        assert (await client.get("/", raise_server_exceptions=False)).status_code == 500


async def test_background_work_belongs_to_the_request():
    """When the answer is returned, the application's call is over."""
    done = []

    async def background():
        await asyncio.sleep(0.01)
        done.append(True)

    app = Starlette(routes=[Route("/", lambda request: Response(background=BackgroundTask(background)))])
    async with TestClient(app) as client:
        await client.get("/")

    assert done


async def test_no_answer_is_a_timeout():
    """An application that doesn't answer is named, and told that the client went away."""
    told = []

    async def handler(scope, receive, send):
        await receive()
        told.append(await receive())

    async with TestClient(http(handler)) as client:
        with pytest.raises(WaitTimeoutError, match="a response from /slow"):
            await client.get("/slow", timeout=0.02)

    assert told == [{"type": "http.disconnect"}]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"type": "http.response.start", "status": 200}],
        [
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body", "body": b"x", "more_body": True},
        ],
    ],
)
async def test_half_an_answer_is_an_error(events):
    """An application that returns before its response is complete fails the test."""

    async def handler(scope, receive, send):
        for event in events:
            await send(event)

    async with TestClient(http(handler)) as client:
        with pytest.raises(IncompleteResponse, match="/half"):
            await client.get("/half")


async def test_a_stream_is_read_while_it_comes():
    """The first chunk is there before the application goes on to the second one."""
    go_on = asyncio.Event()

    async def chunks():
        yield b"first\n"
        await go_on.wait()
        yield b"second\n"

    app = Starlette(routes=[Route("/", lambda request: StreamingResponse(chunks()))])
    async with TestClient(app) as client, client.stream("GET", "/") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "first"
        go_on.set()
        assert await anext(lines) == "second"


async def test_leaving_a_stream_is_the_client_going_away():
    """An endless response ends with an http.disconnect, and what it sends afterwards is dropped."""
    seen = []

    async def handler(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        seen.append(await receive())
        seen.append(await receive())
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async with TestClient(http(handler)) as client, client.stream("GET", "/") as response:
        assert response.status_code == 200

    assert [event["type"] for event in seen] == ["http.request", "http.disconnect"]


async def test_cancelling_a_request_is_the_client_going_away():
    """The application is told, and may finish in its own time."""
    entered, told = asyncio.Event(), []

    async def handler(scope, receive, send):
        await receive()
        entered.set()
        told.append(await receive())

    async with TestClient(http(handler)) as client:
        request = asyncio.create_task(client.get("/"))
        await entered.wait()
        request.cancel()
        await asyncio.wait([request])

    assert told == [{"type": "http.disconnect"}]


async def test_a_fast_stream_waits_for_its_reader():
    """What isn't read yet is bounded, as by a socket."""
    sent = 0

    async def handler(scope, receive, send):
        nonlocal sent
        await send({"type": "http.response.start", "status": 200})
        for sent in range(1000):
            await send({"type": "http.response.body", "body": b"x", "more_body": sent < 999})

    async with TestClient(http(handler)) as client, client.stream("GET", "/") as response:
        assert sent < 100
        assert len(await response.aread()) == 1000


async def test_a_failure_after_the_client_went_away_is_raised_at_the_end():
    """An exception that no request could raise any more fails the test when the application is stopped."""
    entered = asyncio.Event()

    async def handler(scope, receive, send):
        await receive()
        entered.set()
        await receive()
        await asyncio.sleep(0)
        raise LookupError("too late")

    with pytest.raises(LookupError, match="too late"):
        async with TestClient(http(handler)) as client:
            request = asyncio.create_task(client.get("/"))
            await entered.wait()
            request.cancel()
            await asyncio.wait([request])
