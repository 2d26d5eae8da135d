from typing import Any

import pytest

from cortado.web import PlainTextResponse, ResponseEntity


def test_entity_is_a_value() -> None:
    """An entity is a value: its body, a status, and headers."""
    assert ResponseEntity("a", 201, {"x": "y"}) == ResponseEntity("a", status=201, headers={"x": "y"})
    assert (ResponseEntity("a").status, ResponseEntity("a").headers) == (None, {})


@pytest.mark.parametrize("headers", [{"x": "a\r\nset-cookie: b"}, {"x\n": "a"}, {"x": "\0"}])
def test_headers_stay_in_their_line(headers: dict[str, str]) -> None:
    """A header that would break out of its line is refused."""
    with pytest.raises(ValueError, match="line break or a null"):
        ResponseEntity(None, headers=headers)


@pytest.mark.parametrize("status", [0, 100, 199, 600])
def test_status_is_final(status: int) -> None:
    """A status that is no final one is refused."""
    with pytest.raises(ValueError, match="200 to 599"):
        ResponseEntity(None, status)


def test_response_is_no_body() -> None:
    """A Starlette response has status and headers of its own."""
    body: Any = PlainTextResponse("a")
    with pytest.raises(TypeError, match="on the Response itself"):
        ResponseEntity(body)
