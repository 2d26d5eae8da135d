import logging
import mimetypes
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from cortado.adapters.errors import ErrorResponder
from cortado.adapters.router import Router
from cortado.container import Container
from tests.adapters.asking import Answer, ask, knock

mimetypes.init()  # reads files, which Starlette would do on the loop


class Showing:
    """An endpoint that shows which one it is, and the path's values."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "shown", "name": self.name, "params": scope["path_params"]})
            return
        assert scope["endpoint"] is self
        shown = PlainTextResponse(self.name, headers={"x-params": repr(scope["path_params"])})
        await shown(scope, receive, send)


def route(path: str, *methods: str, name: str | None = None) -> Route:
    return Route(path, Showing(name or path), methods=methods or ("GET",))


@pytest.fixture
async def errors() -> AsyncIterator[ErrorResponder]:
    async with Container() as container:
        yield ErrorResponder(container)


async def shown(
    errors: ErrorResponder, routes: list[BaseRoute], target: str, method: str = "GET", **scope: Any
) -> Answer:
    return await ask(Router(routes, errors=errors), method, target, **scope)


async def test_static_path(errors: ErrorResponder) -> None:
    """A path without variables is found."""
    assert (await shown(errors, [route("/"), route("/a/b")], "/a/b")).body == b"/a/b"
    assert (await shown(errors, [route("/"), route("/a/b")], "/")).body == b"/"


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    ("path", "winner"),
    [
        ("/x/lobby", "/x/lobby"),
        ("/x/5", "/x/{a:int}"),
        ("/x/5.5", "/x/{a:float}"),
        ("/x/v5", "/x/v{a}"),
        ("/x/other", "/x/{a}"),
        ("/x/other/more", "/x/{a:path}"),
        ("/x/", "/x/{a:path}"),
        ("/x/lobby/info", "/x/{a}/info"),
        ("/x/files/a/b/raw", "/x/files/{a:path}/raw"),
        ("/x/files/a/b", "/x/{a:path}"),
    ],
)
async def test_the_most_particular_route_wins(
    errors: ErrorResponder, path: str, winner: str, turn: int
) -> None:
    """A literal beats a variable, a particular convertor a general one, whatever the order."""
    paths = ["/x/lobby", "/x/{a:int}", "/x/{a:float}", "/x/v{a}", "/x/{a}", "/x/{a}/info"]
    routes = [route(each) for each in (*paths, "/x/{a:path}", "/x/files/{a:path}/raw")][::turn]
    assert (await shown(errors, routes, path)).body.decode() == winner


async def test_variables_are_converted(errors: ErrorResponder) -> None:
    """The values of variables reach the scope, beside those of an outer mount."""
    answer = await shown(
        errors, [route("/{a:int}/{b}-{c:int}/{d:path}")], "/4/x-5/y/z", path_params={"outer": "o"}
    )
    assert answer.headers["x-params"] == repr({"outer": "o", "a": 4, "b": "x", "c": 5, "d": "y/z"})


async def test_names_belong_to_each_route(errors: ErrorResponder) -> None:
    """Two methods of one shape may name their variables differently."""
    routes: list[BaseRoute] = [route("/{a}"), route("/{b}", "POST")]
    assert (await shown(errors, routes, "/1", "POST")).headers["x-params"] == "{'b': '1'}"
    assert (await shown(errors, routes, "/1")).headers["x-params"] == "{'a': '1'}"


async def test_another_method_of_a_literal_does_not_hide_a_variable(errors: ErrorResponder) -> None:
    """A more particular path that lacks the method leaves the request to a less particular one."""
    routes: list[BaseRoute] = [route("/items/{id}"), route("/items/special", "POST")]
    assert (await shown(errors, routes, "/items/special")).body == b"/items/{id}"


async def test_a_number_too_long_is_no_number(errors: ErrorResponder) -> None:
    """Digits that Python makes no number of don't match, rather than crash."""
    assert (await shown(errors, [route("/{a:int}")], "/" + "9" * 5000)).status == 404


@pytest.mark.parametrize("path", ["/b", "/a/", "//a", "/a/b/c", "/v/", ""])
async def test_unknown_path_is_404(errors: ErrorResponder, path: str) -> None:
    """What no route takes is a 404 problem, and not logged."""
    answer = await shown(errors, [route("/a"), route("/v/{x}")], path)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


async def test_wrong_method_is_405(errors: ErrorResponder) -> None:
    """A path that lacks the method is a 405 problem that lists all methods of the path."""
    routes: list[BaseRoute] = [route("/a/{x}"), route("/a/b", "PUT"), route("/a/{x}", "DELETE")]
    answer = await shown(errors, routes, "/a/b", "POST")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PUT")
    assert answer.json()["title"] == "Method Not Allowed"


async def test_options_are_answered(errors: ErrorResponder) -> None:
    """OPTIONS lists the methods, unless it is mapped."""
    answer = await shown(errors, [route("/a"), route("/a", "POST")], "/a", "OPTIONS")
    assert (answer.status, answer.headers, answer.body) == (204, {"allow": "GET, HEAD, OPTIONS, POST"}, b"")
    assert (await shown(errors, [route("/a", "OPTIONS", name="own")], "/a", "OPTIONS")).body == b"own"


async def test_head_goes_to_get_unless_mapped(errors: ErrorResponder) -> None:
    """HEAD is answered by GET's route, or by its own where there is one, whatever the order."""
    assert (await shown(errors, [route("/a", name="get")], "/a", "HEAD")).status == 200
    routes: list[BaseRoute] = [route("/a", name="get"), route("/a", "HEAD", name="head")]
    assert (await shown(errors, routes, "/a", "HEAD")).headers["content-length"] == "4"


