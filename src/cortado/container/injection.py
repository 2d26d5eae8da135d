"""What one parameter asks for, read from its annotation."""

import enum
import inspect
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar, Union

from cortado.container.annotations import Parameter, UnresolvedName
from cortado.container.errors import AnnotationError
from cortado.container.forms import is_union, plain, unaliased
from cortado.container.markers import Lazy, Qualifier, Value

__all__ = ["InjectionPoint", "Shape", "allows_none", "read_injection_point", "read_value"]


LAZY_INSIDE = ("a collection can't hold each bean as a Lazy", "ask for a Lazy of the collection")
VALUE_INSIDE = ("a Value inside of a collection or a Lazy means nothing", "put it around the outermost type")


class Shape(enum.Enum):
    """In what form beans are handed over."""

    ONE = "one"
    LIST = "list"
    TUPLE = "tuple"
    DICT = "dict"


@dataclass(frozen=True, slots=True)
class InjectionPoint:
    """What one parameter asks for."""

    parameter: Parameter
    type: Any
    """The type of the bean, or of each bean."""
    whole: Any
    """The annotation without wrappers: `list[T]` for a list, else the same as `type`."""
    shape: Shape = Shape.ONE
    qualifier: str | None = None
    optional: bool = False
    """Whether None does where no bean is registered."""
    lazy: bool = False
    empty_lazy: bool = False
    """Whether a `Lazy` of None does where no bean is registered."""
    misplaced: tuple[str, str] | None = None
    """What is wrong with what stands inside of a collection or a `Lazy`, and the cure."""

    def __str__(self) -> str:
        return f"{name_of(self.type)}" + (
            "" if self.qualifier is None else f" with qualifier {self.qualifier!r}"
        )


def read_injection_point(parameter: Parameter, where: str) -> InjectionPoint | None:
    """Return what a parameter asks for, or None where it asks for nothing and has a default.

    Raises:
        AnnotationError: No bean can satisfy it, and it has no default.
    """
    if isinstance(parameter.annotation, UnresolvedName) or parameter.annotation is inspect.Parameter.empty:
        return None
    point = InjectionPoint(parameter, parameter.annotation, parameter.annotation)
    if type(parameter.annotation) is type and parameter.annotation is not Lazy:
        return point  # most are
    point = _shaped(_unwrap(point))
    useless = _useless(point.type) if point.shape is Shape.ONE else None
    wrong = (
        point.misplaced
        if useless is None
        else (useless, "annotate it with one bean's type, or give it a default")
    )
    if wrong is None:
        return point
    if not parameter.required:
        return None
    raise AnnotationError(where, *wrong)


def read_value(annotation: Any) -> Value | None:
    """Return which property an annotation asks for, or None where it asks for a bean."""
    if type(annotation) is type:
        return None
    annotation = unaliased(annotation)
    arguments = typing.get_args(annotation)
    if is_union(annotation):
        return next((found for one in arguments if (found := read_value(one)) is not None), None)
    if typing.get_origin(annotation) is not Annotated:
        return None
    return next((one for one in arguments[1:] if isinstance(one, Value)), None) or read_value(arguments[0])


def allows_none(annotation: Any) -> bool:
    """Whether None is of a type."""
    annotation = plain(annotation)
    return is_union(annotation) and type(None) in typing.get_args(annotation)


def name_of(annotation: Any) -> str:
    """Return a type as one would write it."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__qualname__.rpartition(".<locals>.")[2]
    arguments = typing.get_args(annotation)
    if arguments and typing.get_origin(annotation) is not None:
        return f"{name_of(typing.get_origin(annotation))}[{', '.join(name_of(one) for one in arguments)}]"
    return getattr(annotation, "__name__", None) or repr(annotation)


def _unwrap(point: InjectionPoint) -> InjectionPoint:
    annotation = point.whole
    while True:
        annotation = unaliased(annotation)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is Annotated:
            annotation = arguments[0]
            point = _annotated(point, arguments[1:])
        elif is_union(annotation) and type(None) in arguments:
            annotation = Union[tuple(one for one in arguments if one is not type(None))]  # noqa: UP007 - computed
            point = replace(point, empty_lazy=True) if point.lazy else replace(point, optional=True)
        elif origin is Lazy:
            annotation = arguments[0]
            point = replace(point, lazy=True)
        else:
            return point if annotation is point.type else replace(point, type=annotation, whole=annotation)


def _annotated(point: InjectionPoint, metadata: tuple[Any, ...]) -> InjectionPoint:
    for one in metadata:
        if isinstance(one, Qualifier):
            return replace(point, qualifier=one.value)
        if isinstance(one, Value):
            return replace(point, misplaced=VALUE_INSIDE)
    return point


def _shaped(point: InjectionPoint) -> InjectionPoint:
    origin, arguments = typing.get_origin(point.whole), typing.get_args(point.whole)
    if origin is list:
        return _each(point, Shape.LIST, arguments[0])
    if origin is Sequence or (origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis):
        return _each(point, Shape.TUPLE, arguments[0])
    if origin in (dict, Mapping) and arguments[0] is str:
        return _each(point, Shape.DICT, arguments[1])
    return point


def _each(point: InjectionPoint, shape: Shape, element: Any) -> InjectionPoint:
    inner = _unwrap(replace(point, whole=element, lazy=False))
    return replace(
        inner,
        whole=point.whole,
        shape=shape,
        optional=point.optional,
        lazy=point.lazy,
        empty_lazy=point.empty_lazy,
        misplaced=LAZY_INSIDE if inner.lazy else inner.misplaced,
    )


def _useless(annotation: Any) -> str | None:
    if annotation is Any:
        return "Any says nothing about the bean"
    if isinstance(annotation, TypeVar):
        return f"nothing says which type {annotation.__name__} stands for"
    if annotation is Lazy:
        return "Lazy doesn't say of what"
    if is_union(annotation):
        return f"{annotation} leaves open which of several types is meant"
    return None
