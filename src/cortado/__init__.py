"""Cortado: controllers, beans and WebSocket sessions that always end well, on any ASGI server."""

from cortado.application import Cortado
from cortado.exceptions import ConfigurationError, CortadoError, StartupError
from cortado.settings import Settings

__all__ = ["ConfigurationError", "Cortado", "CortadoError", "Settings", "StartupError"]
__version__ = "0.1.0"
