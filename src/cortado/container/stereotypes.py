"""The decorators that declare beans. Each only leaves a record; what is decorated stays as it is."""

import enum
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypedDict, TypeVar, Unpack, overload

from cortado.container.annotations import enclosing_names, is_settings
from cortado.container.conditions import BeanCondition, Condition, OnCall, OnClass, OnProfile, OnProperty
from cortado.container.definitions import Options, Scope, Stereotype, is_word, scope_kind
from cortado.container.markers import is_property_name
from cortado.container.profiles import ProfileExpression
from cortado.exceptions import ConfigurationError
from cortado.metadata import attach

__all__ = [
    "BeanMark",
    "BeanOptions",
    "Hook",
    "HookKind",
    "Mark",
    "Marker",
    "bean",
    "component",
    "conditional",
    "conditional_on_bean",
    "conditional_on_class",
    "conditional_on_missing_bean",
    "conditional_on_property",
    "configuration",
    "configuration_properties",
    "controller",
    "controller_advice",
    "depends_on",
    "fallback",
    "lazy",
    "order",
    "post_construct",
    "pre_destroy",
    "primary",
    "profile",
    "prototype",
    "read_options",
    "repository",
    "request_scope",
    "rest_controller",
    "scope",
    "service",
    "session_scope",
]

Class = TypeVar("Class", bound=type)
Target = TypeVar("Target", bound=Callable[..., Any])


class BeanOptions(TypedDict, total=False):
    """The options of stereotypes, of `@bean` and of `Container.register`."""

    name: str
    """The bean's name; else the class in snake_case, or the name of the function."""
    scope: Scope | str
    """How long an instance lives: `"singleton"` (the default), `"session"`, `"child"`, `"request"`, `"prototype"`, or
    the word of a scope that the container has registered."""
    primary: bool
    """Preferred where several beans fit."""
    fallback: bool
    """Passed over where another bean fits."""
    qualifiers: Iterable[str]
    """What a `Qualifier` may ask for, besides the name."""
    order: int
    """The place in injected lists; lower is earlier, 0 where nothing is said."""
    lazy: bool
    """False creates the bean at start instead of at first use."""
    as_type: Any
    """The type under which the bean is found, instead of its class or return annotation."""
    profile: str
    """The profiles in which the bean exists, as an expression: `"dev & !cloud | test"`."""


IN_WORDS = {int: "a number", bool: "True or False", str: "a string"}

CHECKED = {"primary": bool, "fallback": bool, "order": int, "lazy": bool}


class HookKind(enum.Enum):
    """When a hook of a bean runs."""

    POST_CONSTRUCT = "post_construct"
    PRE_DESTROY = "pre_destroy"


@dataclass(frozen=True, slots=True)
class Mark:
    """Left on a class or `@bean` method: options, and with a stereotype that the class is a bean."""

    options: Options
    stereotype: Stereotype | None = None
    names: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BeanMark:
    """Left on a method of a configuration: what it returns is a bean."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Left on a method that is called at a turn of its bean's life."""

    kind: HookKind


def read_options(given: BeanOptions) -> Options:
    """Return checked options.

    Raises:
        ConfigurationError: A value is none of those allowed; the sentence names the option.
    """
    unknown = sorted(set(given) - set(BeanOptions.__annotations__))
    if unknown:
        raise ConfigurationError(
            f"unknown option {unknown[0]!r}; known are: {', '.join(BeanOptions.__annotations__)}"
        )
    name = given.get("name")
    if name is not None and not _is_word(name):
        raise ConfigurationError(f"a bean's name must be a non-empty string, not {name!r}")
    for option, kind in CHECKED.items():
        value = given.get(option)
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(f"{option} must be {IN_WORDS[kind]}, not {value!r}")
    return Options(
        name=name,
        scope=_scope(given["scope"]) if "scope" in given else None,
        primary=given.get("primary"),
        fallback=given.get("fallback"),
        qualifiers=_words("qualifiers", given.get("qualifiers", ())),
        order=given.get("order"),
        lazy=given.get("lazy"),
        as_type=given.get("as_type"),
        conditions=(_on_profile(given["profile"]),) if "profile" in given else (),
    )


