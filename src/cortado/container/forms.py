"""One form for types that can be written in several: aliases, `Annotated`, the names of `typing`."""

import collections.abc
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union

import typing_extensions

__all__ = ["expanded", "is_union", "plain", "substituted", "unaliased"]

ALIASES = (typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType))
"""The class of aliases made with `type`, and that of those made by hand, which may be another."""

AS_WRITTEN = (Literal, collections.abc.Callable)


def unaliased(annotation: Any) -> Any:
    """Return what an alias stands for, whatever that is, or the same annotation where it is none.

    Raises:
        NameError: The alias uses a name that isn't there at run time.
    """
    while type(annotation) is not type:
        origin = typing.get_origin(annotation)
        if isinstance(origin, ALIASES):
            variables = dict(zip(origin.__type_params__, typing.get_args(annotation), strict=False))
            annotation = substituted(origin.__value__, variables)
        elif isinstance(annotation, ALIASES):
            annotation = annotation.__value__
        else:
            break
    return annotation


def plain(annotation: Any) -> Any:
    """Return what an annotation is of, without the aliases and the `Annotated` around it.

    Raises:
        NameError: An alias uses a name that isn't there at run time.
    """
    while True:
        before = annotation
        annotation = unaliased(annotation)
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        if annotation is before:
            return annotation


def expanded(annotation: Any, within: tuple[Any, ...] = ()) -> Any:
    """Return a type as `plain` does, and its arguments too; an alias inside of itself stays.

    Raises:
        NameError: An alias uses a name that isn't there at run time.
    """
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    if annotation in within:
        return annotation
    within = (*within, annotation)
    annotation = plain(annotation)
    origin: Any = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is None or origin in AS_WRITTEN:
        return annotation
    given = tuple(expanded(one, within) for one in arguments)
    if is_union(annotation):
        return Union[given]  # noqa: UP007 - computed
    if isinstance(annotation, types.GenericAlias) and given == arguments:
        return annotation
    return origin[given] if hasattr(origin, "__class_getitem__") else annotation


def is_union(annotation: Any) -> bool:
    """Whether a type is a union, however it is written."""
    return typing.get_origin(annotation) in (Union, types.UnionType)


def substituted(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    """Return a type with its type variables replaced by what is known of them."""
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, annotation)
    variables: Sequence[Any] = getattr(annotation, "__parameters__", ())
    if isinstance(annotation, type) or not any(one in bound for one in variables):
        return annotation
    return annotation[tuple(bound.get(one, one) for one in variables)]
