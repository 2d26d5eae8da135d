"""What a function's signature says, with every annotation evaluated."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from typing_extensions import get_type_hints

__all__ = ["ABSENT", "Argument", "Signature", "Unreadable", "read_signature"]

ABSENT: Any = inspect.Parameter.empty
"""Stands for an annotation or a default that isn't there."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An annotation that can't be evaluated, and why."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter: its name, how it is passed, its evaluated annotation and its default."""

    name: str
    kind: int
    annotation: Any = ABSENT
    default: Any = ABSENT

    @property
    def by_keyword(self) -> bool:
        """Whether it can only be passed by name."""
        return self.kind is inspect.Parameter.KEYWORD_ONLY

    @property
    def collects(self) -> bool:
        """Whether it is `*args` or `**kwargs`."""
        return self.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a function, in order, and what it returns."""

    arguments: tuple[Argument, ...]
    returns: Any = ABSENT


def read_signature(
    function: Callable[..., Any], owner: type | None = None, names: Mapping[str, Any] | None = None
) -> Signature:
    """Return the signature with its annotations evaluated; the one that can't be is `Unreadable`.

    Args:
        function: A function; with `owner`, one whose first parameter is the instance.
        owner: The class in which the function stands; names in annotations may be of its namespace.
        names: Further names that annotations may use, such as those local to a function around the class.
    """
    origin = inspect.unwrap(function)
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if owner else 0 :]
    local = {**(names or {}), **_closure(origin)}
    if owner is not None:
        local.setdefault(owner.__name__, owner)

    def evaluate(annotation: Any) -> Any:
        return _evaluate(annotation, getattr(origin, "__globals__", {}), local, owner)

    return Signature(
        tuple(Argument(one.name, one.kind, evaluate(one.annotation), one.default) for one in parameters),
        evaluate(signature.return_annotation),
    )


def _closure(function: Callable[..., Any]) -> Mapping[str, Any]:
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    held = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=True):
        try:
            held[name] = cell.cell_contents
        except ValueError:  # the variable is not assigned yet
            continue
    return held


def _evaluate(annotation: Any, names: dict[str, Any], local: Mapping[str, Any], owner: type | None) -> Any:
    if annotation is ABSENT:
        return ABSENT
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        try:
            return get_type_hints(holder, names, dict(local), include_extras=True)["it"]
        except NameError:
            if owner is None:
                raise
            # A name that only the class body knows; last, or a method called `list` would hide the builtin.
            within = {**vars(owner), **local}
            return get_type_hints(holder, names, within, include_extras=True)["it"]
    except Exception as exc:  # noqa: BLE001 - evaluating an annotation runs the user's code
        text = annotation if isinstance(annotation, str) else repr(annotation)
        return Unreadable(text, f"{type(exc).__name__}: {exc}")