class StereotypeDecorator:
    """Declares a class as a bean; bare, or with options.

    The class stays a plain class, and a subclass without a stereotype of its own is no bean.
    """

    def __init__(self, stereotype: Stereotype, meaning: str) -> None:
        self._stereotype = stereotype
        self.__doc__ = f"{meaning}\n\nBare, or with the options of `BeanOptions`."

    @overload
    def __call__(self, cls: Class, /) -> Class: ...

    @overload
    def __call__(self, /, **options: Unpack[BeanOptions]) -> Callable[[Class], Class]: ...

    def __call__(
        self, cls: Class | None = None, /, **options: Unpack[BeanOptions]
    ) -> Class | Callable[[Class], Class]:
        read = read_options(options)

        def decorate(cls: Class) -> Class:
            if not isinstance(cls, type):
                raise ConfigurationError(
                    f"@{self._stereotype.value} decorates a class, not {cls!r}; "
                    + (
                        f"write {cls.example} below it"
                        if isinstance(cls, Marker)
                        else "write a bean's name as name=..., and a path as @request_mapping(...) below it"
                    )
                )
            attach(cls, Mark(read, self._stereotype, enclosing_names(cls)))
            return cls

        return decorate if cls is None else decorate(cls)

    def __repr__(self) -> str:
        return f"<@{self._stereotype.value}>"


component = StereotypeDecorator(Stereotype.COMPONENT, "Declares a class as a bean.")
service = StereotypeDecorator(Stereotype.SERVICE, "Declares a bean of the business layer.")
repository = StereotypeDecorator(Stereotype.REPOSITORY, "Declares a bean that keeps data.")
controller = StereotypeDecorator(Stereotype.CONTROLLER, "Declares a bean whose methods answer requests.")
rest_controller = StereotypeDecorator(
    Stereotype.REST_CONTROLLER, "Declares a bean whose methods' return values are response bodies."
)
configuration = StereotypeDecorator(
    Stereotype.CONFIGURATION, "Declares a bean whose `@bean` methods make beans."
)
controller_advice = StereotypeDecorator(
    Stereotype.CONTROLLER_ADVICE, "Declares a bean whose handlers serve all controllers."
)


def configuration_properties(prefix: str) -> Callable[[Class], Class]:
    """Declare a class of pydantic-settings as a bean whose fields are the properties below a prefix.

    With the prefix `chat`, the field `max` is the property `chat.max`, for `Value` and `conditional_on_property` too.
    It is read from the variable `CHAT_MAX` and whatever other sources the class has, when the container starts.
    """
    _check_property(prefix, "configuration_properties")

    def decorate(cls: Class) -> Class:
        if not is_settings(cls):
            raise ConfigurationError(
                "@configuration_properties decorates a class derived from pydantic_settings.BaseSettings, "
                f"not {cls!r}; pydantic-settings comes with: pip install 'cortado[settings]'"
            )
        attach(cls, Mark(Options(prefix=prefix), Stereotype.COMPONENT, enclosing_names(cls)))
        return cls

    return decorate


@overload
def bean(function: Target, /) -> Target: ...


@overload
def bean(**options: Unpack[BeanOptions]) -> Callable[[Target], Target]: ...


def bean(
    function: Target | None = None, /, **options: Unpack[BeanOptions]
) -> Target | Callable[[Target], Target]:
    """Declare that what a method of a `@configuration` returns is a bean, named like the method.

    The method may be `def`, `async def`, a generator or an async generator; its parameters are injected, its return
    annotation is the bean's type. A generator yields the bean once and goes on after its `yield` when the bean is
    destroyed. Otherwise `aclose()` or `close()` of the bean is called then, where it has one.
    """
    read = read_options(options)

    def decorate(function: Target) -> Target:
        if isinstance(function, type) or not hasattr(function, "__code__"):
            raise ConfigurationError(
                f"@bean decorates a method of a @configuration class, not {function!r}; "
                "write a bean's name as name=..., and the method as a plain one with self"
            )
        attach(function, BeanMark())
        attach(function, Mark(read, names=enclosing_names(function)))
        return function

    return decorate if function is None else decorate(function)


