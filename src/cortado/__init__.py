"""Cortado: controllers, beans and WebSocket sessions that always end well, on any ASGI server."""

from importlib import import_module
from typing import Any

from cortado.exceptions import ConfigurationError, CortadoError, StartupError
from cortado.settings import Settings

__all__ = [
    "ConfigurationError",
    "Cortado",  # pyright: ignore[reportUnsupportedDunderAll] - comes with __getattr__ below
    "CortadoError",
    "Settings",
    "StartupError",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the application on first use: sessions and decorators need none of what it brings along."""
    if name == "Cortado":
        return import_module("cortado.application").Cortado
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name everything that can be had, what isn't imported yet included."""
    return sorted({*globals(), *__all__})
