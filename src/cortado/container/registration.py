"""From what a user hands over to bean definitions."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from typing_extensions import is_protocol

from cortado.container.annotations import Names, behind, enclosing_names, return_type
from cortado.container.conditions import Condition
from cortado.container.definitions import BeanDefinition, FactoryKind, Options, Scope, Stereotype
from cortado.container.errors import BeanDefinitionError
from cortado.container.stereotypes import BeanMark, Mark
from cortado.exceptions import ConfigurationError
from cortado.metadata import own_record, records_of

__all__ = [
    "bean_methods",
    "conditions_of",
    "define_class",
    "define_factory",
    "define_given",
    "define_instance",
    "factory_kind",
    "flaws",
    "location_of",
    "stereotype_of",
]


def define_class(cls: type, options: Options) -> BeanDefinition:
    """Return the definition of a class; options given here win over its decorators."""
    mark = _merged(cls)
    options = mark.options.merged(options)
    return _definition(
        options,
        name=options.name or snake_case(cls.__name__),
        type=cls if options.as_type is None else options.as_type,
        kind=FactoryKind.CLASS,
        factory=cls,
        location=location_of(cls),
        stereotype=mark.stereotype,
        names={**mark.names, **enclosing_names(cls)},
    )


def define_factory(
    function: Callable[..., Any], options: Options, registered: Names, owner: str | None = None
) -> BeanDefinition:
    """Return the definition of what a function makes.

    Raises:
        AnnotationError: Its return annotation doesn't say what that is.
    """
    plain = behind(function)
    mark = _merged(plain)
    options = mark.options.merged(options)
    names = {**mark.names, **enclosing_names(plain)}
    kind = factory_kind(function)
    made = options.as_type
    if made is None:
        made = return_type(function, names, registered, yields=kind.yields)
    return _definition(
        options,
        name=options.name or (snake_case(plain.__name__) if isinstance(plain, type) else plain.__name__),
        type=made,
        kind=kind,
        factory=function,
        location=location_of(plain),
        stereotype=stereotype_of(made),
        names=names,
        owner=owner,
    )


def define_instance(instance: object, as_type: Any = None, name: str | None = None) -> BeanDefinition:
    """Return the definition of an object that exists already; it is never destroyed by the container."""
    cls = type(instance)
    return _definition(
        Options(),
        name=name or snake_case(getattr(as_type, "__name__", cls.__name__)),
        type=cls if as_type is None else as_type,
        kind=FactoryKind.INSTANCE,
        factory=lambda: instance,
        location=location_of(cls),
        stereotype=stereotype_of(cls),
    )


def define_given(type: type, scope: str) -> BeanDefinition:
    """Return the definition of an object that each scope of a kind is given; its name is no bean's."""
    return _definition(
        Options(scope=scope),
        name=f"given {location_of(type)}",
        type=type,
        kind=FactoryKind.GIVEN,
        factory=type,
        location=location_of(type),
    )


def conditions_of(function: Callable[..., Any], options: Options) -> tuple[Condition, ...]:
    """Return the conditions of what a function makes."""
    return _merged(behind(function)).options.merged(options).conditions


def bean_methods(cls: type) -> Iterator[Callable[..., Any]]:
    """Yield the `@bean` methods of a configuration, those of its parents first."""
    methods: dict[str, Callable[..., Any] | None] = {}
    for base in reversed(cls.__mro__[:-1]):
        for name, member in vars(base).items():
            if isinstance(member, staticmethod | classmethod) and _makes_bean(member.__func__):
                raise ConfigurationError(
                    f"@bean method {location_of(member)} is a {type(member).__name__}; "
                    "write it as a plain one with self"
                )
            if inspect.isfunction(member) and _makes_bean(member):
                methods[name] = member
            elif name in methods:
                methods[name] = None
    yield from (one for one in methods.values() if one is not None)


