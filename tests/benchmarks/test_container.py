"""The container's benchmark: it runs, and says what it has found."""

import json
import sys
from pathlib import Path

import pytest

from tests.benchmarks import container


def test_table_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A run prints a table with goal and verdict, and writes the same figures where it is told to."""
    written = tmp_path / "figures.json"

    container.main(["--items", "cached,scope", "--rounds", "1", "--sample", "0.001", "--json", str(written)])

    printed = capsys.readouterr().out
    assert "cached singleton; µs, goal 0.25" in printed
    figures = json.loads(written.read_text())
    found = figures["cached"]["candidates"]["Cortado, get"]
    assert found["median"] == found["minimum"] > 0
    assert found["ratio"] > 0
    assert figures["cached"]["candidates"]["raw Python, an attribute"]["ratio"] == 1
    assert found["verdict"] in ("reached", "missed")
    assert f"{found['median']:.3f}" in printed


def test_missing_peer_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A peer that isn't installed is left out, and the run says so."""
    monkeypatch.setitem(sys.modules, "rodi", None)

    container.main(["--items", "cached", "--rounds", "1", "--sample", "0.001"])

    printed = capsys.readouterr().out
    assert "left out: rodi, sync: " in printed
    assert "\n  rodi" not in printed


def test_unknown_item(capsys: pytest.CaptureFixture[str]):
    """A word that is no item ends the run before anything is measured."""
    with pytest.raises(SystemExit):
        container.main(["--items", "cached,everything"])

    assert "unknown item 'everything'" in capsys.readouterr().err
