"""Errors of signatures that can't be bound; found when the application starts."""

from collections.abc import Iterable

from cortado.exceptions import ConfigurationError

__all__ = ["ParameterError", "SignatureError"]


class ParameterError(ConfigurationError):
    """A parameter whose value can come from nowhere.

    Attributes:
        function: The class and method, such as `shop.api.ItemController.show`.
        parameter: The parameter's name.
    """

    def __init__(self, function: str, parameter: str, reason: str) -> None:
        self.function, self.parameter = function, parameter
        super().__init__(f"parameter {parameter!r} of {function} {reason}")


class SignatureError(ConfigurationError):
    """A function that can't be bound.

    Attributes:
        parameters: One error for each parameter that can't be bound.
    """

    def __init__(self, parameters: Iterable[ParameterError]) -> None:
        self.parameters = tuple(parameters)
        super().__init__("; ".join(str(error) for error in self.parameters))
