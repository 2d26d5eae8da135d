"""The settings page names every setting with its default."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from cortado.settings import HttpSettings, Settings, WebSocketSettings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.mark.parametrize("group", [Settings, WebSocketSettings, HttpSettings], ids=lambda one: one.__name__)
def test_every_setting_is_on_the_page(group):
    """Each setting stands on the page once, with the default that the code has."""
    listed = re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE.read_text(), re.MULTILINE)
    plain = [one for one in fields(group) if one.default is not MISSING]

    assert len({name for name, _ in listed}) == len(listed)
    assert {one.name: repr(one.default) for one in plain}.items() <= dict(listed).items()


def test_nothing_else_is_on_the_page():
    """The page names no setting that doesn't exist."""
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    groups = (Settings, WebSocketSettings, HttpSettings)
    assert listed == {one.name for group in groups for one in fields(group) if one.default is not MISSING}
