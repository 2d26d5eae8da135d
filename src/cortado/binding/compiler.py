"""A signature to a binding plan: where each parameter comes from, or why it can't be bound, and the cure."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from cortado.binding.body import json_step, raw_step
from cortado.binding.converters import NotConvertible, adapter_for
from cortado.binding.errors import ParameterError, SignatureError
from cortado.binding.params import BodyValue, HeaderValue, Parameter, Path, Query
from cortado.binding.plan import Binding, BindingPlan, BoundParameter
from cortado.binding.signature import ABSENT, Argument, Signature, Unreadable, read_signature
from cortado.binding.sources import REQUIRED, finder, value_step
from cortado.binding.types import (
    accepts_none,
    bare,
    describes_body,
    is_many,
    is_mapping,
    members_of,
    spell,
    word_choice,
)
from cortado.container import Container, Qualifier
from cortado.exceptions import CortadoError

__all__ = ["BodyRule", "compile_plan"]

NO_VARIABLES: Mapping[str, str] = {}


class BodyRule(Enum):
    """What a function may know of a body."""

    NONE = "none"
    """There is no body: a handshake."""
    MARKED = "marked"
    """A body must be asked for with `Body[...]`: methods such as GET, where one is unusual."""
    IMPLIED = "implied"
    """One parameter that is plainly a document is the body."""


def compile_plan(
    function: Callable[..., Any],
    *,
    container: Container,
    owner: type | None = None,
    signature: Signature | None = None,
    path: Mapping[str, str] = NO_VARIABLES,
    context: Collection[Any] = (),
    body: BodyRule = BodyRule.NONE,
) -> BindingPlan:
    """Compile the signature of a function.

    Args:
        function: The function; a method as it stands in its class, when `owner` is given.
        container: Provides beans by type.
        owner: The class of the method.
        signature: The signature, where it was read before.
        path: The variables of the path, each with its convertor.
        context: What the scope provides itself, as annotated.
        body: What the function may know of a body.

    Raises:
        SignatureError: Parameters are un-annotated or can't be bound; all of them are named.
    """
    where = (
        function.__qualname__
        if owner is None
        else f"{owner.__module__}.{owner.__qualname__}.{function.__name__}"
    )
    read = signature or read_signature(function, owner)
    compiler = _Compiler(container, path, frozenset(context), body)
    bindings: list[Binding] = []
    problems: list[ParameterError] = []
    for argument in read.arguments:
        try:
            bindings.append(compiler.compile(argument))
        except _NotBindable as exc:
            problems.append(ParameterError(where, argument.name, str(exc)))
    if problems:
        raise SignatureError(problems)
    return BindingPlan(bindings, [one.name for one in read.arguments if one.by_keyword])


class _NotBindable(Exception):
    """Why a parameter can't be bound, and the cure; follows `parameter 'x' of f`."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """An annotation taken apart."""

    annotation: Any
    marker: Parameter | None
    metadata: tuple[object, ...]


