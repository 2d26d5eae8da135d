from dataclasses import dataclass

import pytest

from cortado.binding.results import compile_serializer, serialize_any
from cortado.web import Conflict, NotFound, PlainTextResponse, Problem, ResponseEntity
from cortado.web.rendering import RESPONSES, Rendered, Renderer, Streamed, render_problem


@dataclass
class Point:
    x: int


def rendered(result: object, status: int | None = None) -> Rendered:
    response = Renderer(serialize_any, status).render(result)
    assert isinstance(response, Rendered)
    return response


@pytest.mark.parametrize(
    ("result", "status", "expected"),
    [
        (None, None, (204, b"")),
        (None, 201, (201, b"")),
        ("a", None, (200, b"a")),
        (b"a", 202, (202, b"a")),
        (Point(1), None, (200, b'{"x":1}')),
        ([Point(1)], 201, (201, b'[{"x":1}]')),
        ("a", 204, (204, b"")),
        (ResponseEntity("a", 203), 201, (203, b"a")),
        (ResponseEntity("a"), 201, (201, b"a")),
        (ResponseEntity(None), None, (204, b"")),
    ],
)
def test_results(result: object, status: int | None, expected: tuple[int, bytes]) -> None:
    """A result becomes a status and bytes; the entity's status comes before the declared one."""
    response = rendered(result, status)
    assert (response.status, response.body) == expected


@pytest.mark.parametrize("result", [Conflict("no"), Problem(409, detail="no")])
def test_errors_may_be_returned(result: object) -> None:
    """An error or a problem that is returned is told as one."""
    response = rendered(result)
    assert (response.status, response.title) == (409, "Conflict")
    assert response.headers == [(b"content-type", b"application/problem+json")]


def test_entity_of_an_error_keeps_its_headers() -> None:
    """The headers of an entity stay, `content-length` aside, and its media type replaces the body's."""
    response = rendered(
        ResponseEntity("a", headers={"Content-Type": "text/x", "Content-Length": "9", "X-A": "b"})
    )
    assert response.headers == [(b"content-type", b"text/x"), (b"x-a", b"b")]


def test_responses_and_streams_pass_through() -> None:
    """A Starlette response stays itself, and an async iterator stays a stream."""

    async def stream():  # type: ignore[no-untyped-def]
        yield "a"

    renderer = Renderer(serialize_any)
    response = PlainTextResponse("a")
    assert renderer.render(response) is response
    streamed = renderer.render(ResponseEntity(stream(), 206, {"x": "y"}))
    assert isinstance(streamed, Streamed)
    assert (streamed.status, streamed.headers) == (206, [(b"x", b"y")])
    assert streamed.headers_for("a")[-1] == (b"content-type", b"text/plain; charset=utf-8")


def test_union_with_an_error() -> None:
    """Of a union with responses and errors only the documents are serialised."""
    serialize = compile_serializer(ResponseEntity[Point] | NotFound | Problem | None, RESPONSES)
    assert serialize(Point(1)) == b'{"x":1}'


def test_problem_with_headers() -> None:
    """The headers of a problem go with it."""
    response = render_problem(Problem(503, headers={"Retry-After": "3"}))
    assert response.headers == [(b"retry-after", b"3"), (b"content-type", b"application/problem+json")]


@pytest.mark.parametrize(
    "headers", [{"x": "a\r\nset-cookie: b"}, {"x y": "a"}, {"": "a"}, {"x": "\x7f"}, {"x:": "a"}], ids=repr
)
def test_header_that_is_none(headers: dict[str, str]) -> None:
    """A header that no server would send is refused, in a problem too."""
    with pytest.raises(ValueError, match="is none"):
        render_problem(Problem(400, headers=headers))
