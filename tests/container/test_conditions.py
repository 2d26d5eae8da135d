"""Conditions: which beans exist, and what is said where one doesn't."""

import asyncio
import itertools
import sys
import types

import pytest

from cortado import ConfigurationError
from cortado.container import (
    AnnotationError,
    CircularConditionError,
    ConditionError,
    Container,
    NoSuchBeanError,
    bean,
    component,
    conditional,
    conditional_on_bean,
    conditional_on_class,
    conditional_on_missing_bean,
    conditional_on_property,
    configuration,
    primary,
    profile,
)


class Store: ...


@component
class Disk(Store): ...


def names(*sources, profiles=()):
    container = Container(*sources, profiles=profiles)
    assert container.validate() == []
    return set(container.names())


def reason(cls, *sources):
    """Return what whoever misses a bean is told, without the cure, which is always there."""
    with pytest.raises(NoSuchBeanError) as raised:
        Container(cls, *sources).definition("thing")
    found, cure, _ = (
        str(raised.value)
        .partition("exists but is excluded by ")[2]
        .partition("\n  fix: let its condition hold, or register another bean")
    )
    assert cure
    return found


def thing(*decorators):
    class Thing: ...

    for decorator in decorators:
        decorator(Thing)
    return Thing


@pytest.mark.parametrize(
    ("value", "having", "exists"),
    [
        ("yes", None, True),
        ("", None, True),
        ("false", None, False),
        ("FALSE", None, False),
        (None, None, False),
        ("redis", "redis", True),
        ("Redis", "redis", True),
        ("memory", "redis", False),
        (None, "redis", False),
    ],
)
def test_property(monkeypatch, value, having, exists):
    """A property counts where it is set and not false, or has the asked value; its variable is in capitals."""
    if value is not None:
        monkeypatch.setenv("CHAT_STORE_KIND", value)

    assert ("thing" in names(thing(conditional_on_property("chat.store-kind", having)))) is exists


def test_property_in_another_case(monkeypatch):
    """The case of the environment variable makes no difference."""
    monkeypatch.setenv("chat_max", "5")

    assert names(thing(conditional_on_property("chat.max"))) == {"thing"}


def test_missing_property(monkeypatch):
    """A missing property counts where the condition says so; one that is set is compared all the same."""
    found = thing(conditional_on_property("chat.store", "disk", match_if_missing=True))

    assert names(found) == {"thing"}
    monkeypatch.setenv("CHAT_STORE", "redis")
    assert names(found) == set()


def test_property_reasons(monkeypatch):
    """Whoever misses a bean is told which property excludes it and where it was looked for, never its value."""
    missing = reason(thing(conditional_on_property("chat.store")))
    monkeypatch.setenv("CHAT_STORE", "false")
    false = reason(thing(conditional_on_property("chat.store")))
    other = reason(thing(conditional_on_property("chat.store", "redis")))

    assert (
        missing
        == "condition: property 'chat.store' isn't set; looked for in: environment variable CHAT_STORE"
    )
    assert false == "condition: property 'chat.store' is false (environment variable CHAT_STORE)"
    assert other == "condition: property 'chat.store' isn't 'redis' (environment variable CHAT_STORE)"


def test_class():
    """A bean may need classes and modules that can be imported."""
    assert names(thing(conditional_on_class("asyncio.Queue", "json"))) == {"thing"}
    assert names(thing(conditional_on_class("json", "json.Nothing"))) == set()
    assert reason(thing(conditional_on_class("no_such.Module"))) == (
        "condition: 'no_such.Module' can't be imported"
    )


def test_unreadable_return_annotation():
    """What a `@bean` of an excluded class returns need not be readable; that of an existing one must be."""

    def redis(*decorators):
        class Redis:
            @bean
            def client(self) -> "redis.Redis": ...

        for decorator in (configuration, *decorators):
            decorator(Redis)
        return Redis

    class Mixed:
        @bean
        @conditional_on_class("no_such_redis")
        def client(self) -> "no_such_redis.Redis": ...  # noqa: F821

    class Broken:
        @bean
        @conditional(lambda: 1 / 0)
        def client(self) -> "no_such_redis.Redis": ...  # noqa: F821

    assert names(redis(conditional_on_class("no_such_redis"))) == set()
    assert names(configuration(Mixed)) == {"mixed"}
    for wrong in (redis(), configuration(Broken)):
        (problem,) = Container(wrong).validate()
        assert isinstance(problem, AnnotationError)


def test_call():
    """A function decides, called when the beans are chosen."""
    answers = [True]

    def allowed():
        return answers[0]

    assert names(thing(conditional(allowed))) == {"thing"}
    answers[0] = False
    assert names(thing(conditional(allowed))) == set()
    assert reason(thing(conditional(allowed))).endswith("allowed says no")


def test_failing_conditions(monkeypatch):
    """A condition that raises is a problem of the start, with its cause; the bean doesn't exist."""

    def broken():
        raise LookupError("no idea")

    module = types.ModuleType("broken_module")
    module.__getattr__ = lambda name: broken()
    monkeypatch.setitem(sys.modules, "broken_module", module)
    first, second = Container(
        thing(component(name="a"), conditional(broken)),
        thing(component(name="b"), conditional_on_class("broken_module.Thing")),
    ).validate()

    assert isinstance(first, ConditionError)
    assert "broken failed: LookupError: no idea" in str(first)
    assert isinstance(first.__cause__, LookupError)
    assert first.required_by.startswith("a (")
    assert f"required by: {first.required_by}" in str(first)
    assert "the import of 'broken_module.Thing' failed" in str(second)


