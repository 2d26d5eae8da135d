"""Reading annotations one by one, whatever form they were written in."""

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypeAliasType

from cortado.container.errors import AnnotationError
from cortado.container.forms import expanded, is_union, plain

__all__ = [
    "Names",
    "Parameter",
    "UnresolvedName",
    "behind",
    "constructor_parameters",
    "enclosing_names",
    "function_parameters",
    "is_settings",
    "return_type",
]

LOCAL = ".<locals>."
OPEN_ENDED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
GENERATORS = ("Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")

Names = Mapping[str, tuple[type, ...]]
"""The registered classes by name: what an annotation may mean although its module doesn't import the name."""


class UnresolvedName:
    """Stands for an annotation that can't be read; only a default can save its parameter."""

    def __init__(self, error: AnnotationError) -> None:
        self.error = error


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that has to be supplied."""

    name: str
    annotation: Any
    default: Any
    keyword: bool

    @property
    def required(self) -> bool:
        """Whether a call without it would fail."""
        return self.default is inspect.Parameter.empty


def behind(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function or class that a `functools.partial` calls; anything else as it is."""
    return factory.func if isinstance(factory, functools.partial) else factory


def enclosing_names(target: Any) -> dict[str, Any]:
    """Return the types, type aliases and modules that are local to the functions now running around a definition.

    Empty for what is defined at the top of a module.
    """
    found: dict[str, Any] = {}
    enclosing = target.__qualname__
    while LOCAL in enclosing:
        enclosing = enclosing.rpartition(LOCAL)[0]
        for name, value in _locals_of(enclosing, target.__module__).items():
            if _names_a_type(value):
                found.setdefault(name, value)
    return found


def constructor_parameters(cls: type, names: Mapping[str, Any], registered: Names) -> tuple[Parameter, ...]:
    """Return what has to be supplied to create an instance of a class.

    Raises:
        AnnotationError: A required parameter's annotation can't be read.
    """
    function, given = _constructor(cls)
    if function is None:
        return ()
    owner = f"{cls.__module__}.{cls.__qualname__}"
    return _read(given, _Scope(owner, cls.__mro__, function, names, registered))


def function_parameters(
    function: Callable[..., Any], names: Mapping[str, Any], registered: Names, *, method: bool
) -> tuple[Parameter, ...]:
    """Return what has to be supplied to call a function; the first parameter of a method is left out.

    So is what a `functools.partial` has supplied already.

    Raises:
        AnnotationError: A required parameter's annotation can't be read.
    """
    supplied = function.keywords if isinstance(function, functools.partial) else ()
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name not in supplied]
    return _read(parameters[method:], _function_scope(behind(function), names, registered))


def is_settings(given: object) -> bool:
    """Whether something is a class of pydantic-settings, whose parameters are never beans."""
    return isinstance(given, type) and any(
        base.__name__ == "BaseSettings" and base.__module__.startswith("pydantic") for base in given.__mro__
    )


def return_type(
    function: Callable[..., Any], names: Mapping[str, Any], registered: Names, *, yields: bool
) -> Any:
    """Return the type of what a function returns, or yields; for a `partial` of a class, the class.

    Raises:
        AnnotationError: The annotation is missing, can't be read, or says nothing.
    """
    called = behind(function)
    if isinstance(called, type):
        return called
    scope = _function_scope(called, names, registered)
    where = f"return value of {scope.owner}"
    annotation = inspect.signature(function).return_annotation
    if annotation is inspect.Signature.empty:
        raise AnnotationError(where, "has no annotation", "say which type the bean is of")
    found = scope.evaluate(annotation, "return", where)
    if isinstance(found, UnresolvedName):
        raise found.error
    if yields:
        found = _yielded(plain(found), where)
    found = _without_none(found)
    if is_union(found):
        raise AnnotationError(
            where, f"{found} leaves open which of several types the bean is of", "say one of them"
        )
    if found in (Any, None, type(None), object):
        raise AnnotationError(
            where, f"{annotation!r} says nothing about the bean", "say which type the bean is of"
        )
    return found


class _Scope:
    """The names that an annotation may use."""

    def __init__(
        self,
        owner: str,
        classes: tuple[type, ...],
        function: Callable[..., Any],
        names: Mapping[str, Any],
        registered: Names,
    ) -> None:
        self.owner = owner
        self._classes = classes
        self._function = function
        self._generated = bool(classes) and _is_generated(function)
        home = next((one for one in classes if _defines(one, function)), None)
        self._parameters = {**_type_parameters(home), **_type_parameters(function)}
        self._names = names
        self._registered = registered

    def evaluate(self, annotation: Any, name: str, where: str) -> Any:
        """Return what an annotation means, or `UnresolvedName`."""
        if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
            return annotation
        namespace, parameters = _globals(self._function), self._parameters
        home = self._home_of_field(name) if self._generated else None
        if home is not None:
            namespace, parameters = _module(home), _type_parameters(home)
        if isinstance(annotation, str) and annotation not in parameters:  # most are the name of a class
            known = self._names.get(annotation, namespace.get(annotation))
            if isinstance(known, type) and not isinstance(known, types.GenericAlias):
                return known
        local = {**self._names, **parameters}
        while True:
            try:
                return _evaluate(annotation, namespace, local)
            except NameError as error:
                name = error.name or ""
                meant = self._meaning(name, local)
                if meant is None:
                    return self._unreadable(where, annotation, error)
                local[name] = meant
            except Exception as error:  # noqa: BLE001 - an annotation may be any expression
                return self._unreadable(where, annotation, error)

    def _home_of_field(self, parameter: str) -> type | None:
        """Return the class that the field behind a parameter is annotated in."""
        for cls in self._classes:
            if _field(cls, parameter) in inspect.get_annotations(cls):
                return cls
        return None

    def _meaning(self, name: str, tried: Mapping[str, Any]) -> Any:
        if name in tried:
            return None
        for cls in self._classes:
            if name in vars(cls):
                return vars(cls)[name]
        known = self._registered.get(name, ())
        return known[0] if len(known) == 1 else None

    @staticmethod
    def _unreadable(where: str, annotation: Any, error: Exception) -> UnresolvedName:
        problem = AnnotationError(
            where,
            f"annotation {annotation!r} can't be read: {error}",
            "import the name at run time, or register the class that it means",
        )
        problem.__cause__ = error
        return UnresolvedName(problem)


