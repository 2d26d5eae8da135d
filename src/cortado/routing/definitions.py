"""What is mapped where: plain data, readable without starting anything."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cortado.binding.plan import BindingPlan
from cortado.binding.results import Serialize
from cortado.container import BeanDefinition
from cortado.routing.mappings import ExceptionHandling, HttpMapping, RequestMapping, WebSocketMapping

__all__ = [
    "ExceptionHandlerDefinition",
    "ExceptionHandling",
    "HttpMapping",
    "RequestMapping",
    "RouteDefinition",
    "WebSocketDefinition",
    "WebSocketMapping",
]

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ExceptionHandlerDefinition:
    """One method that turns exceptions into responses, of a controller or of a controller advice."""

    bean: BeanDefinition
    """The bean whose method it is."""
    attribute: str
    """The name under which the method is found on the bean."""
    function: Function
    """The method as it stands in the class."""
    mapping: ExceptionHandling
    """Which exceptions it takes."""
    exceptions: frozenset[Any]
    """The annotations under which the method expects the exception."""
    plan: BindingPlan
    """How its parameters get their values."""
    serialize: Serialize
    """How its result becomes JSON."""


@dataclass(frozen=True, slots=True)
class RouteDefinition:
    """One method that answers HTTP requests on one path."""

    path: str
    """The full path, such as `/items/{id:int}`."""
    controller: BeanDefinition
    """The bean whose method it is."""
    attribute: str
    """The name under which the method is found on the bean."""
    function: Function
    """The method as it stands in the class."""
    mapping: HttpMapping
    """What the decorator says."""
    plan: BindingPlan
    """How the parameters get their values."""
    serialize: Serialize
    """How the result becomes JSON."""
    handlers: tuple[ExceptionHandlerDefinition, ...] = ()
    """The controller's own exception handlers."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods, in upper case; GET answers HEAD as well."""
        return self.mapping.methods

    @property
    def where(self) -> str:
        """How errors name the method: module, class, method."""
        return f"{self.controller.location}.{self.attribute}"

    @property
    def name(self) -> str:
        """A name for reverse look-ups: the bean's name and the method's."""
        return f"{self.controller.name}.{self.attribute}"


@dataclass(frozen=True, slots=True)
class WebSocketDefinition:
    """One method that handles WebSocket connections on one path."""

    path: str
    """The full path, such as `/rooms/{room}`."""
    controller: BeanDefinition
    """The bean whose method it is."""
    attribute: str
    """The name under which the method is found on the bean."""
    function: Function
    """The method as it stands in the class."""
    mapping: WebSocketMapping
    """What the decorator says."""
    plan: BindingPlan
    """How the parameters get their values."""
    hooks: frozenset[str] = frozenset()
    """Which of `on_disconnect` and `on_hard_close` the controller has."""
    handlers: tuple[ExceptionHandlerDefinition, ...] = ()
    """The controller's own exception handlers."""

    @property
    def where(self) -> str:
        """How errors name the method: module, class, method."""
        return f"{self.controller.location}.{self.attribute}"

    @property
    def name(self) -> str:
        """A name for reverse look-ups: the bean's name and the method's."""
        return f"{self.controller.name}.{self.attribute}"
