"""Paths with variables: joined, taken apart, compared."""

import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["InvalidPath", "PathTemplate", "Segment", "join"]

VARIABLE = re.compile(r"{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?}")

CONVERTORS = ("uuid", "int", "float", "str", "path")
"""The convertors of path variables, the most particular first."""


class InvalidPath(ValueError):
    """A path that can't be mapped; the text says why, and the cure."""


def join(base: str, path: str) -> str:
    """Return the path below a base path, with exactly one `/` between.

    A path of `""` or `"/"` is the base itself; a `/` at the end of a longer path stays.
    """
    above = base.strip("/")
    below = path.lstrip("/")
    joined = f"/{above}/{below}" if above else f"/{below}"
    return joined if below else f"/{above}"


@dataclass(frozen=True, slots=True)
class Segment:
    """What stands between two slashes."""

    text: str
    """As written."""
    variables: tuple[tuple[str, str], ...]
    """The variables in it, each with its convertor."""

    @property
    def shape(self) -> str:
        """The text without the names of the variables."""
        return VARIABLE.sub(lambda found: "{:%s}" % (found[2] or "str"), self.text)

    @property
    def literal(self) -> str:
        """The text without the variables."""
        return VARIABLE.sub("", self.text)

    @property
    def rank(self) -> tuple[int, int, int]:
        """How particular it is; the lowest rank is tried first: literal text first, then by convertor."""
        if not self.variables:
            return (0, 0, 0)
        return (
            1 if self.literal else 2,
            -len(self.literal),
            max(_roughness(one) for _, one in self.variables),
        )


@dataclass(frozen=True)
class PathTemplate:
    """A full path, taken apart.

    Raises:
        InvalidPath: A brace is left over, a name is used twice, a convertor is unknown, a segment is empty.
    """

    text: str

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The parts between the slashes; the last one is empty when the path ends with a slash."""
        return tuple(
            Segment(text, tuple((name, convertor or "str") for name, convertor in VARIABLE.findall(text)))
            for text in self.text[1:].split("/")
        )

    @cached_property
    def variables(self) -> dict[str, str]:
        """The variables in their order, each with its convertor."""
        return {name: convertor for segment in self.segments for name, convertor in segment.variables}

    @cached_property
    def shape(self) -> str:
        """The path without the names of its variables: two of the same shape match the same requests."""
        return "/".join(segment.shape for segment in self.segments)

    def check(self) -> None:
        """Raise `InvalidPath` if the path can't be mapped."""
        where = f"the path {self.text!r}"
        if "{" in (left := VARIABLE.sub("", self.text)) or "}" in left:
            raise InvalidPath(
                f"{where} has a brace that belongs to no variable; write {{name}} or {{name:int}}"
            )
        if "?" in left or "#" in left or any(character.isspace() for character in left):
            raise InvalidPath(
                f"{where} has characters that never arrive in a path; bind a query with QueryParam"
            )
        if any(not segment.text for segment in self.segments[:-1]):
            raise InvalidPath(f"{where} has an empty segment; write one slash")
        names = [name for segment in self.segments for name, _ in segment.variables]
        for name in names:
            if names.count(name) > 1:
                raise InvalidPath(f"{where} names {{{name}}} twice; give each variable its own name")
        for convertor in self.variables.values():
            if convertor not in CONVERTORS:
                known = ", ".join(sorted(CONVERTORS))
                raise InvalidPath(f"{where} has the unknown convertor {convertor!r}; known are {known}")


def _roughness(convertor: str) -> int:
    return CONVERTORS.index(convertor) if convertor in CONVERTORS else len(CONVERTORS)
