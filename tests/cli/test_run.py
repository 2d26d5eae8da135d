"""`cortado run` and `python -m cortado run`."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cortado import __version__
from cortado.cli import main
from tests.adapters.running import READY, Served

ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("cortado")


def cortado(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "cortado", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help():
    """The help names the command and its options, and that it listens on loopback."""
    assert "run" in CliRunner().invoke(main, ["--help"]).output
    text = CliRunner().invoke(main, ["run", "--help"]).output

    for word in ("--host", "127.0.0.1", "--port", "--ws", "--log-level", "MODULE[:APP]"):
        assert word in text


def test_version():
    """`--version` says the version of the package."""
    assert CliRunner().invoke(main, ["--version"]).output.strip() == f"cortado, version {__version__}"


def test_console_script():
    """The installed command is the same as `python -m cortado`."""
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == cortado("--help").stdout


@pytest.mark.parametrize("option", [("--port", "70000"), ("--ws", "legacy"), ("--log-level", "loud")])
def test_bad_option(option):
    """An option out of its range is refused with status 2."""
    result = CliRunner().invoke(main, ["run", "tests.adapters.served:plain", *option])

    assert result.exit_code == 2
    assert option[0] in result.output


def test_wrong_target():
    """A target that can't be found is one sentence and status 2."""
    result = cortado("run", "tests.adapters.nowhere:app")

    assert result.returncode == 2
    assert re.fullmatch(r"Error: there is no module 'tests\.adapters\.nowhere' .*\n", result.stderr)


def test_import_error_of_the_module(tmp_path):
    """An ImportError inside the user's module shows its own traceback."""
    (tmp_path / "shop.py").write_text("import nothing_of_that_name\napp = None\n")

    result = cortado("run", "shop:app", cwd=tmp_path)

    assert result.returncode == 1
    assert "shop.py" in result.stderr
    assert result.stderr.endswith("ModuleNotFoundError: No module named 'nothing_of_that_name'\n")


def test_startup_error():
    """A StartupError is its text without a traceback, and status 3."""
    result = cortado("run", "tests.adapters.served:startup_error")

    assert result.returncode == 3
    assert result.stderr == "Error: LookupError: no bean of type Clock\n"


def test_missing_implementation(monkeypatch):
    """A WebSocket implementation that isn't installed is answered with how to install it."""
    monkeypatch.setitem(sys.modules, "wsproto", None)

    result = CliRunner().invoke(main, ["run", "tests.adapters.served:plain", "--ws", "wsproto"])

    assert result.exit_code == 2
    assert "pip install wsproto" in result.output


@pytest.mark.server
def test_current_directory(tmp_path):
    """The application is imported from the current directory, and its prints and logs are seen."""
    (tmp_path / "shop.py").write_text(
        "import logging\n"
        "logging.getLogger('cortado.shop').debug('open')\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        logging.getLogger('cortado.shop').debug('starting')\n"
        "        raise RuntimeError\n"
    )
    server = Served("shop", "--log-level", "debug", cwd=tmp_path)
    try:
        server.wait_for(READY)
        server.send(signal.SIGTERM)

        assert server.exit_status() == 0
        assert re.search(r"DEBUG: +starting", server.output)
    finally:
        server.close()
