"""What importing Cortado costs, starts and pulls in."""

import json
import statistics
import subprocess
import sys
import textwrap

import pytest

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
"""
EDGE = ("starlette", "uvicorn", "dependency_injector", "pydantic", "pydantic_core")
OPTIONAL = {
    "httptools",
    "uvloop",
    "httpx2",
    "pytest",
    "hypothesis",
    "wsproto",
    "playwright",
    "click",
    "sybil",
    "pydantic_settings",
}


def python(source):
    """Run a program in a fresh interpreter, and return what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


@pytest.mark.parametrize("module", ["cortado.websocket.session", "cortado.websocket.lifecycle"])
def test_sessions_stand_alone(module):
    """Sessions and their lifecycle need no Starlette, no uvicorn, no dependency-injector, no pydantic."""
    python(BLOCK.format(names=EDGE) + f"import {module}")


def test_a_session_runs_alone():
    """A session lives and ends, hooks included, where none of the four can be imported."""
    told = python(
        BLOCK.format(names=EDGE)
        + textwrap.dedent("""
            import asyncio, json
            from cortado.websocket import CloseEvent, SessionRegistry, WebSocketSession
            from cortado.websocket.lifecycle import Handler, run_session
            from cortado.websocket.transport import Departure, Handshake

            told = []

            class Transport:
                handshake = Handshake("/alone")
                incoming = ["one", "two", Departure(4000, "bye")]

                async def accept(self, subprotocol, headers): told.append("accepted")
                async def receive(self): return self.incoming.pop(0)
                async def send_text(self, data): told.append(data)
                send_bytes = send_text

            class Endpoint:
                async def open(self, session):
                    session.on_ended(lambda: told.append("on_ended"))
                    return Handler(lambda: self.echo(session), lambda _: told.append("on_disconnect"))

                async def echo(self, session):
                    await session.accept()
                    while True:
                        await session.send_json({"echo": await session.receive_text()})

            async def main():
                session, registry = WebSocketSession(Transport()), SessionRegistry()
                await run_session(session, Endpoint(), registry)
                told.append([session.close_event.code, len(registry)])

            asyncio.run(main())
            print(json.dumps(told))
        """)
    )

    assert told == ["accepted", '{"echo":"one"}', '{"echo":"two"}', "on_disconnect", "on_ended", [4000, 0]]


def test_blocked_imports_are_blocked():
    """The block of the test above works."""
    with pytest.raises(AssertionError, match="starlette is blocked"):
        python(BLOCK.format(names=EDGE) + "import starlette")


def test_nothing_starts():
    """Importing the public face opens nothing, starts nothing and changes no logging."""
    python("""
        import asyncio, logging, os, threading, warnings

        warnings.simplefilter("error")
        files = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
        handlers = list(logging.getLogger().handlers)

        import cortado
        for name in cortado.__all__:
            getattr(cortado, name)

        assert threading.active_count() == 1, threading.enumerate()
        assert logging.getLogger().handlers == handlers
        assert logging.getLogger("cortado").handlers == []
        if files:
            assert len(os.listdir("/proc/self/fd")) == len(files)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise AssertionError("a loop runs")
    """)


def test_nothing_optional():
    """Importing the public face pulls in no optional dependency, no server and no command line."""
    loaded = python("""
        import json, sys
        import cortado
        for name in cortado.__all__:
            getattr(cortado, name)
        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
    """)

    assert not {*OPTIONAL, "uvicorn"} & set(loaded)


def test_public_face():
    """Every public name exists, is listed in order, and is offered to completion."""
    names, listed = python("""
        import json
        import cortado
        for name in cortado.__all__:
            assert getattr(cortado, name).__module__.startswith("cortado."), name
        print(json.dumps([cortado.__all__, dir(cortado)]))
    """)

    assert names == sorted(names)
    assert set(names) <= set(listed)


def test_unknown_name():
    """A name that isn't there is the usual error."""
    python("""
        import cortado
        try:
            cortado.Latte
        except AttributeError as error:
            assert "Latte" in str(error)
        else:
            raise AssertionError
    """)


def seconds(*statements, rounds=7):
    """Return the median processor time of each statement, each in fresh interpreters, in turns."""
    took = [[] for _ in statements]
    for _ in range(rounds):
        for held, statement in zip(took, statements, strict=True):
            held.append(
                python(f"""
                    import json, time
                    began = time.process_time()
                    {statement}
                    print(json.dumps(time.process_time() - began))
                """)
            )
    return [statistics.median(held) for held in took]


FOUNDATION = (
    "import starlette.applications, dependency_injector.containers, dependency_injector.providers;"
    "from pydantic import BaseModel, TypeAdapter"
)


def test_import_time():
    """Importing Cortado costs hardly more than what it is built on; what it needs later, it imports later."""
    foundation, cortado = seconds(FOUNDATION, "import cortado")

    assert cortado <= 1.3 * foundation


def test_import_time_of_the_application():
    """The whole application is imported in no more than twice the time of what it is built on."""
    foundation, application = seconds(FOUNDATION, "from cortado import Cortado")

    assert application <= 2 * foundation + 0.05


def test_help_is_quick():
    """`cortado --help` costs hardly more than starting Python and click."""
    click, cortado = seconds(
        "import click, importlib.metadata",
        "import contextlib, io\n"
        "                    from cortado.cli import main\n"
        "                    with contextlib.redirect_stdout(io.StringIO()):\n"
        "                        main(['--help'], standalone_mode=False)",
    )

    assert cortado <= 1.5 * click + 0.1


def test_help_imports_nothing_heavy():
    """The command line imports no server and no framework before a command runs."""
    loaded = python("""
        import contextlib, io, json, sys
        from cortado.cli import main
        with contextlib.redirect_stdout(io.StringIO()):
            main(["run", "--help"], standalone_mode=False)
        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
    """)

    assert not {*EDGE, "asyncio", "anyio"} & set(loaded)
