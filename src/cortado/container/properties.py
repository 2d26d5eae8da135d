"""What properties such as `chat.max` are set to."""

import os
import re
from dataclasses import dataclass

__all__ = ["Properties", "Property", "variable_of"]


@dataclass(frozen=True, slots=True)
class Property:
    """A property that is set."""

    name: str
    value: object
    place: str
    """Where it was found, in words."""


class Properties:
    """Finds properties in the environment variables of this moment."""

    def find(self, name: str) -> Property | None:
        """Return a property, or None where it isn't set; the case of the variable doesn't matter."""
        variable = variable_of(name)
        found = os.environ.get(variable)
        if found is None:
            found = next((value for key, value in os.environ.items() if key.upper() == variable), None)
        return None if found is None else Property(name, found, f"environment variable {variable}")

    def places(self, name: str) -> tuple[str, ...]:
        """Return where a property is looked for, in words."""
        return (f"environment variable {variable_of(name)}",)


def variable_of(name: str) -> str:
    """Return the environment variable of a property: `chat.max-size` is `CHAT_MAX_SIZE`."""
    return re.sub(r"\W", "_", name).upper()