async def test_route_of_any_method(errors: ErrorResponder) -> None:
    """A route without methods takes every method."""
    assert (await shown(errors, [Route("/a", Showing("any"))], "/a", "BREW")).body == b"any"


@pytest.mark.parametrize(
    ("root", "path", "status"),
    [
        ("/api", "/api/a", 200),
        ("/api", "/a", 200),
        ("/api", "/apia", 404),
        ("/api", "/api", 200),
        ("/a", "/a", 200),
        ("/api/a", "/api/a", 200),
    ],
)
async def test_root_path(errors: ErrorResponder, root: str, path: str, status: int) -> None:
    """The prefix under which the application is mounted isn't part of the routes' paths."""
    assert (await shown(errors, [route("/a"), route("/")], path, root_path=root)).status == status


async def test_forged_host_does_not_matter(errors: ErrorResponder) -> None:
    """The path comes from the scope, whatever the `Host` header says."""
    answer = await shown(errors, [route("/a")], "/a", headers={"host": "evil.example/b?"})
    assert answer.body == b"/a"


async def test_mount(errors: ErrorResponder) -> None:
    """A mounted application gets what is below its path and isn't mapped; the longest path wins."""
    inner, deep = Router([route("/x/{y}")], errors=errors), Router([route("/z")], errors=errors)
    routes: list[BaseRoute] = [Mount("/sub", inner), Mount("/sub/deep", deep), route("/sub/own")]
    assert (await shown(errors, routes, "/sub/x/1")).headers["x-params"] == "{'y': '1'}"
    assert (await shown(errors, routes, "/sub/deep/z")).body == b"/z"
    assert (await shown(errors, routes, "/sub/own")).body == b"/sub/own"
    assert (await shown(errors, routes, "/sub/none")).status == 404


async def test_mount_without_slash_is_redirected(errors: ErrorResponder) -> None:
    """The bare path of a mount leads to the path with a slash, where the mounted application is."""
    inner = Router([route("/")], errors=errors)
    answer = await shown(errors, [Mount("/sub", inner)], "/api/sub?a=b", root_path="/api")
    assert (answer.status, answer.headers["location"]) == (307, "/api/sub/?a=b")
    assert (await shown(errors, [Mount("/sub", inner)], "/sub/")).body == b"/"


async def test_static_files(errors: ErrorResponder, tmp_path: Path) -> None:
    """Starlette's own 404 and 405 are problems too."""
    (tmp_path / "a.txt").write_text("here")
    mount = Mount("/static", StaticFiles(directory=tmp_path))
    assert (await shown(errors, [mount], "/static/a.txt")).body == b"here"
    missing = await shown(errors, [mount], "/static/b.txt")
    assert (missing.status, missing.json()["title"]) == (404, "Not Found")
    assert (await shown(errors, [mount], "/static/a.txt", "POST")).status == 405


async def test_foreign_route_that_raises(errors: ErrorResponder, caplog: pytest.LogCaptureFixture) -> None:
    """An exception of a foreign route is a 500 problem, logged once."""

    async def broken(request: Request) -> PlainTextResponse:
        raise ValueError("secret")

    answer = await shown(errors, [Route("/a", broken)], "/a")
    assert (answer.status, answer.json()["title"]) == (500, "Internal Server Error")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_foreign_route_that_raises_late(
    errors: ErrorResponder, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception after the response has started is logged once, and the response is left unfinished."""

    class Late:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            raise ValueError("late")

    answer = await shown(errors, [Route("/a", Late())], "/a")
    assert (answer.body, answer.complete) == (b"a", False)
    assert len(caplog.records) == 1


async def test_mounted_websocket(errors: ErrorResponder) -> None:
    """A handshake reaches a mounted application."""
    inner = Router([WebSocketRoute("/{room}", Showing("inner"))], errors=errors)
    answer = await knock(Router([Mount("/sub", inner)], errors=errors), "/sub/lobby")
    assert answer.events == [{"type": "shown", "name": "inner", "params": {"room": "lobby"}}]


async def test_websocket_route(errors: ErrorResponder) -> None:
    """A handshake finds its route, by the same precedence; HTTP routes don't count."""
    routes: list[BaseRoute] = [
        route("/ws/lobby"),
        WebSocketRoute("/ws/{room}", Showing("room")),
        WebSocketRoute("/ws/{id:int}", Showing("id")),
    ]
    answer = await knock(Router(routes, errors=errors), "/ws/lobby")
    assert answer.events == [{"type": "shown", "name": "room", "params": {"room": "lobby"}}]
    answer = await knock(Router(routes, errors=errors), "/ws/7")
    assert answer.events == [{"type": "shown", "name": "id", "params": {"id": 7}}]


async def test_unknown_websocket_path_is_denied_with_404(errors: ErrorResponder) -> None:
    """A handshake on an unknown path is refused with a 404 problem, where the server can send one."""
    answer = await knock(Router([route("/ws")], errors=errors), "/ws")
    assert [event["type"] for event in answer.events] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert len(answer.events[0]["headers"]) == len(answer.headers)
    assert answer.json()["status"] == 404


async def test_unknown_websocket_path_without_the_extension_is_closed(errors: ErrorResponder) -> None:
    """A server that can't send a denial is told to close."""
    answer = await knock(Router([], errors=errors), "/ws", denial=False)
    assert [event["type"] for event in answer.events] == ["websocket.close"]
