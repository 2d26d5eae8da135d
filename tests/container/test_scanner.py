"""Scanning packages."""

import asyncio
import sys
import textwrap

import pytest

from cortado import ConfigurationError
from cortado.container import Container, ScanError, StartupError

BEAN = """
    from cortado.container import component
    @component
    class {name}: ...
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes modules of a package that is gone after the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(path: str, text: str = "") -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    yield write
    for name in [one for one in sys.modules if one.partition(".")[0] in ("shop", "stall")]:
        del sys.modules[name]


def test_finds_beans_everywhere(package):
    """Beans are found in the package, its modules, its subpackages and folders without `__init__`."""
    package("shop/__init__.py", BEAN.format(name="Root"))
    package("shop/cart.py", BEAN.format(name="Cart"))
    package("shop/deep/__init__.py")
    package("shop/deep/down.py", BEAN.format(name="Down"))
    package("shop/open/gate.py", BEAN.format(name="Gate"))
    package("shop/data/notes.txt")
    package("shop/not-a-module/code.py", "raise SystemError")

    assert Container("shop").names() == ("root", "cart", "down", "gate")


def test_imported_beans_count_once(package):
    """A bean that another module imports is registered once, and a subclass without a stereotype isn't."""
    package("shop/__init__.py", "from shop.cart import Cart")
    package("shop/cart.py", BEAN.format(name="Cart") + "    class Sub(Cart): ...")
    container = Container("shop")
    container.scan("shop")
    container.scan("shop.cart")

    assert container.names() == ("cart",)
    assert container.validate() == []


def test_main_is_never_executed(package):
    """A module named `__main__` is left alone."""
    package("shop/__init__.py")
    package("shop/__main__.py", "raise SystemExit('executed')")

    assert Container("shop").names() == ()


@pytest.mark.parametrize("text", ["import not_there_at_all", "raise SystemExit(2)", "def"])
def test_broken_module(package, text):
    """A module that can't be imported is an error that names it and keeps the cause; nothing is registered."""
    package("shop/__init__.py", BEAN.format(name="Root"))
    package("shop/broken.py", text)
    container = Container()
    with pytest.raises(ScanError, match=r"shop\.broken") as failed:
        container.scan("shop")

    assert failed.value.module == "shop.broken"
    assert "fix: mend the module, or leave it out: container.scan(..., exclude=['shop.broken'])" in str(
        failed.value
    )
    assert failed.value.__cause__ is not None
    assert container.names() == ()


def test_unknown_package():
    """So is a package that doesn't exist."""
    with pytest.raises(ScanError, match="no_such_shop") as failed:
        Container("no_such_shop.cart")

    assert "fix: correct the name, or start Python where the package can be imported" in str(failed.value)


def test_class_taken_for_an_argument(package):
    """A decorator without its parentheses can't make a bean vanish from its package."""
    package(
        "shop/__init__.py",
        """
        from cortado.container import component, conditional_on_missing_bean
        @conditional_on_missing_bean
        @component
        class Store: ...
        """,
    )
    with pytest.raises(ConfigurationError, match=r"shop\.Store .* write @conditional_on_missing_bean\(\)"):
        Container("shop")


def test_shared_condition(package):
    """A condition that a module keeps under a name of its own is no mistake."""
    package("shop/__init__.py", BEAN.format(name="Store"))
    package(
        "shop/parts.py",
        """
        from cortado.container import component, conditional_on_bean
        from shop import Store
        where_there_is_a_store = conditional_on_bean(Store)
        @component
        @where_there_is_a_store
        class Shelf: ...
        """,
    )
    assert Container("shop").names() == ("store", "shelf")


def test_exclude(package):
    """Excluded modules aren't imported, nor what they contain; patterns are allowed."""
    package("stall/__init__.py")
    package("stall/tests/__init__.py", "raise SystemError")
    package("stall/tests/one.py", "raise SystemError")
    package("stall/cart_bench.py", "raise SystemError")
    package("stall/cart.py", BEAN.format(name="Cart"))
    container = Container()
    container.scan("stall", exclude=["stall.tests", "*_bench"])

    assert container.names() == ("cart",)


