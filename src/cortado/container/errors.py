"""The error tree of the container: each error says what, where, and the cure."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Self

from cortado.exceptions import CortadoError

__all__ = [
    "AnnotationError",
    "AsyncBeanError",
    "BeanCreationError",
    "BeanDefinitionError",
    "CircularConditionError",
    "CircularDependencyError",
    "ConditionError",
    "ContainerError",
    "ContextClosedError",
    "DuplicateBeanError",
    "NoActiveScopeError",
    "NoSuchBeanError",
    "NoUniqueBeanError",
    "OverrideTypeError",
    "PropertyError",
    "ScanError",
    "ScopeCloseError",
    "ScopeClosedError",
    "ScopeMismatchError",
    "UnknownScopeError",
]


class ContainerError(CortadoError):
    """The root of the container's errors."""


class NoSuchBeanError(ContainerError):
    """No bean has the requested type, name or qualifier.

    Attributes:
        requested: What was asked for, in words.
        required_by: Who asked, or None for a direct call.
    """

    def __init__(self, requested: str, *, required_by: str | None = None, hints: Iterable[str] = ()) -> None:
        self.requested, self.required_by = requested, required_by
        asked = () if required_by is None else (f"required by: {required_by}",)
        super().__init__("\n  ".join((f"no bean of {requested} is registered", *asked, *hints)))


class NoUniqueBeanError(ContainerError):
    """Several beans fit, and no rule prefers one of them.

    Attributes:
        requested: What was asked for, in words.
        candidates: The names of the beans that fit.
        required_by: Who asked, or None for a direct call.
    """

    def __init__(
        self,
        requested: str,
        candidates: Sequence[tuple[str, str]],
        *,
        required_by: str | None = None,
        primaries: int = 0,
    ) -> None:
        self.requested, self.required_by = requested, required_by
        self.candidates = tuple(name for name, _ in candidates)
        first = self.candidates[0]
        reason = f"{primaries} of them are primary" if primaries else "none is primary"
        lines = [f"{len(candidates)} beans of {requested} match and {reason}:"]
        lines += [f"- {description}" for _, description in candidates]
        if required_by is None:
            lines.append(f"fix: primary=True on one of them, or ask with qualifier={first!r}")
        else:
            lines.append(f"required by: {required_by}")
            lines.append(
                f"fix: primary=True on one of them, Annotated[..., Qualifier({first!r})], "
                f"or rename the parameter to {first!r}"
            )
        super().__init__("\n  ".join(lines))


class CircularDependencyError(ContainerError):
    """Beans need each other in a circle, so none of them can be the first.

    Attributes:
        path: The names of the beans around the circle; the first is also the last.
    """

    def __init__(self, circle: Sequence[tuple[str, str]]) -> None:
        self.path = tuple(name for name, _ in circle)
        drawn = " -> ".join(description for _, description in circle)
        super().__init__(
            f"circular dependency:\n  {drawn}\n"
            "  fix: inject Lazy[...] on one edge and use it after construction, "
            "or move the shared part to a third bean"
        )


class CircularConditionError(ContainerError):
    """Whether beans exist depends on each other in a circle, so none of them can be decided first.

    Attributes:
        path: The names of the beans around the circle; the first is also the last.
    """

    def __init__(self, circle: Sequence[tuple[str, str]]) -> None:
        self.path = tuple(name for name, _ in circle)
        drawn = " -> ".join(description for _, description in circle)
        super().__init__(
            f"circular conditions, where each bean waits for the decision on the next:\n  {drawn}\n"
            "  fix: let one of them be conditional on a profile or a property instead of a bean"
        )


class ConditionError(ContainerError):
    """A condition can't be judged, because it raised an exception; that is the cause.

    Attributes:
        condition: The condition, in words.
        required_by: The bean that has the condition, or None while that isn't known.
    """

    def __init__(self, condition: str, cause: Exception, *, required_by: str | None = None) -> None:
        self.condition, self.required_by = condition, required_by
        self._failure = cause
        asked = () if required_by is None else (f"required by: {required_by}",)
        first = f"{condition} failed: {type(cause).__name__}: {cause}"
        fix = "fix: mend what raises; a condition only says yes or no"
        super().__init__("\n  ".join((first, *asked, fix)))
        self.__cause__ = cause

    def of(self, bean: str) -> Self:
        """Return the same failure with the bean that has the condition."""
        return type(self)(self.condition, self._failure, required_by=bean)


