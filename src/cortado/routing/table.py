"""The routing table: static paths at one look, dynamic ones segment by segment, the most particular first."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from cortado.routing.paths import VARIABLE, PathTemplate, Segment

__all__ = ["Convertor", "RoutingTable"]

T = TypeVar("T")

WITHIN_SEGMENT = frozenset({"str", "int", "float", "uuid"})
"""The convertors whose values never hold a slash."""


class Convertor(Protocol):
    """Says what a variable matches, and turns the text into its value; Starlette's convertors are of this shape."""

    regex: ClassVar[str]
    """The pattern that the text matches."""

    def convert(self, value: str, /) -> Any:
        """Return the value; a `ValueError` means that the text doesn't match after all."""
        ...


class RoutingTable(Generic[T]):
    """Finds what is mapped to a path and method.

    Segment by segment, a literal beats a variable and a particular convertor a general one, whatever the order of
    `add`. What is mapped to another method of a more particular path doesn't hide a less particular path.
    """

    def __init__(self) -> None:
        self._static: dict[str, _Node[T]] = {}
        self._root: _Node[T] = _Node()
        self._dynamic = False

    def add(
        self,
        path: str,
        target: T,
        methods: Collection[str] | None = None,
        convertors: Mapping[str, Convertor] | None = None,
    ) -> None:
        """Map a path to a target; of two on one path and method, the first one stays.

        Args:
            path: A path with variables, such as `/items/{id:int}`.
            target: What is found.
            methods: The methods; None is any. GET stands for HEAD as well, where HEAD isn't mapped itself.
            convertors: The convertor of each variable of the path.
        """
        template = PathTemplate(path)
        node = self._place(template, convertors or {})
        route = _Route(target, tuple(template.variables))
        for method in (None,) if methods is None else methods:
            if not (method == "HEAD" and methods is not None and "GET" in methods):
                node.routes.setdefault(method, route)

    def find(self, path: str, method: str, allowed: set[str]) -> tuple[T, dict[str, Any]] | None:
        """Return the target for a path and method with the values of the variables.

        Where there is none, the methods for which there would be one are added to `allowed`.
        """
        if (node := self._static.get(path)) and (route := node.route(method, allowed)):
            return route.target, {}
        if not self._dynamic:
            return None
        found = self._root.find(path[1:].split("/"), 0, (), method, allowed)
        if found is None:
            return None
        route, values = found
        return route.target, dict(zip(route.names, values, strict=True))

    def _place(self, template: PathTemplate, convertors: Mapping[str, Convertor]) -> "_Node[T]":
        if not template.variables:
            return self._static.setdefault(template.text, _Node())
        self._dynamic = True
        node = self._root
        for at, segment in enumerate(template.segments):
            if any(convertor not in WITHIN_SEGMENT for _, convertor in segment.variables):
                return node.tail(template.segments[at:], convertors)
            node = node.below(segment, convertors)
        return node


@dataclass(frozen=True, slots=True)
class _Route(Generic[T]):
    target: T
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A piece of a path with variables."""

    shape: str
    rank: tuple[tuple[int, int, int], ...]
    regex: re.Pattern[str]
    convertors: tuple[Convertor, ...]

    @classmethod
    def of(cls, segments: "tuple[Segment, ...]", convertors: Mapping[str, Convertor]) -> "_Pattern":
        """Return the pattern of some consecutive segments."""
        text = "/".join(segment.text for segment in segments)
        used: list[Convertor] = []
        regex, end = "", 0
        for found in VARIABLE.finditer(text):
            convertor = convertors[found[1]]
            regex += f"{re.escape(text[end : found.start()])}(?P<_{len(used)}>{convertor.regex})"
            used.append(convertor)
            end = found.end()
        shape = "/".join(segment.shape for segment in segments)
        compiled = re.compile(regex + re.escape(text[end:]), re.DOTALL)
        return cls(shape, tuple(segment.rank for segment in segments), compiled, tuple(used))

    def values(self, text: str) -> tuple[Any, ...] | None:
        """Return the values of the variables, or None where the text doesn't match."""
        match = self.regex.fullmatch(text)
        if match is None:
            return None
        try:
            return tuple(one.convert(match[f"_{at}"]) for at, one in enumerate(self.convertors))
        except ValueError:  # more digits than Python makes a number of
            return None


Found = tuple["_Route[T]", tuple[Any, ...]]


@dataclass(slots=True)
class _Node(Generic[T]):
    """What can follow after some segments."""

    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    patterns: "list[tuple[_Pattern, _Node[T]]]" = field(default_factory=list)
    """What matches one segment, the most particular first."""
    text: "_Node[T] | None" = None
    """What follows a segment that is a variable of any text."""
    tails: "list[tuple[_Pattern, _Node[T]]]" = field(default_factory=list)
    """What matches all of the segments that are left, the most particular first."""
    routes: "dict[str | None, _Route[T]]" = field(default_factory=dict)
    """What ends here, by method; None is any method."""

    def route(self, method: str, allowed: set[str]) -> "_Route[T] | None":
        """Return what ends here for a method, or add the methods that there are to `allowed`."""
        found = self.routes.get(method)
        if found is None and method == "HEAD":
            found = self.routes.get("GET")
        if found is None:
            found = self.routes.get(None)
        if found is None:
            allowed.update(known for known in self.routes if known is not None)
        return found

    def find(
        self, parts: list[str], at: int, values: tuple[Any, ...], method: str, allowed: set[str]
    ) -> "Found[T] | None":
        """Return what is mapped to the parts from `at` on, tried in the order of precedence."""
        if at == len(parts):
            route = self.route(method, allowed)
            return None if route is None else (route, values)
        part = parts[at]
        literal = self.literals.get(part)
        if literal is not None and (found := literal.find(parts, at + 1, values, method, allowed)):
            return found
        for pattern, node in self.patterns:
            more = pattern.values(part)
            if more is not None and (found := node.find(parts, at + 1, values + more, method, allowed)):
                return found
        if self.text is not None and part:
            found = self.text.find(parts, at + 1, (*values, part), method, allowed)
            if found:
                return found
        for pattern, node in self.tails:
            more = pattern.values("/".join(parts[at:]))
            if more is not None and (route := node.route(method, allowed)):
                return route, values + more
        return None

    def below(self, segment: Segment, convertors: Mapping[str, Convertor]) -> "_Node[T]":
        """Return the node after a segment, made where there was none."""
        if not segment.variables:
            return self.literals.setdefault(segment.text, _Node())
        if segment.shape == "{:str}":
            self.text = self.text or _Node()
            return self.text
        return _among(self.patterns, _Pattern.of((segment,), convertors))

    def tail(self, segments: tuple[Segment, ...], convertors: Mapping[str, Convertor]) -> "_Node[T]":
        """Return the node after all of the segments that are left, made where there was none."""
        return _among(self.tails, _Pattern.of(segments, convertors))


def _among(nodes: "list[tuple[_Pattern, _Node[T]]]", pattern: _Pattern) -> _Node[T]:
    for known, node in nodes:
        if known.shape == pattern.shape:
            return node
    made: _Node[T] = _Node()
    nodes.append((pattern, made))
    nodes.sort(key=lambda one: one[0].rank)
    return made