class Marker:
    """Says something about a bean, on its class or `@bean` method; bare, or with empty parentheses.

    Args:
        example: The decorator as it is written, for messages.
        options: What it says.
        meaning: Its docstring.
    """

    def __init__(self, example: str, options: Options, meaning: str | None = None) -> None:
        self.example = example
        self._options = options
        self.__doc__ = meaning

    @overload
    def __call__(self, target: Target, /) -> Target: ...

    @overload
    def __call__(self, /) -> "Marker": ...

    def __call__(self, target: Callable[..., Any] | None = None, /) -> Callable[..., Any]:
        if target is None:
            return self
        if not isinstance(target, type) and not hasattr(target, "__code__"):
            raise ConfigurationError(
                f"{self.example} decorates a class or a @bean method, not {target!r}; "
                "write it right above the class, or above the def"
            )
        attach(target, Mark(self._options))
        return target

    def has_swallowed(self, module: str, name: str) -> bool:
        """Whether this stands where a class should, for which it was taken as the argument: parentheses are missing."""
        wanted = [one.wanted for one in self._options.conditions if isinstance(one, BeanCondition)]
        return any(
            isinstance(one, type) and (one.__module__, one.__qualname__) == (module, name) for one in wanted
        )

    def __repr__(self) -> str:
        return f"<{self.example}, which decorates nothing yet>"


primary = Marker("@primary", Options(primary=True), "Prefer this bean where several fit.")
fallback = Marker("@fallback", Options(fallback=True), "Pass this bean over where another one fits.")
session_scope = Marker(
    "@session_scope",
    Options(scope=Scope.SESSION),
    "Keep one instance for each WebSocket connection.",
)
request_scope = Marker(
    "@request_scope",
    Options(scope=Scope.REQUEST),
    "Keep one instance for each HTTP request, and one for each message of a connection.",
)
prototype = Marker(
    "@prototype",
    Options(scope=Scope.PROTOTYPE),
    "Create a new instance at each request for the bean; its `pre_destroy` is never called.",
)


def order(value: int) -> Marker:
    """Set the place in injected lists; lower is earlier."""
    _check_argument("order", value, int, example := "@order(1)")
    return Marker(example, Options(order=value))


def lazy(value: bool) -> Marker:
    """Say when the bean is created: `@lazy(False)` at start, else at first use."""
    _check_argument("lazy", value, bool, example := "@lazy(False)")
    return Marker(example, Options(lazy=value))


def scope(value: Scope | str) -> Marker:
    """Set how long an instance lives."""
    _check_argument("scope", value, str, example := '@scope("session")')
    return Marker(example, Options(scope=_scope(value)))


def depends_on(*names: str) -> Marker:
    """Name beans that must be created before this one, and destroyed after it, though they aren't injected."""
    example = '@depends_on("database")'
    for name in names:
        _check_argument("depends_on", name, str, example)
    return Marker(example, Options(depends_on=_words("depends_on", names)))


def profile(expression: str) -> Marker:
    """Say in which profiles the bean exists: `@profile("dev & !cloud | test")`.

    `!` binds closest, then `&`, then `|`; parentheses group. Without active profiles, "default" is the active one.
    On a `@configuration` it holds for its `@bean` methods too. Several add up: all must hold.
    """
    _check_argument("profile", expression, str, example := '@profile("dev & !cloud")')
    return _conditional(example, _on_profile(expression))


def conditional_on_property(
    name: str, having_value: str | None = None, *, match_if_missing: bool = False
) -> Marker:
    """Let the bean exist where a property is set, and isn't false.

    Args:
        name: The property, such as `chat.max`.
        having_value: The one value that counts, whatever its case.
        match_if_missing: Whether the bean exists where the property isn't set.
    """
    _check_property(name, "conditional_on_property")
    if having_value is not None and not _is_word(having_value):
        raise ConfigurationError(
            f"having_value of property {name!r} must be a non-empty string, not {having_value!r}"
        )
    return _conditional(
        '@conditional_on_property("chat.store")', OnProperty(name, having_value, match_if_missing)
    )


def conditional_on_bean(bean: Any) -> Marker:
    """Let the bean exist where another one of a type, or of a name, does."""
    wanted = _type_or_name(bean, "conditional_on_bean")
    return _conditional("@conditional_on_bean(Store)", BeanCondition(wanted, present=True))


