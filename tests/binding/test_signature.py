import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

from cortado.binding.signature import ABSENT, Unreadable, read_signature


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Widget:
    class Part:
        pass

    def use(self, a: int, /, b: "Part", *, c: "list[Widget]" = ()) -> "Widget":  # type: ignore[assignment,name-defined]
        return self

    def list(self) -> None:
        pass

    @passing
    def wrapped(self, a: "Annotated[int, 5]", *rest: int) -> None:
        pass

    def wrong(self, a: "Nothing", b: "1 +", c) -> None:  # type: ignore[name-defined,no-untyped-def,valid-type,syntax]  # noqa: F821, F722
        pass


def test_method() -> None:
    """A method's signature is read without its instance; strings may name the class's own things."""
    signature = read_signature(Widget.use, Widget)
    assert [(one.name, one.annotation, one.by_keyword) for one in signature.arguments] == [
        ("a", int, False),
        ("b", Widget.Part, False),
        ("c", list[Widget], True),
    ]
    assert [one.default for one in signature.arguments] == [ABSENT, ABSENT, ()]
    assert signature.returns is Widget


def test_wrapped_method() -> None:
    """A decorated method shows the signature of what it wraps, with all of `Annotated`."""
    first, rest = read_signature(Widget.wrapped, Widget).arguments
    assert first.annotation == Annotated[int, 5]
    assert (first.collects, rest.collects) == (False, True)


def test_unreadable_annotations() -> None:
    """An annotation that can't be evaluated says why, and leaves the others readable."""
    a, b, c = (one.annotation for one in read_signature(Widget.wrong, Widget).arguments)
    assert a == Unreadable("Nothing", "NameError: name 'Nothing' is not defined")
    assert isinstance(b, Unreadable)
    assert "SyntaxError" in b.reason
    assert c is ABSENT


def test_names_around_a_function() -> None:
    """Names of the functions around are known where the function uses them, or where they are given."""

    class Local:
        pass

    class Later:
        pass

    def use(a: "Local", b: "Later") -> None:
        print(Local, unassigned)

    signature = read_signature(use, names={"Later": Later})
    assert [one.annotation for one in signature.arguments] == [Local, Later]
    unassigned = inspect.Parameter
