"""Problem details and the errors that carry them."""

import json

import pytest

from cortado.exceptions import CortadoError
from cortado.problems import (
    INTERNAL_ERROR,
    BadRequest,
    Conflict,
    ContentTooLarge,
    FieldError,
    Forbidden,
    Gone,
    HTTPError,
    MethodNotAllowed,
    NotFound,
    Problem,
    RequestTimeout,
    RequestValidationError,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
)

NAMED = {
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    RequestTimeout: 408,
    Conflict: 409,
    Gone: 410,
    ContentTooLarge: 413,
    UnsupportedMediaType: 415,
    TooManyRequests: 429,
    ServiceUnavailable: 503,
}


def test_least_document():
    """A problem has a type, the standard phrase as its title, and a status; what is absent is left out."""
    assert Problem(404).to_dict() == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_whole_document():
    """Every member that is given stands in the document, as UTF-8."""
    problem = Problem(
        422,
        title="Falsch",
        detail="größer als 3",
        type="https://example.org/p",
        instance="/orders/1",
        errors=(FieldError(("body", "items", 0), "must be a number", "int_parsing"),),
    )

    assert json.loads(problem.to_json().decode()) == {
        "type": "https://example.org/p",
        "title": "Falsch",
        "status": 422,
        "detail": "größer als 3",
        "instance": "/orders/1",
        "errors": [{"location": ["body", "items", 0], "message": "must be a number", "type": "int_parsing"}],
    }


def test_unknown_status():
    """A status without a standard phrase still has a title."""
    assert Problem(499).title == "Error"


def test_unencodable_detail():
    """A detail that isn't valid Unicode can't keep the problem from being sent."""
    assert json.loads(Problem(400, detail="\ud800").to_json())["detail"] == "?"


def test_internal_error_tells_nothing():
    """An unexpected exception is shown as a bare 500."""
    assert INTERNAL_ERROR.to_dict() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
    }


def test_http_error():
    """An error carries status, detail and headers, and becomes a problem with the same."""
    error = HTTPError(429, "slow down", {"Retry-After": "3"})

    assert isinstance(error, CortadoError)
    assert (error.status, error.detail, error.headers) == (429, "slow down", {"Retry-After": "3"})
    assert error.problem() == Problem(429, detail="slow down", headers={"Retry-After": "3"})
    assert str(error) == "429 Too Many Requests: slow down"
    assert str(HTTPError(404)) == "404 Not Found"


@pytest.mark.parametrize("status", [200, 302, 399, 600, 0])
def test_no_error_status(status):
    """A status that is no error is refused."""
    with pytest.raises(ValueError, match="400 to 599"):
        HTTPError(status)


@pytest.mark.parametrize("kind", NAMED)
def test_named_errors(kind):
    """The class says the status; detail and headers are as for any error."""
    error = kind("because", {"X-Why": "1"})

    assert error.status == NAMED[kind]
    assert error.problem() == Problem(NAMED[kind], detail="because", headers={"X-Why": "1"})
    assert kind().detail is None


def test_validation_error():
    """A validation error lists what is wrong, and counts it where no detail is given."""
    one, two = FieldError(("query", "page"), "missing"), FieldError(("path", "id"), "no number")

    error = RequestValidationError((one, two))

    assert error.status == 422
    assert error.problem().errors == (one, two)
    assert error.problem().detail == "2 values are invalid"
    assert RequestValidationError((one,)).detail == "1 value is invalid"
    assert RequestValidationError((one,), "look again").detail == "look again"
