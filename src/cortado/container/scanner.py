"""Finding beans in packages, without executing more than their modules."""

import importlib
import pkgutil
import types
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cortado.container.errors import ScanError
from cortado.container.stereotypes import Mark, Marker
from cortado.exceptions import ConfigurationError
from cortado.metadata import records_of

__all__ = ["scan"]


def scan(package: str, exclude: Sequence[str] = ()) -> Iterator[type]:
    """Yield the classes with a stereotype in a package or module, by module name and then as they are written.

    Folders without `__init__.py` are walked too; a module named `__main__` is never imported. A class counts in the
    module that defines it, not where it is imported. `exclude` names modules, with all they contain, as patterns.

    Raises:
        ScanError: A module can't be imported; it names the module, and its cause is the import's error.
        ConfigurationError: A decorator without its parentheses has taken the place of a class.
    """
    for module in _modules(package, exclude):
        for name, value in tuple(vars(module).items()):
            if isinstance(value, Marker) and value.has_swallowed(module.__name__, name):
                raise ConfigurationError(
                    f"{module.__name__}.{name} isn't a class any more, for its decorator took it as an argument; "
                    f"write {value.example}, with parentheses"
                )
            if isinstance(value, type) and value.__module__ == module.__name__ and _is_bean(value):
                yield value


def _is_bean(cls: type) -> bool:
    return any(mark.stereotype is not None for mark in records_of(cls, Mark))


def _modules(name: str, exclude: Sequence[str]) -> Iterator[types.ModuleType]:
    if any(name == one or name.startswith(f"{one}.") or fnmatchcase(name, one) for one in exclude):
        return
    module = _imported(name)
    yield module
    for child in _children(getattr(module, "__path__", ())):
        yield from _modules(f"{name}.{child}", exclude)


def _imported(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ScanError(name, error) from error


def _children(folders: Sequence[str]) -> list[str]:
    folders = list(folders)
    found = {module.name for module in pkgutil.iter_modules(folders)}
    for folder in map(Path, folders):
        if folder.is_dir():
            found |= {one.name for one in folder.iterdir() if _is_namespace(one)}
    return sorted(name for name in found if name.isidentifier() and name != "__main__")


def _is_namespace(folder: Path) -> bool:
    return folder.is_dir() and next(folder.rglob("*.py"), None) is not None
