"""A signature compiled to a plan: flat steps that fetch, convert and arrange the arguments of a call."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from typing_extensions import is_typeddict

from cortado.binding.body import BodyStep, json_step, raw_step
from cortado.binding.call import Call
from cortado.binding.converters import NotConvertible, adapter_for
from cortado.binding.errors import ParameterError, SignatureError
from cortado.binding.params import BodyValue, HeaderValue, Parameter, Path, Query
from cortado.binding.signature import ABSENT, Argument, Signature, Unreadable, read_signature
from cortado.binding.sources import REQUIRED, Step, finder, value_step
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
from cortado.container import NOT_READY, BeanResolver, Container, Qualifier
from cortado.exceptions import CortadoError
from cortado.problems import FieldError, RequestValidationError

__all__ = ["Arguments", "BindingPlan", "BodyRule", "BoundParameter", "compile_plan"]


class BodyRule(Enum):
    """What a function may know of a body."""

    NONE = "none"
    """There is no body: a handshake."""
    MARKED = "marked"
    """A body must be asked for with `Body[...]`: methods such as GET, where one is unusual."""
    IMPLIED = "implied"
    """One parameter that is plainly a document is the body."""


class Arguments(NamedTuple):
    """What a function is called with."""

    positional: Sequence[Any]
    keywords: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BoundParameter:
    """One parameter of a plan: where its value comes from and what it must be."""

    name: str
    """The parameter's name in the signature."""
    source: str
    """`path`, `query`, `header`, `cookie`, `body`, `context` or `bean`."""
    key: str
    """The name in the request."""
    annotation: Any
    """The type that values are converted to, pydantic's metadata included."""
    required: bool
    """Whether the client must send it."""
    description: str | None = None
    """What the value means."""


@dataclass(frozen=True, slots=True)
class _Binding:
    """One parameter with what was compiled for it: one of the three."""

    parameter: BoundParameter
    step: Step | None = None
    resolver: BeanResolver | None = None
    body: BodyStep | None = None


NO_KEYWORDS: Mapping[str, Any] = {}


class BindingPlan:
    """How the parameters of one function get their values; compiled once, used for every call.

    Attributes:
        parameters: Each parameter with its source, in the order of the signature.
        contexts: The types that a call's `context` must hold.
        needs_body: Whether a call must be able to read a body; `bind_now` never suffices then.
    """

    __slots__ = ("_beans", "_body", "_names", "_positional", "_steps", "contexts", "needs_body", "parameters")

    def __init__(self, bindings: Sequence[_Binding], keyword_only: Collection[str]) -> None:
        ordered = sorted(bindings, key=lambda one: one.parameter.name in keyword_only)
        self.parameters = tuple(one.parameter for one in bindings)
        self.contexts = frozenset(one.annotation for one in self.parameters if one.source == "context")
        self._steps = tuple(one.step or _nothing for one in ordered)
        self._beans = tuple((at, one.resolver) for at, one in enumerate(ordered) if one.resolver is not None)
        self._body = next(((at, one.body) for at, one in enumerate(ordered) if one.body is not None), None)
        self._names = tuple(one.parameter.name for one in ordered if one.parameter.name in keyword_only)
        self._positional = len(ordered) - len(self._names)
        self.needs_body = self._body is not None

    def bind_now(self, call: Call) -> Arguments | None:
        """Return the arguments, or None where something must be awaited: `bind` does that.

        Raises:
            RequestValidationError: Values are missing or invalid; all of them are named.
        """
        if self._body is not None:
            return None
        errors: list[FieldError] = []
        values = [step(call, errors) for step in self._steps]
        if errors:
            raise RequestValidationError(tuple(errors))
        for at, resolver in self._beans:
            bean = resolver.get_if_ready()
            if bean is NOT_READY:
                return None
            values[at] = bean
        return self._arranged(values)

    async def bind(self, call: Call) -> Arguments:
        """Return the arguments; reads the body and awaits beans that are not there yet.

        Raises:
            RequestValidationError: Values are missing or invalid; all of them are named, the body's among them.
            UnsupportedMediaType: The body isn't JSON by its media type.
            BadRequest: The body isn't JSON by its text.
        """
        errors: list[FieldError] = []
        values = [step(call, errors) for step in self._steps]
        if self._body is not None:
            at, take = self._body
            raw = b"" if call.read_body is None else await call.read_body()
            values[at] = take(call, raw, errors)
        if errors:
            raise RequestValidationError(tuple(errors))
        for at, resolver in self._beans:
            bean = resolver.get_if_ready()
            values[at] = await resolver.get() if bean is NOT_READY else bean
        return self._arranged(values)

    def _arranged(self, values: list[Any]) -> Arguments:
        if not self._names:
            return Arguments(values, NO_KEYWORDS)
        split = self._positional
        return Arguments(values[:split], dict(zip(self._names, values[split:], strict=True)))


