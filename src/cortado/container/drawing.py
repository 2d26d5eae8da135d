"""The beans and who holds whom, as text that other tools draw."""

import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortado.container.definitions import BeanDefinition, FactoryKind
from cortado.container.injection import name_of
from cortado.container.plans import Plan
from cortado.exceptions import ConfigurationError

__all__ = ["draw"]


class EdgeKind(enum.Enum):
    """Why one bean refers to another."""

    INJECTED = "injected"
    """It is a parameter of its factory."""
    LAZY = "lazy"
    """It is looked up later, through a `Lazy` parameter."""
    CONFIGURATION = "configuration"
    """It is the configuration whose method makes the bean."""
    DEPENDS_ON = "depends_on"
    """It has to exist first."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One bean refers to another."""

    holder: str
    held: str
    kind: EdgeKind
    parameter: str | None = None


def draw(plans: Sequence[Plan], format: str) -> str:
    """Return the beans of some plans, and the references among them, in the order of the plans.

    Raises:
        ConfigurationError: The format is none of mermaid, dot and json.
    """
    if format not in FORMATS:
        raise ConfigurationError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    shown = {plan.definition.name for plan in plans}
    edges = [edge for plan in plans for edge in _edges(plan) if edge.held in shown]
    return FORMATS[format]([plan.definition for plan in plans], edges)


def _edges(plan: Plan) -> Iterator[Edge]:
    holder = plan.definition
    if holder.owner is not None:
        yield Edge(holder.name, holder.owner, EdgeKind.CONFIGURATION)
    for argument in plan.arguments:
        kind = EdgeKind.LAZY if argument.lazy else EdgeKind.INJECTED
        yield from (Edge(holder.name, held, kind, argument.parameter) for held in argument.targets)
    kind = EdgeKind.INJECTED if holder.kind is FactoryKind.PROVIDER else EdgeKind.DEPENDS_ON
    yield from (Edge(holder.name, held, kind) for held in holder.depends_on)


def _mermaid(beans: Sequence[BeanDefinition], edges: Sequence[Edge]) -> str:
    # a bean's name may be a word of Mermaid's own, such as "end", so nodes are numbered
    ids = {bean.name: f"b{number}" for number, bean in enumerate(beans)}
    lines = ["flowchart LR"]
    for bean in beans:
        label = "<br/>".join(map(_in_mermaid, _label(bean)))
        lines.append(f'  {ids[bean.name]}["{label}"]')
    for one in edges:
        arrow = "-.->" if one.kind is EdgeKind.LAZY else "-->"
        lines.append(f"  {ids[one.holder]} {arrow} {ids[one.held]}")
    return "\n".join(_once(lines))


def _dot(beans: Sequence[BeanDefinition], edges: Sequence[Edge]) -> str:
    lines = ["digraph beans {", "  rankdir=LR;", "  node [shape=box];"]
    for bean in beans:
        label = "\\n".join(map(_in_dot, _label(bean)))
        lines.append(f'  "{_in_dot(bean.name)}" [label="{label}"];')
    for one in edges:
        style = " [style=dashed]" if one.kind is EdgeKind.LAZY else ""
        lines.append(f'  "{_in_dot(one.holder)}" -> "{_in_dot(one.held)}"{style};')
    return "\n".join([*_once(lines), "}"])


def _json(beans: Sequence[BeanDefinition], edges: Sequence[Edge]) -> str:
    nodes = [
        {
            "name": bean.name,
            "type": name_of(bean.type),
            "scope": str(bean.scope),
            "stereotype": None if bean.stereotype is None else bean.stereotype.value,
            "location": bean.location,
        }
        for bean in beans
    ]
    links = [
        {"from": one.holder, "to": one.held, "kind": one.kind.value, "parameter": one.parameter}
        for one in edges
    ]
    return json.dumps({"beans": nodes, "edges": links}, indent=2, ensure_ascii=False)


FORMATS: Mapping[str, Callable[[Sequence[BeanDefinition], Sequence[Edge]], str]] = {
    "mermaid": _mermaid,
    "dot": _dot,
    "json": _json,
}


def _label(bean: BeanDefinition) -> tuple[str, str]:
    return bean.name, f"{name_of(bean.type)}, {bean.scope}"


def _in_mermaid(text: str) -> str:
    for plain, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(plain, code)
    return text


def _in_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _once(lines: Sequence[str]) -> list[str]:
    """Leave out the repetitions: two parameters may hold the same bean."""
    return list(dict.fromkeys(lines))
