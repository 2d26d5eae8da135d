"""A binding plan: flat steps that fetch, convert and arrange the arguments of a call."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cortado.binding.body import BodyStep
from cortado.binding.call import Call
from cortado.binding.sources import Step
from cortado.container import NOT_READY, BeanResolver
from cortado.problems import FieldError, RequestValidationError

__all__ = ["Arguments", "Binding", "BindingPlan", "BoundParameter"]


class Arguments(NamedTuple):
    """What a function is called with."""

    positional: Sequence[Any]
    keywords: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BoundParameter:
    """One parameter of a plan: where its value comes from and what it must be."""

    name: str
    """The parameter's name in the signature."""
    source: str
    """`path`, `query`, `header`, `cookie`, `body`, `context` or `bean`."""
    key: str
    """The name in the request."""
    annotation: Any
    """The type that values are converted to, pydantic's metadata included."""
    required: bool
    """Whether the client must send it."""
    description: str | None = None
    """What the value means."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One parameter with what was compiled for it: one of the three."""

    parameter: BoundParameter
    step: Step | None = None
    resolver: BeanResolver | None = None
    body: BodyStep | None = None


NO_KEYWORDS: Mapping[str, Any] = {}


class BindingPlan:
    """How the parameters of one function get their values; made once by `compile_plan`, used for every call.

    Attributes:
        parameters: Each parameter with its source, in the order of the signature.
        contexts: The types that a call's `context` must hold.
        beans: The beans that parameters ask for.
        needs_body: Whether a call must be able to read a body; `bind_now` never suffices then.
    """

    __slots__ = (
        "_beans",
        "_body",
        "_names",
        "_positional",
        "_steps",
        "beans",
        "contexts",
        "needs_body",
        "parameters",
    )

    def __init__(self, bindings: Sequence[Binding], keyword_only: Collection[str]) -> None:
        ordered = sorted(bindings, key=lambda one: one.parameter.name in keyword_only)
        self.parameters = tuple(one.parameter for one in bindings)
        self.contexts = frozenset(one.annotation for one in self.parameters if one.source == "context")
        self.beans = tuple(one.resolver.definition for one in bindings if one.resolver is not None)
        self._steps = tuple(one.step or _nothing for one in ordered)
        self._beans = tuple((at, one.resolver) for at, one in enumerate(ordered) if one.resolver is not None)
        self._body = next(((at, one.body) for at, one in enumerate(ordered) if one.body is not None), None)
        self._names = tuple(one.parameter.name for one in ordered if one.parameter.name in keyword_only)
        self._positional = len(ordered) - len(self._names)
        self.needs_body = self._body is not None

    def bind_now(self, call: Call) -> Arguments | None:
        """Return the arguments, or None where something must be awaited: `bind` does that.

        Raises:
            RequestValidationError: Values are missing or invalid; all of them are named.
        """
        if self._body is not None:
            return None
        errors: list[FieldError] = []
        values = [step(call, errors) for step in self._steps]
        if errors:
            raise RequestValidationError(tuple(errors))
        for at, resolver in self._beans:
            bean = resolver.get_if_ready()
            if bean is NOT_READY:
                return None
            values[at] = bean
        return self._arranged(values)

    async def bind(self, call: Call) -> Arguments:
        """Return the arguments; reads the body and awaits beans that are not there yet.

        Raises:
            RequestValidationError: Values are missing or invalid; all of them are named, the body's among them.
            UnsupportedMediaType: The body isn't JSON by its media type.
            BadRequest: The body isn't JSON by its text.
        """
        errors: list[FieldError] = []
        values = [step(call, errors) for step in self._steps]
        if self._body is not None:
            at, take = self._body
            raw = b"" if call.read_body is None else await call.read_body()
            values[at] = take(call, raw, errors)
        if errors:
            raise RequestValidationError(tuple(errors))
        for at, resolver in self._beans:
            bean = resolver.get_if_ready()
            values[at] = await resolver.get() if bean is NOT_READY else bean
        return self._arranged(values)

    def _arranged(self, values: list[Any]) -> Arguments:
        if not self._names:
            return Arguments(values, NO_KEYWORDS)
        split = self._positional
        return Arguments(values[:split], dict(zip(self._names, values[split:], strict=True)))


def _nothing(_: Call, __: list[FieldError]) -> None:
    """Hold the place of a bean or a body, which are fetched after the steps."""
