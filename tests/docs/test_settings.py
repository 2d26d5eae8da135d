"""The settings page names every setting with its default."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from cortado.settings import HttpSettings, Settings, WebSocketSettings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


GROUPS = {"Top level": Settings, "`websocket`": WebSocketSettings, "`http`": HttpSettings}


@pytest.mark.parametrize("heading", GROUPS)
def test_every_setting_is_on_the_page(heading):
    """Each setting of a group, and nothing else, stands below its heading once, with the default of the code."""
    listed = re.findall(r"^\| `(\w+)` \| (.+?) \|", section(heading), re.MULTILINE)
    plain = [one for one in fields(GROUPS[heading]) if one.default is not MISSING]

    assert sorted(listed) == sorted((one.name, repr(one.default)) for one in plain)


def test_every_group_is_on_the_page():
    """The page has a part for each group of settings, and no other part."""
    assert re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE) == list(GROUPS)


def section(heading):
    return PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