class PropertyError(ContainerError):
    """A property isn't set, or isn't of its type. Its value, which may be a secret, is never shown.

    Attributes:
        name: The property.
        type: The type that it must have, in words.
        places: Where it was looked for, in words.
        required_by: Who asked.
    """

    def __init__(
        self, name: str, type: str, reason: str, *, places: Iterable[str], required_by: str, fix: str
    ) -> None:
        self.name, self.type, self.required_by = name, type, required_by
        self.places = tuple(places)
        looked = (f"looked for in: {', '.join(self.places)}",) if self.places else ()
        first = f"property {name!r} of type {type} {reason}"
        super().__init__("\n  ".join((first, f"required by: {required_by}", *looked, f"fix: {fix}")))


class DuplicateBeanError(ContainerError):
    """Two beans have one name.

    Attributes:
        name: The name.
        locations: Where the two are defined.
    """

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name, self.locations = name, (first, second)
        super().__init__(
            f"two beans are named {name!r}: {first} and {second}\n"
            "  fix: give one of them name=..., or create the container with allow_overriding=True"
        )


class AnnotationError(ContainerError):
    """An annotation can't be read, or says nothing that a bean could satisfy.

    Attributes:
        where: The parameter or return value, and its owner.
    """

    def __init__(self, where: str, reason: str, fix: str) -> None:
        self.where = where
        super().__init__(f"{where}: {reason}\n  fix: {fix}")


class BeanDefinitionError(ContainerError):
    """A bean is declared in a way that can't work, whatever the other beans are.

    Attributes:
        name: The bean.
    """

    def __init__(self, name: str, described: str, reason: str, fix: str) -> None:
        self.name = name
        super().__init__(f"{described} {reason}\n  fix: {fix}")


class ScanError(ContainerError):
    """A module to be scanned can't be imported; the cause is kept.

    Attributes:
        module: The dotted name of the module.
    """

    def __init__(self, module: str, cause: BaseException) -> None:
        self.module = module
        super().__init__(
            f"module {module!r} can't be scanned: {type(cause).__name__}: {cause}\n  fix: {_scan_cure(module, cause)}"
        )


class AsyncBeanError(ContainerError):
    """A synchronous call asked for what can only be awaited.

    Attributes:
        name: The bean that has to be awaited.
        requested: The bean that was asked for.
    """

    def __init__(self, name: str, requested: str) -> None:
        self.name, self.requested = name, requested
        needs = f"bean {name!r}" if name == requested else f"bean {name!r}, which {requested!r} needs,"
        super().__init__(
            f"{needs} is created asynchronously and isn't ready\n"
            "  fix: use `await container.aget(...)`, or lazy=False to create it at start"
        )


class BeanCreationError(ContainerError):
    """A bean's factory, constructor or `post_construct` failed; its own exception is the cause.

    A failure isn't remembered: the next request tries again.

    Attributes:
        path: The names of the beans from the one requested down to the one that failed.
    """

    def __init__(self, path: tuple[str, ...], location: str, cause: BaseException) -> None:
        self.path, self.location = path, location
        super().__init__(f"bean {path[-1]!r} ({location}) can't be created: {type(cause).__name__}: {cause}")
        self.__cause__ = cause
        if len(path) > 1:
            self.add_note(f"while creating {' -> '.join(path)}")

    def through(self, name: str) -> Self:
        """Return the same failure as seen by a bean that needs the failed one."""
        assert self.__cause__ is not None
        return type(self)((name, *self.path), self.location, self.__cause__)


class ContextClosedError(ContainerError):
    """The container isn't running: not started yet, stopping, or stopped.

    Attributes:
        state: What the container is, in words.
        name: The bean that was asked for, or None where it was something else, or several.
    """

    def __init__(self, refused: str, state: str, *, name: str | None = None) -> None:
        self.state, self.name = state, name
        fix = (
            "await container.start() first, or use `async with container`"
            if state == "not started"
            else "ask before the stop; a container that is started again makes new beans"
        )
        super().__init__(f"{refused}: the container is {state}\n  fix: {fix}")


