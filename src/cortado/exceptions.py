"""The root of the error tree, and the one error that stops a start."""

from collections.abc import Iterable

__all__ = ["ConfigurationError", "CortadoError", "StartupError"]


class CortadoError(Exception):
    """The root of every error that Cortado raises."""


class ConfigurationError(CortadoError):
    """A mapping, a signature or a setting can't work; the sentence says where and how to cure it."""


class StartupError(CortadoError):
    """The application can't start; `problems` holds everything that is wrong, not just the first thing.

    Attributes:
        problems: The single errors, in the order in which they were found.
    """

    def __init__(self, problems: Iterable[Exception]) -> None:
        self.problems: tuple[Exception, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Every problem with its own text, numbered when there are several."""
        texts = [f"{type(problem).__name__}: {problem}" for problem in self.problems]
        if len(texts) == 1:
            return texts[0]
        listed = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
        return f"{len(texts)} problems keep the application from starting:\n{listed}"
