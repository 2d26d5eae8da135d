"""The graph of the beans as text."""

import json

import pytest

from cortado.container import Container, Lazy, bean, component, configuration, depends_on, prototype, service
from cortado.exceptions import ConfigurationError


class Store: ...


@prototype
@component(name="end")
class Memory(Store): ...


@configuration
class Config:
    @bean
    def disk(self, archive: Lazy["Archive"]) -> Store:
        raise AssertionError("a graph creates nothing")


@depends_on("config")
@service
class Archive:
    def __init__(self, everything: list[Store], more: list[Store]) -> None:
        raise AssertionError("a graph creates nothing")


SOURCES = (Memory, Config, Archive)

MERMAID = """\
flowchart LR
  b0["end<br/>Memory, prototype"]
  b1["config<br/>Config, singleton"]
  b2["disk<br/>Store, singleton"]
  b3["archive<br/>Archive, singleton"]
  b2 --> b1
  b2 -.-> b3
  b3 --> b0
  b3 --> b2
  b3 --> b1"""

DOT = """\
digraph beans {
  rankdir=LR;
  node [shape=box];
  "end" [label="end\\nMemory, prototype"];
  "config" [label="config\\nConfig, singleton"];
  "disk" [label="disk\\nStore, singleton"];
  "archive" [label="archive\\nArchive, singleton"];
  "disk" -> "config";
  "disk" -> "archive" [style=dashed];
  "archive" -> "end";
  "archive" -> "disk";
  "archive" -> "config";
}"""


def test_mermaid():
    """Mermaid is the default; nodes have scopes, lazy edges are dashed, and nothing is created."""
    assert Container(*SOURCES).graph() == MERMAID


def test_dot():
    """Graphviz gets the same picture."""
    assert Container(*SOURCES).graph("dot") == DOT


def test_json():
    """JSON tells everything: stereotype and place of each bean, kind and parameter of each edge."""
    drawn = json.loads(Container(*SOURCES).graph("json"))

    assert [one["name"] for one in drawn["beans"]] == ["end", "config", "disk", "archive"]
    assert drawn["beans"][3] == {
        "name": "archive",
        "type": "Archive",
        "scope": "singleton",
        "stereotype": "service",
        "location": f"{__name__}.Archive",
    }
    assert [tuple(edge.values()) for edge in drawn["edges"]] == [
        ("disk", "config", "configuration", None),
        ("disk", "archive", "lazy", "archive"),
        ("archive", "end", "injected", "everything"),
        ("archive", "disk", "injected", "everything"),
        ("archive", "end", "injected", "more"),
        ("archive", "disk", "injected", "more"),
        ("archive", "config", "depends_on", None),
    ]


async def test_running():
    """A running container has the same graph as before its start."""
    async with Container(*SOURCES) as container:
        assert container.graph() == MERMAID


def test_names_are_escaped():
    """What is syntax in a format can't break out of a name."""
    container = Container()
    container.register(Store, name='a "b" <c> #\\')

    assert '["a #quot;b#quot; #lt;c#gt; #35;\\<br/>Store, singleton"]' in container.graph()
    assert '"a \\"b\\" <c> #\\\\" [label=' in container.graph("dot")
    assert json.loads(container.graph("json"))["beans"][0]["name"] == 'a "b" <c> #\\'


def test_broken_wiring():
    """A graph with a circle, or with something missing, is drawn as far as it goes."""

    class Lost: ...

    @component
    class First:
        def __init__(self, second: "Second") -> None: ...

    @component
    class Second:
        def __init__(self, first: First, lost: Lost) -> None: ...

    container = Container(First, Second)

    assert len(container.validate()) == 2
    assert container.graph().splitlines()[3:] == ["  b0 --> b1", "  b1 --> b0"]


def test_unknown_format():
    """Another format is refused with those that there are."""
    with pytest.raises(ConfigurationError, match="mermaid, dot, json"):
        Container().graph("svg")
