"""Running the Python blocks of a Markdown page."""

import asyncio
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

PYTHON_FENCE = re.compile(
    r"^[ \t>*+-]*(?:\d+[.)])?[ \t]*(?:`{3,}|~{3,})[ \t]*\{?py", re.MULTILINE | re.IGNORECASE
)
"""Any opening fence that a reader would take for Python."""


def run_page(page: Path, fixture: Callable[[str], Any]) -> int:
    """Run the blocks of a page one after the other in one module, and return how many there are.

    A function named `test_…` is called when its block has run, with the fixtures that it asks for.
    """
    document = Document.parse(str(page), PythonCodeBlockParser())
    module = sys.modules["page"] = ModuleType("page")
    document.namespace = vars(module)
    examples = list(document.examples())
    fences = len(PYTHON_FENCE.findall(document.text))
    assert fences == len(examples), (
        f"{page}: {fences} blocks look like Python, {len(examples)} are read as such"
    )
    for example in examples:
        known = dict(vars(module))
        example.evaluate()
        for name, value in list(vars(module).items()):
            if name.startswith("test_") and value is not known.get(name):
                call(value, fixture)
    return len(examples)


def call(test: Callable[..., Any], fixture: Callable[[str], Any]) -> None:
    arguments = {name: fixture(name) for name in inspect.signature(test).parameters}
    result = test(**arguments)
    if inspect.iscoroutine(result):
        asyncio.run(result)
