"""Events: what beans tell each other without knowing each other, and who listens to what."""

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from typing_extensions import TypeAliasType

from cortado.container.annotations import Names, UnresolvedName, enclosing_names, function_parameters
from cortado.container.definitions import BeanDefinition, FactoryKind
from cortado.container.errors import AnnotationError, ContainerError
from cortado.container.injection import name_of
from cortado.container.recipes import NOT_READY
from cortado.container.registration import location_of
from cortado.container.stereotypes import Mark
from cortado.container.wiring import classes_by_name
from cortado.exceptions import ConfigurationError
from cortado.metadata import attach, own_record, records_of

__all__ = ["Listener", "Listeners", "announcing", "event_listener", "is_announced_to"]

Method = TypeVar("Method", bound=Callable[..., Any])
Resolve = Callable[[str], Awaitable[object]]

SELECTOR = "write @event_listener(SomeEvent), or annotate the method's one parameter with the event's class"


@dataclass(frozen=True, slots=True)
class Listening:
    """Left on a method that is told of events; without types, its parameter's annotation says of which."""

    types: tuple[Any, ...] = ()
    names: Mapping[str, Any] = field(default_factory=dict)


@overload
def event_listener(*events: type | types.UnionType) -> Callable[[Method], Method]: ...


@overload
def event_listener(method: Method, /) -> Method: ...


def event_listener(*given: Any) -> Any:
    """Call this method of a bean, `def` or `async def`, with each event of a type that is published.

    Bare, the type is the annotation of the method's one parameter, a union for several. With types in parentheses,
    the method may do without the parameter. An event is of a type if it is an instance of it, or of a subclass.

    The place among the listeners is `@order(n)` on the method, else the order of the bean; lower is earlier, equal
    ones stay in the order of registration. A subclass that overrides the method listens only if it is decorated, too.
    """
    if len(given) == 1 and inspect.isroutine(given[0]):
        return _listening(given[0], ())
    for one in given:
        if not isinstance(one, type | types.UnionType):
            raise ConfigurationError(f"event_listener takes classes of events, not {one!r}")

    def decorate(method: Any) -> Any:
        return _listening(method, given)

    return decorate


@dataclass(frozen=True, slots=True)
class Listener:
    """One method of a bean that is told of events."""

    bean: BeanDefinition
    attribute: str
    types: tuple[type, ...]
    order: int
    wants_event: bool

    async def tell(self, event: object, resolve: Resolve) -> None:
        """Call the method and wait until it is done; what it raises is raised.

        Args:
            event: The event.
            resolve: Returns the bean of a name; `NOT_READY` where it can't be had, and then nothing is called.
        """
        bean = await resolve(self.bean.name)
        method = None if bean is NOT_READY else getattr(bean, self.attribute, None)
        if method is None:  # what overrides the bean need not listen
            return
        result = method(event) if self.wants_event else method()
        if inspect.isawaitable(result):
            await result

    def __str__(self) -> str:
        return f"{self.attribute}() of {self.bean}"


class Listeners:
    """The listeners among some beans, in the order in which they are told; read from classes, creating nothing."""

    def __init__(self, definitions: Iterable[BeanDefinition] = ()) -> None:
        definitions = tuple(definitions)
        marked = [(one, *found) for one in definitions for found in _marked(_class_of(one))]
        registered = classes_by_name(definitions) if marked else {}
        self.problems: list[ContainerError] = []
        """What is wrong with them; those concerned are left out."""
        found: list[Listener] = []
        for definition, name, method, mark in marked:
            try:
                found.append(_read(definition, name, method, mark, registered))
            except AnnotationError as error:
                self.problems.append(error)
        self._all = tuple(sorted(found, key=lambda one: one.order))

    def to(self, event: object) -> tuple[Listener, ...]:
        """Return who is told of an event."""
        return tuple(one for one in self._all if isinstance(event, one.types))

    def of(self, event: type) -> tuple[Listener, ...]:
        """Return who is told of the events of a class."""
        return tuple(one for one in self._all if issubclass(event, one.types))


class Announcement:
    """A turn in a container's life for as long as its listeners are told of it."""

    __slots__ = ("container", "over")

    def __init__(self, container: object) -> None:
        self.container = container
        self.over = False


