from cortado.application import Cortado as Cortado
from cortado.exceptions import ConfigurationError as ConfigurationError
from cortado.exceptions import CortadoError as CortadoError
from cortado.exceptions import StartupError as StartupError
from cortado.settings import Settings as Settings

__all__ = ["ConfigurationError", "Cortado", "CortadoError", "Settings", "StartupError"]
__version__: str