class ScopeMismatchError(ContainerError):
    """A bean would hold another one that lives shorter, itself or through prototypes.

    Attributes:
        path: The names of the beans from the holder to the one that lives shorter.
        scope: Where the holder lives.
        held: Where the other one lives.
    """

    def __init__(
        self, way: Sequence[tuple[str, str]], *, scope: str, held: str, parameter: str | None = None
    ) -> None:
        self.path = tuple(name for name, _ in way)
        self.scope, self.held = scope, held
        drawn = " -> ".join(description for _, description in way)
        asked = () if parameter is None else (f"required by: parameter {parameter!r} of {way[0][1]}",)
        first, last = self.path[0], self.path[-1]
        lines = (
            f"{first!r} lives in the {scope} scope, and {last!r}, which it would hold, in the {held} scope:",
            drawn,
            *asked,
            f"fix: inject Lazy[...] and call get() when {last!r} is needed, or make {first!r} scope={str(held)!r}",
        )
        super().__init__("\n  ".join(lines))


class UnknownScopeError(ContainerError):
    """A bean is of a scope that the container doesn't know.

    Attributes:
        bean: The bean, in words.
        scope: The word of its scope.
    """

    def __init__(self, bean: str, scope: str, known: Sequence[str]) -> None:
        self.bean, self.scope = bean, scope
        near = difflib.get_close_matches(scope, (*known, "singleton", "prototype"), 1)
        meant = (f"did you mean: {near[0]}?",) if near else ()
        fix = f"fix: container.register_scope({str(scope)!r}), or one of: singleton, {', '.join(known)}, prototype"
        super().__init__("\n  ".join((f"bean {bean} is of a scope that doesn't exist", *meant, fix)))


class NoActiveScopeError(ContainerError):
    """A bean was asked for outside any scope of the kind that it lives in.

    Attributes:
        name: The bean.
        scope: The scope that isn't there.
    """

    def __init__(self, name: str, bean: str, scope: str, *, asked_in: str | None = None) -> None:
        self.name, self.scope = name, scope
        where = "here" if asked_in is None else f"around this {asked_in} scope"
        super().__init__(
            f"bean {bean} can't be had: no {scope} scope is open {where}\n"
            f"  fix: ask {OPENERS.get(scope, '')}within `async with container.scope({str(scope)!r})`"
        )


OPENERS = {
    "session": "in the handler or a hook of a WebSocket session, or ",
    "child": "in a part of a session that make_scope() began, or ",
    "request": "while a request or a message is handled, or ",
}


class ScopeClosedError(ContainerError):
    """A scope has ended, or is about to, so it makes no beans any more.

    Attributes:
        scope: The kind of scope.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(
            f"this {scope} scope has ended, so it has no beans to give\n"
            f"  fix: end whatever outlives its {scope} before it, or let it open a scope of its own"
        )


class ScopeCloseError(ContainerError, ExceptionGroup[Exception]):
    """Some finalisers failed, or ran out of time; all of them were run.

    An exception group: `exceptions` holds each failure, with a note that names its bean. Its text has a line for each.
    """

    def __str__(self) -> str:
        return "\n  ".join((f"{self.message}:", *(_in_a_line(one) for one in self.exceptions)))

    def derive(self, excs: Sequence[Exception], /) -> "ScopeCloseError":  # type: ignore[override]  # narrower
        """Return a group of the same kind for a part of the failures."""
        return ScopeCloseError(self.message, excs)


class OverrideTypeError(ContainerError):
    """A replacement isn't of the type that it replaces.

    Attributes:
        name: The bean to be replaced.
    """

    def __init__(self, name: str, wanted: str, given: str) -> None:
        self.name = name
        super().__init__(
            f"bean {name!r} is a {wanted}; {given} can't replace it\n  fix: derive it from {wanted}"
        )


def _in_a_line(failure: Exception) -> str:
    first = str(failure).partition("\n")[0]
    what = f"{type(failure).__name__}: {first}" if first else type(failure).__name__
    return ": ".join((*getattr(failure, "__notes__", ())[-1:], what))


def _scan_cure(module: str, cause: BaseException) -> str:
    missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
    if missing is not None and f"{module}.".startswith(f"{missing}."):
        return "correct the name, or start Python where the package can be imported"
    return f"mend the module, or leave it out: container.scan(..., exclude=[{module!r}])"
