"""Where values are found in the head of a call, and the step that fetches and converts one."""

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cortado.binding.call import Call
from cortado.binding.converters import field_errors
from cortado.problems import FieldError

__all__ = ["REQUIRED", "Find", "Step", "finder", "missing", "value_step"]

Find = Callable[[Call], Any]
"""Fetches the raw value of a parameter; None when the client sent none."""

Step = Callable[[Call, list[FieldError]], Any]
"""Produces one argument, or adds to the errors."""

REQUIRED: Any = object()
"""Stands for the default of a parameter that has none."""


def finder(source: str, key: str, *, many: bool) -> Find:
    """Return what fetches the value, or with `many` the values, of a key from a source."""
    return FINDERS[source](key, many)


def value_step(find: Find, adapter: TypeAdapter[Any], location: tuple[str, str], default: Any) -> Step:
    """Return the step that fetches a value, converts it, and says what is wrong with it."""
    validate = adapter.validator.validate_python

    def step(call: Call, errors: list[FieldError]) -> Any:
        found = find(call)
        if found is None:
            return missing(location, default, errors)
        try:
            return validate(found)
        except ValidationError as exc:
            errors += field_errors(exc, location)
            return None

    return step


def missing(location: tuple[str, ...], default: Any, errors: list[FieldError]) -> Any:
    """Return the default of a value that was not sent; without one, that is an error.

    A list, set or dict is copied, so that what a handler adds to it is not there for the next client.
    """
    if default is REQUIRED:
        errors.append(FieldError(location, "Field required", "missing"))
    return default.copy() if type(default) in {list, set, dict} else default


def _in_path(key: str, many: bool) -> Find:  # noqa: ARG001 - all finders are made alike
    return lambda call: call.head.path_params.get(key)


def _in_query(key: str, many: bool) -> Find:
    if many:
        return lambda call: call.head.query_params.getlist(key) or None
    return lambda call: call.head.query_params.get(key)


def _in_header(key: str, many: bool) -> Find:
    # The raw list is searched: decoding all of a request's header fields to read one is the dearer way.
    wanted = key.encode("latin-1")

    def every(call: Call) -> list[str] | None:
        return [value.decode("latin-1") for name, value in call.head.raw_headers if name == wanted] or None

    def first(call: Call) -> str | None:
        for name, value in call.head.raw_headers:
            if name == wanted:
                return value.decode("latin-1")
        return None

    return every if many else first


def _in_cookie(key: str, many: bool) -> Find:  # noqa: ARG001
    return lambda call: call.head.cookies.get(key)


FINDERS: dict[str, Callable[[str, bool], Find]] = {
    "path": _in_path,
    "query": _in_query,
    "header": _in_header,
    "cookie": _in_cookie,
}
