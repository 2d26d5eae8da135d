"""Profile expressions: words joined by `!`, `&`, `|` and parentheses."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cortado.exceptions import ConfigurationError

__all__ = ["DEFAULT", "ProfileExpression", "active_profiles"]

DEFAULT = "default"

NAME = r"[\w.-]+"
TOKEN = re.compile(rf"\s*({NAME}|\S)\s*")

Test = Callable[[frozenset[str]], bool]


@dataclass(frozen=True, slots=True)
class ProfileExpression:
    """When something belongs to the application, such as `dev & !cloud | test`.

    `!` binds closest, then `&`, then `|`.

    Raises:
        ConfigurationError: The text is no such expression; the sentence says where.
    """

    text: str
    _test: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text: object = self.text
        if not isinstance(text, str):
            raise ConfigurationError(f"a profile expression must be a string, not {self.text!r}")
        object.__setattr__(self, "_test", _Parser(self.text).parse())

    def holds(self, active: frozenset[str]) -> bool:
        """Whether the expression is true where exactly these profiles are active."""
        return self._test(active)


def active_profiles(given: Iterable[str]) -> frozenset[str]:
    """Return the profiles that are active: those given, or "default" where there are none.

    Raises:
        ConfigurationError: A name could not stand in an expression.
    """
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not _is_name(name):
            raise ConfigurationError(
                f"profile {name!r} must be one word of letters, digits, '_', '-' and '.'; "
                'several are a list: profiles=["dev", "test"]'
            )
    return frozenset(names or (DEFAULT,))


def _is_name(given: object) -> bool:
    return isinstance(given, str) and re.fullmatch(NAME, given) is not None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(match[1], match.start(1)) for match in TOKEN.finditer(text)]
        self._next = 0

    def parse(self) -> Test:
        test = self._any()
        if self._next < len(self._tokens):
            raise self._unexpected()
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._takes("|"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda active: any(test(active) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._takes("&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda active: all(test(active) for test in tests)

    def _one(self) -> Test:
        if self._takes("!"):
            test = self._one()
            return lambda active: not test(active)
        if self._takes("("):
            test = self._any()
            if not self._takes(")"):
                raise self._unexpected()
            return test
        return self._named()

    def _named(self) -> Test:
        name = self._tokens[self._next][0] if self._next < len(self._tokens) else ""
        if not _is_name(name):
            raise self._unexpected()
        self._next += 1
        return lambda active: name in active

    def _takes(self, token: str) -> bool:
        taken = self._next < len(self._tokens) and self._tokens[self._next][0] == token
        self._next += taken
        return taken

    def _unexpected(self) -> ConfigurationError:
        if self._next == len(self._tokens):
            found = "the expression ends too early"
        else:
            token, position = self._tokens[self._next]
            found = f"{token!r} at position {position + 1} is out of place"
        return ConfigurationError(
            f"profile {self._text!r} can't be read: {found}; write it like 'dev & !(cloud | test)'"
        )
