"""README.md and docs do what they show."""

from pathlib import Path

import pytest

from tests.docs.pages import run_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page, request):
    """Every Python block of the page runs, and so does every test that it shows."""
    run_page(page, request.getfixturevalue)


def page_of(directory, *blocks):
    page = directory / "page.md"
    page.write_text("\n\n".join(blocks))
    return page


def test_blocks_share_a_module(tmp_path, request):
    """What a block defines, the next ones see; classes find their annotations."""
    page = page_of(
        tmp_path,
        "```python\nfrom dataclasses import dataclass\nLeaf = int\n```",
        "text",
        "- ```python\n  @dataclass\n  class Tree:\n      leaf: 'Leaf'\n  ```",
        "```python\nfrom typing import get_type_hints\nassert get_type_hints(Tree) == {'leaf': int}\n```",
        "```console\n$ no python\n```",
    )

    assert run_page(page, request.getfixturevalue) == 3


def test_failing_block(tmp_path, request):
    """A block that fails says so with its line."""
    page = page_of(tmp_path, "# Title", "```python\nassert 1 == 2\n```")

    with pytest.raises(AssertionError) as raised:
        run_page(page, request.getfixturevalue)

    assert (str(page), 4) in [(str(entry.path), entry.lineno + 1) for entry in raised.traceback]


def test_shown_tests_run(tmp_path, request):
    """A test shown in a page is called, awaited where it must be, with its fixtures, and once."""
    page = page_of(
        tmp_path,
        "```python\nran = []\ndef test_one(tmp_path): ran.append(tmp_path.name)\n```",
        "```python\nasync def test_two(): ran.append('two')\n```",
        "```python\nassert len(ran) == 2, ran\n```",
    )

    assert run_page(page, request.getfixturevalue) == 3


@pytest.mark.parametrize("fence", ["```py", "```Python", "```python title=a", "```{python}", "~~~~ pycon"])
def test_unread_block(tmp_path, request, fence):
    """A block that only looks like Python is an error, and not left out."""
    page = page_of(tmp_path, f"{fence}\nx = 1\n{fence[:3] if fence[0] == '`' else '~~~~'}")

    with pytest.raises(AssertionError, match="look like Python"):
        run_page(page, request.getfixturevalue)