def test_missing_bean_in_any_order():
    """The user's bean beats a default, whatever the order, and a default of the same name, too."""

    @configuration
    class Defaults:
        @bean
        @conditional_on_missing_bean(Store)
        def disk(self) -> Store:
            return Store()

        @bean
        @conditional_on_missing_bean()
        def number(self) -> int:
            return 5

    @configuration
    class User:
        @bean
        def seven(self) -> int:
            return 7

    for sources in itertools.permutations([Defaults, User, Disk]):
        assert names(*sources) == {"defaults", "disk", "user", "seven"}
    assert names(Defaults) == {"defaults", "disk", "number"}


def test_chain_in_any_order():
    """Conditions on conditional beans are judged in the order in which they need each other."""
    a = thing(component(name="a"), conditional_on_missing_bean(Store))
    b = thing(component(name="b"), conditional_on_bean("a"))
    c = thing(component(name="c"), conditional_on_missing_bean("b"))
    d = thing(component(name="d"), conditional_on_bean("c"))

    for sources in itertools.permutations([a, b, c, d]):
        assert names(*sources) == {"a", "b"}
        assert names(*sources, Disk) == {"c", "d", "disk"}


def test_bean_reasons():
    """Whoever misses a bean is told which other bean is there, or isn't."""
    assert reason(thing(conditional_on_bean(Store))) == "condition: there is no bean of type Store"
    assert reason(thing(conditional_on_bean("store"))) == "condition: there is no bean named 'store'"
    assert reason(thing(conditional_on_missing_bean(Store)), Disk).startswith(
        "condition: there is a bean of type Store, disk ("
    )


def test_plain_conditions_come_first():
    """A bean that a profile excludes is no bean to any condition."""
    other = profile("dev")(thing(component(name="other"), conditional_on_missing_bean("nothing")))
    sources = (other, thing(conditional_on_bean("other")))

    assert names(*sources) == set()
    assert names(*sources, profiles=["dev"]) == {"other", "thing"}


def test_conditional_configuration():
    """A configuration's conditions hold for its beans, and its own beans are no others to it."""

    @configuration
    @conditional_on_missing_bean(Store)
    class Defaults:
        @bean
        def store(self) -> Store:
            return Store()

        @bean
        @conditional_on_bean(Store)
        def number(self) -> int:
            return 5

    assert names(Defaults) == {"defaults", "store", "number"}
    assert names(Defaults, Disk) == {"disk"}
    with pytest.raises(NoSuchBeanError, match="by the exclusion of its configuration defaults, by condition"):
        Container(Defaults, Disk).definition("number")


@pytest.mark.parametrize("turned", [False, True])
def test_circle(turned):
    """Beans that are conditional on each other are an error with the way round; a user's bean resolves it."""

    @component
    @conditional_on_missing_bean(Store)
    class First(Store): ...

    @component
    @conditional_on_missing_bean(Store)
    class Second(Store): ...

    waiting = thing(component(name="waiting"), conditional_on_bean(Store))
    sources = [First, Second] if not turned else [Second, First]
    (problem,) = Container(waiting, *sources).validate()

    assert isinstance(problem, CircularConditionError)
    assert problem.path in (("first", "second", "first"), ("second", "first", "second"))
    assert "first (" in str(problem)
    assert "fix: let one of them be conditional on a profile or a property" in str(problem)
    assert names(waiting, *sources, Disk) == {"disk", "waiting"}


def test_two_circles():
    """Each circle is reported once, together with everything else that is wrong."""
    sources = [
        thing(component(name=name), conditional_on_bean(other))
        for name, other in [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("e", "a")]
    ]
    problems = Container(*sources).validate()

    assert [problem.path for problem in problems] == [("a", "b", "a"), ("c", "d", "c")]


def test_later_registration():
    """What is registered later is known to the conditions, too."""
    container = Container(thing(conditional_on_missing_bean(Store)))
    assert container.names() == ("thing",)
    container.register(Disk)

    assert container.names() == ("disk",)


async def test_excluded_beans_are_never_made():
    """A bean that is excluded is never created, not even with `lazy=False`, nor is it in `di`."""

    @component(lazy=False)
    @conditional_on_missing_bean(Store)
    @primary
    class Default(Store):
        def __init__(self) -> None:
            raise AssertionError

    async with Container(Default, Disk) as container:
        assert type(await container.aget(Store)) is Disk
        assert not hasattr(container.di, "default")


@pytest.mark.parametrize(
    ("decorator", "given"),
    [
        (conditional_on_property, [""]),
        (conditional_on_property, ["a", 5]),
        (conditional_on_bean, [""]),
        (conditional_on_missing_bean, [test_circle]),
        (conditional_on_class, ["not a name"]),
        (conditional_on_class, [Store]),
        (conditional, [True]),
        (conditional, [asyncio.sleep]),
        (conditional, [Store]),
    ],
)
def test_wrong_arguments(decorator, given):
    """A condition that can't be meant is an error where it is written."""
    with pytest.raises(ConfigurationError):
        decorator(*given)
