"""Reading annotations one by one, whatever form they were written in."""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypeAliasType

from cortado.container.errors import AnnotationError

__all__ = [
    "Names",
    "Parameter",
    "UnresolvedName",
    "constructor_parameters",
    "enclosing_names",
    "function_parameters",
    "is_settings",
    "return_type",
]

LOCAL = ".<locals>."
GENERATORS = ("Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")

Names = Mapping[str, tuple[type, ...]]
"""The registered classes by name: what an annotation may mean although its module doesn't import the name."""


class UnresolvedName:
    """Stands for an annotation with a name that means nothing here; only a default can save its parameter."""

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
    if "__pydantic_validator__" in vars(cls):
        return _read(
            inspect.signature(cls).parameters.values(), _Scope(cls.__qualname__, [cls], {}, names, registered)
        )
    function = _constructor(cls)
    if function is None:
        return ()
    scope = _Scope(
        f"{cls.__module__}.{cls.__qualname__}", list(cls.__mro__), _globals(function), names, registered
    )
    scope.generated = _is_generated(function)
    return _read(list(inspect.signature(function).parameters.values())[1:], scope)


def function_parameters(
    function: Callable[..., Any], names: Mapping[str, Any], registered: Names, *, method: bool
) -> tuple[Parameter, ...]:
    """Return what has to be supplied to call a function; the first parameter of a method is left out.

    Raises:
        AnnotationError: A required parameter's annotation can't be read.
    """
    parameters = list(inspect.signature(function).parameters.values())
    return _read(parameters[method:], _function_scope(function, names, registered))


def is_settings(given: object) -> bool:
    """Whether something is a class of pydantic-settings, whose parameters are never beans."""
    return isinstance(given, type) and any(
        base.__name__ == "BaseSettings" and base.__module__.startswith("pydantic") for base in given.__mro__
    )


def return_type(
    function: Callable[..., Any], names: Mapping[str, Any], registered: Names, *, yields: bool
) -> Any:
    """Return the type of what a function returns, or yields.

    Raises:
        AnnotationError: The annotation is missing, can't be read, or says nothing.
    """
    scope = _function_scope(function, names, registered)
    where = f"return value of {scope.owner}"
    annotation = inspect.signature(function).return_annotation
    if annotation is inspect.Signature.empty:
        raise AnnotationError(where, "has no annotation", "say which type the bean is of")
    found = scope.evaluate(annotation, "return", where)
    if isinstance(found, UnresolvedName):
        raise found.error
    if yields:
        found = _yielded(found, where)
    found = _without_none(found)
    if found in (Any, None, type(None), object):
        raise AnnotationError(
            where, f"{annotation!r} says nothing about the bean", "say which type the bean is of"
        )
    return found


class _Scope:
    """The names that an annotation may use."""

    generated = False

    def __init__(
        self,
        owner: str,
        classes: list[type],
        namespace: dict[str, Any],
        names: Mapping[str, Any],
        registered: Names,
    ) -> None:
        self.owner = owner
        self._classes = classes
        self._globals = namespace
        self._names = names
        self._registered = registered

    def evaluate(self, annotation: Any, name: str, where: str) -> Any:
        """Return what an annotation means, or `UnresolvedName`."""
        if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
            return annotation
        namespace = self._module_of(name) if self.generated else self._globals
        if isinstance(annotation, str):  # most are the name of a class, and evaluating takes time
            known = self._names.get(annotation, namespace.get(annotation))
            if isinstance(known, type) and not isinstance(known, types.GenericAlias):
                return known
        local = dict(self._names)
        while True:
            try:
                return _evaluate(annotation, namespace, local)
            except NameError as error:
                name = error.name or ""
                meant = self._meaning(name, local)
                if meant is None:
                    return UnresolvedName(self._unreadable(where, annotation, error))
                local[name] = meant
            except Exception as error:
                raise self._unreadable(where, annotation, error) from error

    def _module_of(self, name: str) -> dict[str, Any]:
        for cls in self._classes:
            if name in inspect.get_annotations(cls):
                return vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
        return self._globals

    def _meaning(self, name: str, tried: Mapping[str, Any]) -> Any:
        if name in tried:
            return None
        for cls in self._classes:
            if name in vars(cls):
                return vars(cls)[name]
        known = self._registered.get(name, ())
        return known[0] if len(known) == 1 else None

    @staticmethod
    def _unreadable(where: str, annotation: Any, error: Exception) -> AnnotationError:
        return AnnotationError(
            where,
            f"annotation {annotation!r} can't be read: {error}",
            "import the name at run time, or register the class that it means",
        )


def _read(given: typing.Iterable[inspect.Parameter], scope: _Scope) -> tuple[Parameter, ...]:
    return tuple(_parameters(given, scope))


def _parameters(given: typing.Iterable[inspect.Parameter], scope: _Scope) -> Iterator[Parameter]:
    for one in given:
        if one.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
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
        if isinstance(found, UnresolvedName) and required:
            raise found.error
        yield Parameter(one.name, found, one.default, one.kind is inspect.Parameter.KEYWORD_ONLY)


def _function_scope(function: Callable[..., Any], names: Mapping[str, Any], registered: Names) -> _Scope:
    owner = f"{function.__module__}.{function.__qualname__}"
    return _Scope(owner, [], _globals(function), names, registered)


def _evaluate(annotation: Any, namespace: dict[str, Any], local: dict[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(holder, namespace, local, include_extras=True)["it"]


def _constructor(cls: type) -> Callable[..., Any] | None:
    if cls.__init__ is not object.__init__:  # type: ignore[misc]  # only compared
        return typing.cast(Callable[..., Any], cls.__init__)  # type: ignore[misc]
    maker: Callable[..., Any] = cls.__new__
    return None if maker is object.__new__ else maker


def _is_generated(function: Callable[..., Any]) -> bool:
    """Whether a decorator has written the function, so that its module isn't the one of its annotations."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and code.co_filename.startswith("<")


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    return getattr(inspect.unwrap(function), "__globals__", {})


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
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    rest = [one for one in typing.get_args(annotation) if one is not type(None)]
    return rest[0] if len(rest) == 1 else annotation