_heard: ContextVar[tuple[Announcement, ...]] = ContextVar("heard", default=())


@contextmanager
def announcing(container: object) -> Iterator[None]:
    """Tell listeners of a turn in a container's life, which goes on when they have returned."""
    announcement = Announcement(container)
    token = _heard.set((*_heard.get(), announcement))
    try:
        yield
    finally:
        announcement.over = True  # for tasks that listeners have started: they keep the context
        _heard.reset(token)


def is_announced_to(container: object) -> bool:
    """Whether the code that asks is a listener for which a container waits."""
    return any(one.container is container and not one.over for one in _heard.get())


def _listening(method: Any, given: tuple[Any, ...]) -> Any:
    if not inspect.isfunction(method):
        raise ConfigurationError(f"@event_listener decorates a method of a bean's class, not {method!r}")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise ConfigurationError(
            f"{location_of(method)} has a `yield`, so a call would do nothing; remove it"
        )
    attach(method, Listening(given, enclosing_names(method)))
    return method


def _class_of(definition: BeanDefinition) -> type:
    made: Any = definition.type
    if definition.kind is FactoryKind.INSTANCE:
        made = type(definition.factory())
    elif isinstance(definition.factory, type):
        made = definition.factory
    made = typing.get_origin(made) or made
    return made if isinstance(made, type) else object


def _marked(cls: type) -> Iterator[tuple[str, Any, Listening]]:
    """Yield the listeners of a class by name, its parents' first."""
    found: dict[str, tuple[Any, Listening]] = {}
    for base in reversed(cls.__mro__[:-1]):
        for name, member in vars(base).items():
            function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
            mark = own_record(function, Listening) if inspect.isfunction(function) else None
            if mark is not None:
                found[name] = (member, mark)
            else:
                found.pop(name, None)
    for name, (method, mark) in found.items():
        yield name, method, mark


def _read(
    definition: BeanDefinition,
    name: str,
    method: Any,
    mark: Listening,
    registered: Names,
) -> Listener:
    where = f"event listener {location_of(method)}"
    if not inspect.isfunction(method):
        raise AnnotationError(where, "is no method of an instance", "remove @staticmethod or @classmethod")
    wants_event = _wants_event(method, where)
    given = mark.types or (_annotation(definition, method, mark, registered, where),)
    orders = [one.options.order for one in records_of(method, Mark) if one.options.order is not None]
    return Listener(
        definition,
        name,
        tuple(event for one in given for event in _classes(one, where)),
        orders[-1] if orders else definition.order,
        wants_event,
    )


def _wants_event(method: Callable[..., Any], where: str) -> bool:
    signature = inspect.signature(method)
    for arguments in ((None, None), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    raise AnnotationError(
        where,
        f"its signature is {signature}, but a listener is given the event and nothing else",
        "have other beans injected into the constructor",
    )


def _annotation(
    definition: BeanDefinition, method: Callable[..., Any], mark: Listening, registered: Names, where: str
) -> Any:
    _, *rest = inspect.signature(method).parameters.values()
    if not rest or rest[0].annotation is inspect.Parameter.empty or rest[0].kind is rest[0].VAR_POSITIONAL:
        raise AnnotationError(where, "doesn't say to which events it listens", SELECTOR)
    event, *_ = function_parameters(method, {**definition.names, **mark.names}, registered, method=True)
    if isinstance(event.annotation, UnresolvedName):
        raise event.annotation.error
    return event.annotation


def _classes(annotation: Any, where: str) -> Iterator[type]:
    """Yield the classes that an annotation means, each fit for `isinstance` and `issubclass`."""
    origin = typing.get_origin(annotation)
    if isinstance(annotation, TypeAliasType):
        yield from _classes(annotation.__value__, where)
    elif origin is typing.Annotated:
        yield from _classes(typing.get_args(annotation)[0], where)
    elif origin in (typing.Union, types.UnionType):
        for one in typing.get_args(annotation):
            yield from _classes(one, where)
    else:
        try:
            isinstance(None, annotation)
            issubclass(object, annotation)
        except TypeError:
            reason = f"{name_of(annotation)} is no class that an event could be an instance of"
            raise AnnotationError(where, reason, SELECTOR) from None
        yield annotation
