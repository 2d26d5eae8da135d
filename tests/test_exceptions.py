"""The root of the error tree."""

import pytest

from cortado.exceptions import ConfigurationError, CortadoError, StartupError


@pytest.mark.parametrize("kind", [ConfigurationError, StartupError])
def test_one_root(kind):
    """Every error can be caught as a CortadoError."""
    assert issubclass(kind, CortadoError)


def test_single_problem():
    """A start that fails for one reason says that reason."""
    error = StartupError([LookupError("no bean of type Clock")])

    assert str(error) == "LookupError: no bean of type Clock"


def test_all_problems():
    """A start that fails for several reasons lists them all, numbered, in the order found."""
    problems = [LookupError("no bean of type Clock"), ConfigurationError("two methods on /a")]
    error = StartupError(iter(problems))

    assert error.problems == tuple(problems)
    assert str(error).splitlines() == [
        "2 problems keep the application from starting:",
        "1. LookupError: no bean of type Clock",
        "2. ConfigurationError: two methods on /a",
    ]
