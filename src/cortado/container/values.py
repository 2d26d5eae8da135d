"""What properties such as `chat.max` are set to: by settings classes, and by environment variables."""

import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from cortado.container.errors import PropertyError
from cortado.container.injection import name_of

__all__ = ["Properties", "Property", "SettingsClass", "variable_of"]

NOT_SET = object()


@dataclass(frozen=True, slots=True)
class Property:
    """A property that is set."""

    name: str
    value: object
    place: str
    """Where it was found, in words."""
    raw: bool = False
    """Whether the value is the text of an environment variable, and not yet of its type."""


@dataclass(frozen=True, slots=True)
class SettingsClass:
    """A pydantic-settings class among the beans."""

    cls: Any
    prefix: str | None
    """The prefix of its properties; None for a class that has none, and so no properties for others."""
    description: str

    def covers(self, name: str) -> bool:
        """Whether a property is one of this class's."""
        return self.prefix is not None and name.startswith(f"{self.prefix}.")


class Properties:
    """Finds properties: in the settings class of the longest prefix, then in the environment.

    A settings class is read once, so that all who ask see the same values.
    """

    def __init__(self, classes: Iterable[SettingsClass] = ()) -> None:
        self._classes = sorted(classes, key=lambda one: len(one.prefix or ""), reverse=True)
        self._read: dict[SettingsClass, tuple[object, list[PropertyError]]] = {}

    def find(self, name: str) -> Property | None:
        """Return a property, or None where it isn't set; the case of its variable doesn't matter."""
        for one in self._covering(name):
            value = self._member(one, name)
            if value is not NOT_SET:
                return Property(name, value, one.description)
        variable = variable_of(name)
        found = os.environ.get(variable)
        if found is None:
            found = next((value for key, value in os.environ.items() if key.upper() == variable), None)
        return None if found is None else Property(name, found, f"environment variable {variable}", raw=True)

    def places(self, name: str) -> tuple[str, ...]:
        """Return where a property is looked for, in words."""
        classes = [one.description for one in self._covering(name)]
        return (*classes, f"environment variable {variable_of(name)}")

    def converted(self, found: Property, annotation: Any, required_by: str) -> object:
        """Return the value of a property as a type; text is read as pydantic-settings reads it.

        Raises:
            PropertyError: It isn't of the type, or can't be read without pydantic-settings.
        """
        try:
            return _from_text(found, annotation) if found.raw else _from_value(found, annotation)
        except Exception as error:
            reason, fix = _explained(error)
            raise PropertyError(
                found.name,
                type_name(annotation),
                reason,
                places=[found.place],
                required_by=required_by,
                fix=fix,
            ) from error

    def read(self, one: SettingsClass) -> tuple[object, list[PropertyError]]:
        """Return the instance of a settings class, and an error for each property that is missing or wrong."""
        if one not in self._read:
            try:
                options = {} if one.prefix is None else {"_env_prefix": f"{variable_of(one.prefix)}_"}
                self._read[one] = (one.cls(**options), [])
            except Exception as error:  # noqa: BLE001 - each of them is told as a problem of the start
                self._read[one] = (None, list(_problems(one, error)))
        return self._read[one]

    def _covering(self, name: str) -> Iterator[SettingsClass]:
        return (one for one in self._classes if one.covers(name))

    def _member(self, one: SettingsClass, name: str) -> object:
        value, problems = self.read(one)
        for part in name[len(one.prefix or "") + 1 :].split("."):
            value = NOT_SET if problems else _part(value, part)
        return value


def variable_of(name: str) -> str:
    """Return the environment variable of a property: `chat.max-size` is `CHAT_MAX_SIZE`."""
    return re.sub(r"\W", "_", name).upper()


def type_name(annotation: Any) -> str:
    """Return the type of a property as one would write it, without what is said about it."""
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return name_of(annotation)


def _part(value: object, name: str) -> object:
    if isinstance(value, Mapping):
        return value.get(name, NOT_SET)
    field = name.replace("-", "_")
    return getattr(value, field) if field in getattr(type(value), "model_fields", ()) else NOT_SET


def _from_value(found: Property, annotation: Any) -> object:
    from pydantic import TypeAdapter

    return TypeAdapter[object](annotation).validate_python(found.value)


def _from_text(found: Property, annotation: Any) -> object:
    from pydantic import Field, create_model
    from pydantic_settings import BaseSettings

    field: Any = (annotation, Field(validation_alias=variable_of(found.name)))
    return vars(create_model("Property", __base__=BaseSettings, value=field)())["value"]


def _explained(error: Exception) -> tuple[str, str]:
    """Return what is wrong, without the value, which may be a secret; and the cure."""
    from pydantic import ValidationError

    if isinstance(error, ModuleNotFoundError) and error.name == "pydantic_settings":
        return "can't be read without pydantic-settings", "pip install 'cortado[settings]'"
    if isinstance(error, ValidationError):
        said = "; ".join(one["msg"] for one in error.errors())
        return f"isn't valid: {said}", "correct the value"
    return f"can't be read: {error}", "correct the value, or the type"


def _problems(one: SettingsClass, error: Exception) -> Iterator[PropertyError]:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        reason, fix = _explained(error)
        problem = PropertyError(
            one.prefix or "*",
            name_of(one.cls),
            reason,
            places=_sources(one, ()),
            required_by=one.description,
            fix=fix,
        )
        problem.__cause__ = error
        yield problem
        return
    for wrong in error.errors():
        path = [str(part) for part in wrong["loc"]]
        field = one.cls.model_fields.get(path[0]) if path else None
        missing = wrong["type"] == "missing"
        yield PropertyError(
            ".".join([one.prefix, *path] if one.prefix else path) or "*",
            name_of(one.cls) if field is None else name_of(field.annotation),
            "isn't set" if missing else f"isn't valid: {wrong['msg']}",
            places=_sources(one, path),
            required_by=one.description,
            fix="set it, or give it a default" if missing else "correct the value",
        )


def _sources(one: SettingsClass, path: Iterable[str]) -> Iterator[str]:
    """Yield where pydantic-settings looks for a field, in words."""
    config = one.cls.model_config
    for name in tuple(path)[:1]:
        prefix = f"{one.prefix}." if one.prefix else config.get("env_prefix", "")
        yield f"environment variable {variable_of(f'{prefix}{name}' if name in one.cls.model_fields else name)}"
    for option in ("env_file", "secrets_dir", "toml_file", "yaml_file", "json_file"):
        if config.get(option):
            yield f"{option} {config[option]}"