MISTAKES = """
    from abc import ABC, abstractmethod
    from typing import Annotated, Any
    from cortado.container import (
        Value, bean, component, conditional, configuration, conditional_on_missing_bean, depends_on, service
    )

    class Missing: ...

    @service
    class Lonely:
        def __init__(self, missing: Missing) -> None: ...

    class Store: ...

    @component
    class Disk(Store): ...

    @component
    class Memory(Store): ...

    @service
    class Undecided:
        def __init__(self, store: Store) -> None: ...

    @service
    class Hen:
        def __init__(self, egg: "Egg") -> None: ...

    @service
    class Egg:
        def __init__(self, hen: Hen) -> None: ...

    @service
    class Vague:
        def __init__(self, anything: Any) -> None: ...

    @service(name="disk")
    class Other: ...

    @service
    class Limited:
        def __init__(self, limit: Annotated[int, Value("shop.limit-that-nobody-set")]) -> None: ...

    @component
    class Open(ABC):
        @abstractmethod
        def run(self) -> None: ...

    def weather():
        raise LookupError("no idea")

    @component
    @conditional(weather)
    class Umbrella: ...

    @configuration
    class Untyped:
        @bean
        def something(self): ...

    @component
    @depends_on("nobody")
    class Late: ...

    class Left: ...
    class Right: ...

    @component
    @conditional_on_missing_bean(Right)
    class ThisWay(Left): ...

    @component
    @conditional_on_missing_bean(Left)
    class ThatWay(Right): ...
"""


def test_every_mistake_of_a_package_at_once(package):
    """Whatever is wrong with the beans of a package is told together, each mistake once."""
    package("shop/__init__.py", MISTAKES)

    with pytest.raises(StartupError) as failed:
        asyncio.run(Container("shop").start())

    assert sorted(type(one).__name__ for one in failed.value.problems) == [
        "AnnotationError",
        "AnnotationError",
        "BeanDefinitionError",
        "CircularConditionError",
        "CircularDependencyError",
        "ConditionError",
        "DuplicateBeanError",
        "NoSuchBeanError",
        "NoSuchBeanError",
        "NoUniqueBeanError",
        "PropertyError",
    ]
    text = str(failed.value)
    assert text.startswith("11 problems keep the application from starting:\n1. ")
    for place in (
        "required by: parameter 'missing' of lonely (shop.Lonely, singleton)",
        "required by: parameter 'store' of undecided (shop.Undecided, singleton)",
        "hen (shop.Hen, singleton) -> egg (shop.Egg, singleton) -> hen (shop.Hen, singleton)",
        "parameter 'anything' of vague (shop.Vague, singleton): Any says nothing about the bean",
        "return value of shop.Untyped.something: has no annotation",
        "two beans are named 'disk': shop.Disk and shop.Other",
        "required by: parameter 'limit' of limited (shop.Limited, singleton)",
        "open (shop.Open, singleton) is abstract",
        "required by: umbrella (shop.Umbrella, singleton)",
        "required by: depends_on of late (shop.Late, singleton)",
        "this_way (shop.ThisWay, singleton) -> that_way (shop.ThatWay, singleton) -> this_way",
    ):
        assert text.count(place) == 1


def test_import_error_stops_the_scan(package):
    """A module that can't be imported ends the scan before anything else is looked at, and is named."""
    package("shop/__init__.py", MISTAKES)
    package("shop/apples.py", "import not_there_at_all")
    package("shop/pears.py", "raise SystemError('never imported')")

    with pytest.raises(ScanError) as failed:
        Container("shop")

    assert failed.value.module == "shop.apples"
    assert str(failed.value).startswith(
        "module 'shop.apples' can't be scanned: ModuleNotFoundError: No module named 'not_there_at_all'\n  fix: "
    )
    assert "shop.pears" not in sys.modules
