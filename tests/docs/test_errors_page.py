"""The page of errors shows every error of the container, with the text that it really has."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from sybil import Document
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import cortado.container
from cortado import ConfigurationError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
HEADINGS = re.findall(r"^## (\w+(?:Error)?)$", PAGE.read_text(), re.MULTILINE)
PREAMBLE = "Reading an error"

EXPORTED = [getattr(cortado.container, name) for name in cortado.container.__all__]
ERRORS = [one for one in EXPORTED if isinstance(one, type) and issubclass(one, Exception)]


def test_every_error_has_a_section():
    """Each error that `cortado.container` exports has a section, and so has ConfigurationError; nothing else has."""
    assert sorted(HEADINGS) == sorted(one.__name__ for one in (*ERRORS, ConfigurationError))


@pytest.mark.parametrize("error", [*ERRORS, ConfigurationError], ids=lambda one: one.__name__)
def test_attributes_are_named(error):
    """A section names every attribute that the class documents."""
    documented = re.findall(r"^ {8}(\w+): ", (error.__doc__ or "").partition("Attributes:")[2], re.MULTILINE)

    assert [name for name in documented if f"`{name}`" not in section(error.__name__)] == []


@pytest.mark.parametrize("name", [one for one in HEADINGS if one != "ContainerError"])
def test_texts_are_real(name, monkeypatch):
    """The block below an example is the text of the error that the example raises."""
    shown = []
    document = Document.parse(str(PAGE), PythonCodeBlockParser(), CodeBlockParser("text", shown.append))
    module = ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    document.namespace = vars(module)
    wanted = (*bounds(PREAMBLE), *bounds(name))
    for example in document.examples():
        if wanted[0] <= example.start < wanted[1] or wanted[2] <= example.start < wanted[3]:
            example.evaluate()
            if shown:
                assert shown.pop().parsed.rstrip() == text_of(vars(module).pop("error"))

    assert "```text" in section(name)


def text_of(error):
    return "\n".join((f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())))


def bounds(heading):
    """Return where a section begins and ends on the page."""
    text = PAGE.read_text()
    start = text.index(f"## {heading}\n")
    end = text.find("\n## ", start)
    return start, len(text) if end < 0 else end


def section(heading):
    start, end = bounds(heading)
    return PAGE.read_text()[start:end]
