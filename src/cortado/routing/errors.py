"""Errors of mappings; found when the application starts."""

from cortado.exceptions import ConfigurationError

__all__ = ["MappingError"]


class MappingError(ConfigurationError):
    """A mapping that can't work.

    Attributes:
        function: The class and method, such as `shop.api.ItemController.show`.
    """

    def __init__(self, function: str, reason: str) -> None:
        self.function = function
        super().__init__(f"{function} {reason}")
