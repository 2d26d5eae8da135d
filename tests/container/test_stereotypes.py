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
    configuration,
    controller,
    controller_advice,
    fallback,
    lazy,
    order,
    primary,
    prototype,
    repository,
    rest_controller,
    scope,
    service,
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