def conditional_on_missing_bean(bean: Any = None) -> Marker:
    """Let the bean exist where no other one of a type, or of a name, does; by default, of its own type.

    The other bean wins wherever it is registered. A bean that a `@configuration` makes is no other to it.
    """
    wanted = _type_or_name(bean, "conditional_on_missing_bean")
    return _conditional("@conditional_on_missing_bean()", BeanCondition(wanted, present=False))


def conditional_on_class(*names: str) -> Marker:
    """Let the bean exist where all these classes or modules can be imported: `"redis.asyncio.Redis"`."""
    example = '@conditional_on_class("redis.asyncio.Redis")'
    if not names:
        raise ConfigurationError(f"@conditional_on_class takes dotted names; write {example}")
    for name in names:
        if not _is_word(name) or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigurationError(
                f"@conditional_on_class takes dotted names, not {name!r}; write {example}"
            )
    return _conditional(example, *(OnClass(name) for name in names))


def conditional(function: Callable[[], object]) -> Marker:
    """Let the bean exist where a function, called without arguments when the beans are chosen, returns true."""
    given: object = function
    if not callable(given) or isinstance(given, type) or inspect.iscoroutinefunction(given):
        raise ConfigurationError(
            f"@conditional takes a plain function without parameters, not {given!r}; write @conditional(is_linux)"
        )
    location = f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"
    return _conditional("@conditional(is_linux)", OnCall(function, location))


class HookDecorator:
    """Has a method called at a turn of its bean's life; bare, or with empty parentheses."""

    def __init__(self, kind: HookKind, meaning: str) -> None:
        self._kind = kind
        self.__doc__ = meaning

    @overload
    def __call__(self, method: Target, /) -> Target: ...

    @overload
    def __call__(self, /) -> "HookDecorator": ...

    def __call__(self, method: Callable[..., Any] | None = None, /) -> Callable[..., Any]:
        if method is None:
            return self
        if not inspect.isfunction(method):
            raise ConfigurationError(
                f"{self!r} decorates a method of a bean's class, not {method!r}; write it above a def with self"
            )
        attach(method, Hook(self._kind))
        return method

    def __repr__(self) -> str:
        return f"@{self._kind.value}"


post_construct = HookDecorator(
    HookKind.POST_CONSTRUCT,
    """Call this method, `def` or `async def`, when the bean is built and before anyone gets it.

    A parent's hooks run before its child's. If one fails the bean isn't created.
    """,
)
pre_destroy = HookDecorator(
    HookKind.PRE_DESTROY,
    """Call this method, `def` or `async def`, before the bean is given up; whoever needs the bean is gone by then.

    A child's hooks run before its parent's. A prototype's are never called.
    """,
)


def _on_profile(expression: str) -> OnProfile:
    return OnProfile(ProfileExpression(expression))


def _conditional(example: str, *conditions: Condition) -> Marker:
    return Marker(example, Options(conditions=conditions))


def _check_argument(name: str, value: object, kind: type, example: str) -> None:
    if not isinstance(value, kind):
        takes = IN_WORDS[kind]
        raise ConfigurationError(f"@{name} takes {takes} in parentheses, not {value!r}; write {example}")


def _check_property(name: str, decorator: str) -> None:
    if not is_property_name(name):
        raise ConfigurationError(
            f"@{decorator} takes words joined by dots, not {name!r}; write @{decorator}('chat')"
        )


def _type_or_name(given: Any, decorator: str) -> Any:
    if given == "" or (inspect.isroutine(given) and hasattr(given, "__code__")):
        raise ConfigurationError(
            f"@{decorator} takes a type or the name of a bean in parentheses, not {given!r}; "
            f"write @{decorator}(Store)"
        )
    return given


def _is_word(given: object) -> bool:
    return isinstance(given, str) and given != ""


def _scope(given: Scope | str) -> str:
    """Return a scope of ours as its member; whether any other word is a scope, the container knows at its start."""
    if not is_word(given):
        known = ", ".join(repr(str(one)) for one in Scope)
        raise ConfigurationError(f"scope must be {known} or the word of a registered scope, not {given!r}")
    return scope_kind(given)


def _words(option: str, given: Iterable[str]) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else tuple(given)
    if not all(_is_word(word) for word in words):
        raise ConfigurationError(f"{option} must be strings, not {given!r}")
    return words
