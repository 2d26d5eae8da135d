"""`cortado beans` and `cortado routes`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cortado.cli import main

BEANS = """\
NAME              TYPE             SCOPE      STEREOTYPE       WHERE
prices            Prices           singleton  service          tests.cli.listed.Prices
basket            ShoppingBasket   prototype  service          tests.cli.listed.ShoppingBasket
items             Items            singleton  rest_controller  tests.cli.listed.Items
cortado_sessions  SessionRegistry  singleton                   cortado.websocket.registry.SessionRegistry
"""

ROUTES = """\
METHOD  PATH               HANDLER                      PARAMETERS
GET     /items/{item:int}  tests.cli.listed.Items.show  \
item: int (path), basket: ShoppingBasket (bean), limit: int (query, optional)
POST    /items             tests.cli.listed.Items.add   item: dict[str, int] (body), trace_id: str (header trace-id)
WS      /items/live        tests.cli.listed.Items.live  session: WebSocketSession (context)
"""

COMMANDS = pytest.mark.parametrize("command", ["beans", "routes"])


def cortado(*arguments):
    return CliRunner().invoke(main, arguments)


def test_beans():
    """`beans` lists name, type, scope, stereotype and place in columns, and creates nothing."""
    result = cortado("beans", "tests.cli.listed")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == BEANS


def test_graph():
    """`beans --graph` prints the graph of the container instead."""
    from tests.cli.listed import app

    for drawn in ("mermaid", "dot", "json"):
        assert (
            cortado("beans", "tests.cli.listed", "--graph", drawn).stdout == app.container.graph(drawn) + "\n"
        )
    assert json.loads(app.container.graph("json"))["beans"][0]["name"] == "prices"


def test_routes():
    """`routes` lists methods or WS, path, controller method, and each parameter with its type and source."""
    result = cortado("routes", "tests.cli.listed:app")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == ROUTES


def test_page():
    """The lists that the how-to page shows are those that the commands print."""
    page = (Path(__file__).parents[2] / "docs/how-to/inspect.md").read_text()

    assert cortado("routes", "samples.chat.app").stdout in page
    assert cortado("beans", "samples.chat.app").stdout in page


@COMMANDS
def test_broken_application(command):
    """What can be listed is; then everything that keeps the application from starting is named, with status 3."""
    result = cortado(command, "tests.cli.listed:broken")

    assert result.exit_code == 3
    assert result.stdout.startswith(("NAME", "METHOD"))
    assert result.stderr.startswith("Error: 2 problems keep the application from starting:\n")
    assert "parameter 'lost' of broken" in result.stderr
    assert "parameter 'anything' of tests.cli.listed.Broken.show" in result.stderr


@COMMANDS
def test_startup_error_of_the_module(command):
    """A StartupError while the module is imported is its text without a traceback, and status 3."""
    result = cortado(command, "tests.adapters.served:startup_error")

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: LookupError: no bean of type Clock\n"


@COMMANDS
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("tests.cli.nowhere", "there is no module 'tests.cli.nowhere'"),
        ("tests.cli.listed:ap", "did you mean 'app'?"),
        ("tests.cli.listed:Items", "the class Items, not an ASGI application"),
        ("tests.adapters.served:plain", "an ASGI application (Plain), but not Cortado's"),
        ("tests.adapters.served:function", "an ASGI application (function), but not Cortado's"),
    ],
)
def test_wrong_target(command, target, why):
    """A target that is no Cortado application is one sentence and status 2."""
    result = cortado(command, target)

    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr


@COMMANDS
def test_help(command):
    """The help names the target and what the statuses mean."""
    text = cortado(command, "--help").output

    assert "MODULE[:APP]" in text
    assert "status 3" in " ".join(text.split())


def test_unknown_format():
    """A format that there isn't is refused with those that there are."""
    result = cortado("beans", "tests.cli.listed", "--graph", "svg")

    assert result.exit_code == 2
    assert "'mermaid', 'dot', 'json'" in result.stderr


def test_help_is_cheap():
    """Importing the command line imports no web framework, no server and no container."""
    heavy = ("starlette", "uvicorn", "pydantic", "dependency_injector", "cortado.container")
    script = f"import sys, cortado.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.strip() == "[]"