def flaws(definition: BeanDefinition) -> Iterator[BeanDefinitionError]:
    """Yield what is wrong with a definition by itself."""
    if not definition.lazy and definition.scope != Scope.SINGLETON:
        yield BeanDefinitionError(
            definition.name,
            str(definition),
            "is to be created at the start, by lazy=False, when no scope is open that would keep it",
            "leave lazy=False out, or make it a singleton",
        )
    cls = behind(definition.factory)
    if not isinstance(cls, type):
        return
    if _is_abstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        yield BeanDefinitionError(
            definition.name,
            str(definition),
            f"is {'a Protocol' if is_protocol(cls) else 'abstract'}, so it can't be created"
            f"{'; it leaves open: ' if missing else ''}{missing}",
            "register a class that implements it, or a function that returns one; whoever asks for it gets that",
        )
    lost = next((one.__name__ for one in bean_methods(cls)), None)
    if lost is not None and definition.stereotype is not Stereotype.CONFIGURATION:
        yield BeanDefinitionError(
            definition.name,
            str(definition),
            f"has the @bean method {lost}, but is no @configuration, so it makes no beans",
            f"decorate {cls.__qualname__} with @configuration",
        )


def factory_kind(factory: Callable[..., Any]) -> FactoryKind:
    """Return how a class or function makes an instance."""
    if isinstance(factory, type):
        return FactoryKind.CLASS
    if inspect.isasyncgenfunction(factory):
        return FactoryKind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(factory):
        return FactoryKind.GENERATOR
    return FactoryKind.COROUTINE if inspect.iscoroutinefunction(factory) else FactoryKind.FUNCTION


def location_of(target: Any) -> str:
    """Return where something is defined: `module.QualName`."""
    return f"{target.__module__}.{target.__qualname__}"


def snake_case(name: str) -> str:
    """Return a class name as a bean's name: `HTTPClient` is `http_client`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().lstrip("_")


def stereotype_of(made: Any) -> Stereotype | None:
    """Return the stereotype that a class brings along, though its bean is made by somebody else."""
    return _merged(made).stereotype if isinstance(made, type) else None


def _makes_bean(function: Any) -> bool:
    return own_record(function, BeanMark) is not None


def _is_abstract(cls: type) -> bool:
    """Whether calling a class can only fail; one with a `__new__` may return an instance of another."""
    if not is_protocol(cls) and not inspect.isabstract(cls):
        return False
    return inspect.getattr_static(cls, "__new__") is inspect.getattr_static(object, "__new__")


def _merged(target: Any) -> Mark:
    """Return all marks of a class or function as one."""
    marks = records_of(target, Mark)
    if len(marks) == 1:
        return marks[0]
    options, stereotype = Options(), None
    names: dict[str, Any] = {}
    for mark in marks:
        options = options.merged(mark.options)
        stereotype = mark.stereotype or stereotype
        names.update(mark.names)
    return Mark(options, stereotype, names)


def _definition(
    options: Options,
    *,
    name: str,
    type: Any,
    kind: FactoryKind,
    factory: Callable[..., Any],
    location: str,
    stereotype: Stereotype | None = None,
    names: dict[str, Any] | None = None,
    owner: str | None = None,
) -> BeanDefinition:
    scope = options.scope or Scope.SINGLETON
    if scope is Scope.PROTOTYPE and kind.yields:
        raise ConfigurationError(
            f"{location} is a prototype with a `yield`, and nothing would ever resume it; give it another scope"
        )
    return BeanDefinition(
        name=name,
        type=type,
        kind=kind,
        factory=factory,
        location=location,
        stereotype=stereotype,
        scope=scope,
        primary=bool(options.primary),
        fallback=bool(options.fallback),
        qualifiers=options.qualifiers,
        order=options.order or 0,
        lazy=options.lazy is not False,
        depends_on=options.depends_on,
        conditions=options.conditions,
        prefix=options.prefix,
        owner=owner,
        names=names or {},
    )