class _Compiler:
    """Compiles one signature; knows whether the body is already taken."""

    def __init__(
        self, container: Container, path: Mapping[str, str], context: frozenset[Any], body: BodyRule
    ) -> None:
        self._container = container
        self._path = path
        self._context = context
        self._body = body
        self._body_taken_by: str | None = None

    def compile(self, argument: Argument) -> Binding:
        """Return the binding of one parameter, or raise `_NotBindable`."""
        _check_readable(argument)
        annotation = argument.annotation
        if self._is_provided(annotation):
            return self._provided(argument, annotation)
        declared = _take_apart(annotation)
        if isinstance(declared.marker, BodyValue):
            return self._from_body(argument, declared, declared.marker)
        if declared.marker is not None:
            return self._from_head(argument, declared, declared.marker)
        if argument.name in self._path:
            return self._from_head(argument, declared, Path())
        if self._is_bean(declared.annotation):
            return self._bean(argument, declared)
        if self._body is BodyRule.IMPLIED and describes_body(annotation):
            return self._from_body(argument, declared, BodyValue())
        raise _NotBindable(self._cure(argument))

    def _is_provided(self, annotation: Any) -> bool:
        return any(annotation is one or annotation == one for one in self._context)

    def _is_bean(self, annotation: Any) -> bool:
        kind = get_origin(annotation) or annotation
        return (
            isinstance(kind, type) and not is_typeddict(kind) and bool(self._container.candidates(annotation))
        )

    def _provided(self, argument: Argument, annotation: Any) -> Binding:
        return Binding(
            BoundParameter(argument.name, "context", argument.name, annotation, required=False),
            step=lambda call, _: call.context[annotation],
        )

    def _bean(self, argument: Argument, declared: _Declared) -> Binding:
        qualifier = next((one.value for one in declared.metadata if isinstance(one, Qualifier)), None)
        try:
            resolver = self._container.resolver(declared.annotation, qualifier)
        except CortadoError as exc:
            raise _NotBindable(f"can't be injected: {exc}") from exc
        parameter = BoundParameter(argument.name, "bean", argument.name, declared.annotation, required=False)
        return Binding(parameter, resolver=resolver)

    def _from_head(self, argument: Argument, declared: _Declared, marker: Parameter) -> Binding:
        key = marker.name_for(argument.name)
        if isinstance(marker, Path) and key not in self._path:
            known = ", ".join(self._path) or "none"
            raise _NotBindable(f"names no variable of the path (it has: {known}); add {{{key}}} to the path")
        many = isinstance(marker, Query | HeaderValue) and is_many(declared.annotation)
        _check_single(declared.annotation, marker, many=many)
        default = _default(argument, declared.annotation)
        adapter = _adapter(declared, marker)
        find = finder(marker.source, key, many=many)
        return Binding(
            _described(argument, declared, marker, default),
            step=value_step(find, adapter, (marker.source, key), default),
        )

    def _from_body(self, argument: Argument, declared: _Declared, marker: BodyValue) -> Binding:
        if self._body is BodyRule.NONE:
            raise _NotBindable(
                "asks for a body, but a WebSocket handshake has none; receive a message instead"
            )
        if self._body_taken_by is not None:
            raise _NotBindable(
                f"asks for the body, which {self._body_taken_by!r} already takes; "
                "make one model of both, or mark this one QueryParam[...]"
            )
        self._body_taken_by = argument.name
        default = _default(argument, declared.annotation)
        raw = bare(declared.annotation) in {bytes, bytearray, memoryview}
        step = (raw_step if raw else json_step)(_adapter(declared, marker), default)
        return Binding(_described(argument, declared, marker, default), body=step)

    def _cure(self, argument: Argument) -> str:
        kind = spell(argument.annotation)
        if self._body is BodyRule.NONE:
            body = ""
        elif self._body_taken_by is not None:
            body = f" (the body is already taken by {self._body_taken_by!r})"
        else:
            body = f", Body[{kind}] for the body"
        given = ", ".join(sorted(spell(one) for one in self._context))
        provided = f"nothing that is given here ({given})" if given else "nothing that is given here"
        return (
            f"can't be bound: {kind} is no path variable, no bean and {provided}; "
            f"mark it, for example QueryParam[{kind}] for the query{body}, or register a bean of this type"
        )


def _check_readable(argument: Argument) -> None:
    if argument.collects:
        raise _NotBindable("collects what is left over, and nothing is; name each parameter")
    if argument.annotation is ABSENT:
        raise _NotBindable(
            f"has no annotation; write its type, such as that of the session or of a bean, or where it comes from, "
            f"for example {argument.name}: QueryParam[str]"
        )
    if isinstance(argument.annotation, Unreadable):
        raise _NotBindable(
            f"has an annotation that can't be evaluated, {argument.annotation.text!r} ({argument.annotation.reason}); "
            "import the name at run time, at module level"
        )


def _check_single(annotation: Any, marker: Parameter, *, many: bool) -> None:
    if (is_many(annotation) and not many) or is_mapping(annotation) or describes_body(annotation):
        raise _NotBindable(
            f"is {spell(annotation)}, but a value of the {marker.source} is a single text"
            + ("" if many or isinstance(marker, Path) else ", or a list of them")
            + "; name a simple type"
        )


def _take_apart(annotation: Any) -> _Declared:
    """Find the marker, also in `QueryParam[int] | None` and `QueryParam[Annotated[int, Query(ge=1)]]`."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        markers = [one for one in metadata if isinstance(one, Parameter)]
        if len({type(one) for one in markers}) > 1:
            raise _NotBindable("has markers of several sources; a value comes from one place")
        others = tuple(one for one in metadata if not isinstance(one, Parameter))
        return _Declared(inner, markers[0] if markers else None, others)
    parts = members_of(annotation)
    members = [_take_apart(part) for part in parts] if len(parts) > 1 else []
    marked = [member for member in members if member.marker is not None]
    if not marked:
        return _Declared(annotation, None, ())
    if len(marked) > 1 or len(members) != 2 or not accepts_none(annotation):
        raise _NotBindable(f"has a marker inside of {spell(annotation)}; put the whole type into the marker")
    found = marked[0]
    return _Declared(found.annotation | None, found.marker, found.metadata)


def _default(argument: Argument, annotation: Any) -> Any:
    if argument.default is not ABSENT:
        return argument.default
    return None if accepts_none(annotation) else REQUIRED


def _adapter(declared: _Declared, marker: Parameter) -> TypeAdapter[Any]:
    stated = (word_choice(declared.annotation), marker.constraints())
    metadata = (*declared.metadata, *(one for one in stated if one is not None))
    try:
        return adapter_for(declared.annotation, metadata)
    except NotConvertible as exc:
        raise _NotBindable(
            f"is {spell(declared.annotation)}, which pydantic can't make of a request: {exc}"
        ) from exc


def _described(argument: Argument, declared: _Declared, marker: Parameter, default: Any) -> BoundParameter:
    return BoundParameter(
        argument.name,
        marker.source,
        marker.name_for(argument.name) if not isinstance(marker, BodyValue) else "",
        declared.annotation,
        required=default is REQUIRED,
        description=marker.description,
    )
