"""Markers that say where a parameter's value comes from."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import Field
from pydantic.fields import FieldInfo

__all__ = [
    "Body",
    "BodyValue",
    "Cookie",
    "CookieValue",
    "Header",
    "HeaderValue",
    "Parameter",
    "Path",
    "PathVar",
    "Query",
    "QueryParam",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Where a value comes from, under which name, and what it must satisfy.

    Used as `Annotated[int, Query(alias="p", ge=1)]`; the constraints are pydantic's.
    """

    source: ClassVar[str]
    """The source's name, as it stands in the location of an error."""

    alias: str | None = None
    """The name in the request; the parameter's own when None."""
    description: str | None = None
    """What the value means, for the documentation."""
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    def constraints(self) -> FieldInfo | None:
        """Return the constraints as pydantic reads them, or None when there are none."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in NO_CONSTRAINT}
        stated: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return Field(**stated) if stated else None

    def name_for(self, parameter: str) -> str:
        """Return the name in the request for the parameter of that name."""
        return parameter if self.alias is None else self.alias


NO_CONSTRAINT = frozenset({"alias", "description"})


class Path(Parameter):
    """A variable of the path."""

    __slots__ = ()
    source = "path"


class Query(Parameter):
    """A parameter of the query; a list takes every value of a repeated key."""

    __slots__ = ()
    source = "query"


class HeaderValue(Parameter):
    """A header field; `_` in the parameter's name stands for `-`, unless an alias is given."""

    __slots__ = ()
    source = "header"

    def name_for(self, parameter: str) -> str:
        """Return the field's name in lower case."""
        return (parameter.replace("_", "-") if self.alias is None else self.alias).lower()


class CookieValue(Parameter):
    """A cookie."""

    __slots__ = ()
    source = "cookie"


class BodyValue(Parameter):
    """The body: JSON, validated straight from the bytes; as it was sent, where the type is `bytes`."""

    __slots__ = ()
    source = "body"


PathVar = Annotated[T, Path()]
"""A variable of the path: `id: PathVar[int]`."""

QueryParam = Annotated[T, Query()]
"""A parameter of the query: `page: QueryParam[int] = 1`."""

Header = Annotated[T, HeaderValue()]
"""A header field: `user_agent: Header[str]` reads `user-agent`."""

Cookie = Annotated[T, CookieValue()]
"""A cookie: `theme: Cookie[str] = "light"`."""

Body = Annotated[T, BodyValue()]
"""The body as JSON: `items: Body[list[Item]]`."""
