"""From `module:attribute` on the command line to the application it names."""

import difflib
import importlib
import inspect
import os
import sys
from types import ModuleType
from typing import Any

import click

__all__ = ["TargetError", "load"]


class TargetError(click.ClickException):
    """The target on the command line names no application; the sentence says why."""

    exit_code = 2


def load(target: str) -> Any:
    """Return the ASGI application that a target names, with the current directory importable.

    Args:
        target: `module:attribute`; without `:attribute`, the attribute `app` is meant.

    Raises:
        TargetError: There is no such module or attribute, or what it holds is no ASGI application. An exception
            raised by the module itself is passed on as it is.
    """
    module_name, _, attribute = target.partition(":")
    attribute = attribute or "app"
    app = _attribute_of(_module(module_name), attribute)
    if (why := _unfit(app)) is not None:
        raise TargetError(
            f"{module_name}:{attribute} is {why}, not an ASGI application; name the attribute that holds one"
        )
    return app


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(
            f"{name!r} is no module name; write it with dots and without .py: package.module:app"
        )
    here = os.getcwd()  # noqa: PTH109 — sys.path holds strings
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise TargetError(
            f"there is no module {error.name!r} in {here} or among the installed packages; "
            "run from the directory that holds it, or correct the name"
        ) from error


def _attribute_of(module: ModuleType, path: str) -> object:
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            near = difflib.get_close_matches(name, dir(found), 1)
            hint = f"did you mean {near[0]!r}?" if near else "name it after the colon: module:attribute"
            raise TargetError(f"the module {module.__name__!r} has no attribute {path!r}; {hint}")
        found = getattr(found, name)
    return found


def _unfit(app: object) -> str | None:
    """Return what a value is that can't be an ASGI application, or None for one that can."""
    if isinstance(app, type):
        return f"the class {app.__name__}"
    if not callable(app):
        return f"an object of type {type(app).__name__}"
    try:
        inspect.signature(app).bind(None, None, None)
    except TypeError:
        return "a callable that doesn't take scope, receive and send"
    except ValueError:  # a callable without a readable signature, such as one written in C
        return None
    return None
