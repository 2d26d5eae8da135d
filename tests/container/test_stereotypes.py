"""The decorators that declare beans."""

import dataclasses
from collections.abc import Iterator

import pytest

from cortado.container import (
    Container,
    Scope,
    Stereotype,
    bean,
    component,
    conditional,
    conditional_on_bean,
    conditional_on_class,
    conditional_on_missing_bean,
    conditional_on_property,
    configuration,
    configuration_properties,
    controller,
    controller_advice,
    depends_on,
    fallback,
    lazy,
    order,
    post_construct,
    pre_destroy,
    primary,
    profile,
    prototype,
    repository,
    request_scope,
    rest_controller,
    scope,
    service,
    session_scope,
)
from cortado.exceptions import ConfigurationError


@pytest.mark.parametrize(
    "decorator",
    [component, service, repository, controller, rest_controller, configuration, controller_advice],
)
@pytest.mark.parametrize("bare", [True, False])
def test_stereotypes(decorator, bare):
    """Each stereotype declares a bean, bare or called, and leaves the class as it is."""

    class Thing: ...

    before = set(vars(Thing))
    assert (decorator if bare else decorator())(Thing) is Thing
    (definition,) = Container(Thing).definitions()

    assert repr(decorator) == f"<@{definition.stereotype.value}>"
    assert set(vars(Thing)) - before == {"__cortado__"}


def test_options_add_up():
    """Decorators and options add up, in any order; what is registered by hand wins."""

    @primary
    @service(name="first", qualifiers="a")
    @fallback
    @prototype
    class Thing: ...

    container = Container(Thing)
    container.register(Thing, name="second", scope="singleton", qualifiers=["b"], primary=False)
    first, second = container.definitions()

    assert (first.name, first.primary, first.fallback, first.scope) == ("first", True, True, Scope.PROTOTYPE)
    assert first.qualifiers == ("a",)
    assert (second.primary, second.scope, second.qualifiers) == (False, Scope.SINGLETON, ("a", "b"))
    assert second.stereotype is Stereotype.SERVICE


def test_subclass_inherits_nothing():
    """A subclass has no stereotype and no options of its parent's."""

    @primary
    @service(name="parent")
    class Parent: ...

    class Child(Parent): ...

    (definition,) = Container(Child).definitions()
    assert (definition.name, definition.stereotype, definition.primary) == ("child", None, False)


def test_slotted_dataclass():
    """A decorator that makes a new class keeps what was declared below it."""

    @dataclasses.dataclass(slots=True)
    @service(name="thing")
    class Thing:
        size: int = 1

    (definition,) = Container(Thing).definitions()
    assert (definition.name, definition.factory) == ("thing", Thing)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("HTTPClient", "http_client"), ("Repo2Cache", "repo2_cache"), ("_Hidden", "hidden"), ("plain", "plain")],
)
def test_names(name, expected):
    """A bean is named like its class in snake_case."""
    assert Container(type(name, (), {})).names() == (expected,)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": 3},
        {"scope": "for ever"},
        {"scope": 3},
        {"qualifiers": [1]},
        {"primary": "yes"},
        {"order": "first"},
        {"lazy": "no"},
        {"colour": "red"},
    ],
)
def test_wrong_options(options):
    """A wrong option is an error where it is written."""
    with pytest.raises(ConfigurationError):
        service(**options)


def test_wrong_targets():
    """A stereotype decorates classes, `@bean` functions."""
    with pytest.raises(ConfigurationError, match="@service decorates a class"):
        service(lambda: None)
    with pytest.raises(ConfigurationError, match=r"a path as @request_mapping\(\.\.\.\)"):
        service("/path")
    with pytest.raises(ConfigurationError, match="@bean decorates a method"):
        bean(int)


def decorated(decorator):
    @decorator
    class Thing: ...

    return Thing


@pytest.mark.parametrize(
    ("decorator", "text"),
    [
        (scope, 'write @scope("session")'),
        (order, "write @order(1)"),
        (lazy, "write @lazy(False)"),
        (profile, 'write @profile("dev & !cloud")'),
        (depends_on, 'write @depends_on("database")'),
        (conditional, "write @conditional(is_linux)"),
        (conditional_on_property, "write @conditional_on_property('chat')"),
        (conditional_on_class, 'write @conditional_on_class("redis.asyncio.Redis")'),
        (configuration_properties, "write @configuration_properties('chat')"),
        (post_construct, "write it above a def with self"),
    ],
)
def test_missing_parentheses(decorator, text):
    """A decorator that needs an argument, written without one, says how it is written."""
    with pytest.raises(ConfigurationError) as raised:
        decorated(decorator)

    assert text in str(raised.value)
    assert "Thing" in str(raised.value)


@pytest.mark.parametrize("decorator", [conditional_on_bean, conditional_on_missing_bean])
def test_class_taken_for_an_argument(decorator):
    """A decorator whose argument may be a class is still found out when it is written without one."""
    taken = decorated(decorator)

    with pytest.raises(ConfigurationError, match=rf"write @{decorator.__name__}\(\w*\) below it"):
        service(taken)
    with pytest.raises(ConfigurationError, match="which decorates nothing yet"):
        Container(taken)


@pytest.mark.parametrize("decorator", [conditional_on_class])
def test_empty_parentheses(decorator):
    """A decorator that needs names says so where there are none."""
    with pytest.raises(ConfigurationError, match=rf"@{decorator.__name__} takes"):
        decorator()


@pytest.mark.parametrize("decorator", [primary, fallback, prototype, session_scope, request_scope])
def test_needless_parentheses(decorator):
    """A decorator without options works with empty parentheses, too."""
    (bare,) = Container(decorated(decorator)).definitions()
    (called,) = Container(decorated(decorator())).definitions()

    assert (bare.primary, bare.fallback, bare.scope) == (called.primary, called.fallback, called.scope)
    assert (bare.primary, bare.fallback, bare.scope) != (False, False, Scope.SINGLETON)


async def test_hooks_with_parentheses():
    """So do the hooks."""

    @component
    class Thing:
        state = "new"

        @post_construct()
        def open(self) -> None:
            self.state = "open"

        @pre_destroy()
        def close(self) -> None:
            self.state = "closed"

    async with Container(Thing) as container:
        thing = container.get(Thing)
        assert thing.state == "open"
    assert thing.state == "closed"


def test_marker_on_something_else():
    """A decorator that says something about a bean doesn't take a string for one."""
    with pytest.raises(ConfigurationError, match="@primary decorates a class or a @bean method, not 'disk'"):
        primary("disk")


def test_scope_decorator():
    """`@scope` takes the enum or its word."""

    @scope(Scope.PROTOTYPE)
    @component
    class One: ...

    @scope("prototype")
    @component
    class Two: ...

    assert {one.scope for one in Container(One, Two).definitions()} == {Scope.PROTOTYPE}


def test_prototype_generator():
    """A prototype can't be a generator: nothing would resume it."""

    @configuration
    class Config:
        @bean(scope="prototype")
        def thing(self) -> Iterator[int]:
            yield 1

    with pytest.raises(ConfigurationError, match="nothing would ever resume it"):
        Container(Config)


@pytest.mark.parametrize(("decorator", "example"), [(order, "@order(1)"), (lazy, "@lazy(False)")])
def test_decorators_that_forgot_their_argument(decorator, example):
    """Written bare, a decorator that needs a value says how it is written."""
    with pytest.raises(ConfigurationError) as wrong:

        @decorator
        class Bare: ...

    assert example in str(wrong.value)