def _nothing(_: Call, __: list[FieldError]) -> None:
    """Hold the place of a bean or a body, which are fetched after the steps."""


def compile_plan(
    function: Callable[..., Any],
    *,
    container: Container,
    owner: type | None = None,
    signature: Signature | None = None,
    path: Mapping[str, str] = NO_KEYWORDS,
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
    bindings: list[_Binding] = []
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

    def compile(self, argument: Argument) -> _Binding:
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

    def _provided(self, argument: Argument, annotation: Any) -> _Binding:
        return _Binding(
            BoundParameter(argument.name, "context", argument.name, annotation, required=False),
            step=lambda call, _: call.context[annotation],
        )

    def _bean(self, argument: Argument, declared: _Declared) -> _Binding:
        qualifier = next((one.value for one in declared.metadata if isinstance(one, Qualifier)), None)
        try:
            resolver = self._container.resolver(declared.annotation, qualifier)
        except CortadoError as exc:
            raise _NotBindable(f"can't be injected: {exc}") from exc
        parameter = BoundParameter(argument.name, "bean", argument.name, declared.annotation, required=False)
        return _Binding(parameter, resolver=resolver)

    def _from_head(self, argument: Argument, declared: _Declared, marker: Parameter) -> _Binding:
        key = marker.name_for(argument.name)
        if isinstance(marker, Path) and key not in self._path:
            known = ", ".join(self._path) or "none"
            raise _NotBindable(f"names no variable of the path (it has: {known}); add {{{key}}} to the path")
        many = isinstance(marker, Query | HeaderValue) and is_many(declared.annotation)
        _check_single(declared.annotation, marker, many=many)
        default = _default(argument, declared.annotation)
        adapter = _adapter(declared, marker)
        find = finder(marker.source, key, many=many)
        return _Binding(
            _described(argument, declared, marker, default),
            step=value_step(find, adapter, (marker.source, key), default),
        )

    def _from_body(self, argument: Argument, declared: _Declared, marker: BodyValue) -> _Binding:
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
        return _Binding(_described(argument, declared, marker, default), body=step)

    def _cure(self, argument: Argument) -> str:
        kind = spell(argument.annotation)
        if self._body is BodyRule.NONE:
            body = ""
        elif self._body_taken_by is not None:
            body = f" (the body is already taken by {self._body_taken_by!r})"
        else:
            body = f", Body[{kind}] for the body"
        return (
            f"can't be bound: {kind} is no path variable, no bean and nothing that the scope provides; "
            f"mark it, for example QueryParam[{kind}] for the query{body}, or register a bean of this type"
        )


def _check_readable(argument: Argument) -> None:
    if argument.collects:
        raise _NotBindable("collects what is left over, and nothing is; name each parameter")
    if argument.annotation is ABSENT:
        raise _NotBindable(
            f"has no annotation; write where it comes from, for example {argument.name}: QueryParam[str]"
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


def _adapter(declared: _Declared, marker: Parameter) -> Any:
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
