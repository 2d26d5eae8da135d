"""The body of a request: JSON validated straight from the bytes, or the bytes themselves."""

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cortado.binding.call import Call
from cortado.binding.converters import field_errors
from cortado.binding.sources import missing
from cortado.head import Head
from cortado.problems import BadRequest, FieldError, UnsupportedMediaType

__all__ = ["BodyStep", "json_step", "raw_step"]

BodyStep = Callable[[Call, bytes, list[FieldError]], Any]
"""Makes one argument of a body, or adds to the errors."""

LOCATION = ("body",)


def json_step(adapter: TypeAdapter[Any], default: Any) -> BodyStep:
    """Return the step that validates a JSON body.

    It raises `UnsupportedMediaType` for a body that isn't declared as JSON (a page of another origin can send
    anything else without being asked first), and `BadRequest` for one that isn't JSON.
    """
    validate = adapter.validator.validate_json

    def step(call: Call, raw: bytes, errors: list[FieldError]) -> Any:
        if not raw:
            return missing(LOCATION, default, errors)
        _check_json(call.head)
        try:
            return validate(raw)
        except ValidationError as exc:
            found = field_errors(exc, LOCATION)
            if any(error.kind == "json_invalid" and error.location == LOCATION for error in found):
                raise BadRequest(found[0].message) from None
            errors += found
            return None

    return step


def raw_step(adapter: TypeAdapter[Any], default: Any) -> BodyStep:
    """Return the step that takes the bytes as they were sent, whatever their media type."""
    validate = adapter.validator.validate_python

    def step(_: Call, raw: bytes, errors: list[FieldError]) -> Any:
        if not raw:
            return missing(LOCATION, default, errors)
        try:
            return validate(raw)
        except ValidationError as exc:
            errors += field_errors(exc, LOCATION)
            return None

    return step


def _check_json(head: Head) -> None:
    declared = _media_type(head)
    if declared == b"application/json" or (
        declared.startswith(b"application/") and declared.endswith(b"+json")
    ):
        return
    sent = declared.decode("latin-1") or "a body without Content-Type"
    raise UnsupportedMediaType(f"the body must be application/json, not {sent}")


def _media_type(head: Head) -> bytes:
    for name, value in head.raw_headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""