def _read(given: typing.Iterable[inspect.Parameter], scope: _Scope) -> tuple[Parameter, ...]:
    return tuple(_parameters(given, scope))


def _parameters(given: typing.Iterable[inspect.Parameter], scope: _Scope) -> Iterator[Parameter]:
    for one in given:
        if one.kind in OPEN_ENDED:
            continue
        where = f"parameter {one.name!r} of {scope.owner}"
        required = one.default is inspect.Parameter.empty
        found = one.annotation
        if found is inspect.Parameter.empty and required:
            raise AnnotationError(
                where, "has neither an annotation nor a default", "annotate it with a bean's type"
            )
        if found is not inspect.Parameter.empty:
            found = scope.evaluate(found, one.name, where)
        if isinstance(found, dataclasses.InitVar):
            found = scope.evaluate(found.type, one.name, where)
        if isinstance(found, UnresolvedName) and required:
            raise found.error
        yield Parameter(one.name, found, one.default, one.kind is inspect.Parameter.KEYWORD_ONLY)


def _function_scope(function: Callable[..., Any], names: Mapping[str, Any], registered: Names) -> _Scope:
    owner = f"{function.__module__}.{function.__qualname__}"
    if isinstance(function, type):
        return _Scope(owner, function.__mro__, _constructor(function)[0] or function, names, registered)
    return _Scope(owner, (), function, names, registered)


def _evaluate(annotation: Any, namespace: dict[str, Any], local: dict[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    meant = typing.get_type_hints(holder, namespace, local, include_extras=True)["it"]
    expanded(meant)  # so that an alias that can't be read is found here
    return meant


def _constructor(cls: type) -> tuple[Callable[..., Any] | None, Sequence[inspect.Parameter]]:
    """Return the function that decides what a class is called with, and its parameters but the first."""
    for base in cls.__mro__:
        if "__pydantic_validator__" in vars(base):
            return _function(cls.__init__), list(inspect.signature(base).parameters.values())  # type: ignore[misc]
        if "__init__" in vars(base):
            break
    called = [
        _function(one)
        for one, inherited in (
            (type(cls).__call__, type.__call__),
            (cls.__init__, object.__init__),  # type: ignore[misc]  # only compared, and read
            (cls.__new__, object.__new__),
        )
        if one is not inherited
    ]
    read = [(one, _parameters_after_first(one)) for one in called]
    telling = [(one, given) for one, given in read if any(each.kind not in OPEN_ENDED for each in given)]
    return telling[0] if telling else (None, ())


def _parameters_after_first(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())[1:]
    except ValueError:  # some of those written in C tell nothing
        return []


def _function(given: Any) -> Callable[..., Any]:
    return typing.cast(Callable[..., Any], given)


def _defines(cls: type, function: Callable[..., Any]) -> bool:
    member = vars(cls).get(getattr(function, "__name__", ""))
    return member is function or (isinstance(member, staticmethod) and member.__func__ is function)


def _is_generated(function: Callable[..., Any]) -> bool:
    """Whether somebody else has written the function, so that its module isn't the one of its annotations."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (function.__module__ or "").startswith("pydantic.") or (
        code is not None and code.co_filename.startswith("<")
    )


def _field(cls: type, parameter: str) -> str:
    """Return the name of the field that a parameter sets, which attrs may call otherwise."""
    fields = getattr(cls, "__attrs_attrs__", ())
    return next((one.name for one in fields if one.alias == parameter), parameter)


def _type_parameters(owner: Any) -> dict[str, Any]:
    return {one.__name__: one for one in getattr(owner, "__type_params__", ())}


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    return getattr(inspect.unwrap(function), "__globals__", {})


def _module(cls: type) -> dict[str, Any]:
    return vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}


def _locals_of(qualname: str, module: str) -> Mapping[str, Any]:
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_qualname == qualname and frame.f_globals.get("__name__") == module:
            return frame.f_locals
        frame = frame.f_back
    return {}


def _names_a_type(value: Any) -> bool:
    if isinstance(value, type | types.ModuleType | types.GenericAlias | types.UnionType | TypeAliasType):
        return True
    return type(value).__module__ == "typing"


def _yielded(annotation: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if getattr(origin, "__name__", None) not in GENERATORS or not arguments:
        raise AnnotationError(
            where,
            f"a generator can't return {annotation!r}",
            "annotate it with Iterator[T] or AsyncIterator[T]",
        )
    return arguments[0]


def _without_none(annotation: Any) -> Any:
    given = plain(annotation)
    if not is_union(given):
        return given
    rest = [one for one in typing.get_args(given) if one is not type(None)]
    return plain(rest[0]) if len(rest) == 1 else given
