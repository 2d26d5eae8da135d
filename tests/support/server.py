"""A real server with an application under test, in a process of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import ChildProcess, ProcessFailure
from tests.support.sockets import count_states, open_files, tcp_sockets

WS_IMPLEMENTATIONS = ("websockets-sansio", "wsproto")
COMMANDS = {
    "uvicorn": ("uvicorn", "--no-access-log", "--port", "0"),
    "cortado": ("cortado", "run", "--port", "0"),
    "gunicorn": ("gunicorn", "--no-control-socket", "-k", "asgi", "--bind", "127.0.0.1:0"),
    "granian": ("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "0"),
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:0"),
}


class ServerProcess(ChildProcess):
    """A server on a free port of the loopback, with the workers that it starts.

    Args:
        target: The application's import string, seen from the root of the repository.
        output: The file for what the server writes.
        ws: uvicorn's WebSocket implementation; nothing to the other servers.
        arguments: More arguments for the command line, such as `("--ws-ping-interval", "0.5")`.
        environment: Variables on top of this process's ones.
        command: A key of `COMMANDS`.
    """

    def __init__(
        self,
        target: str,
        output: Path,
        *,
        ws: str = WS_IMPLEMENTATIONS[0],
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        command: str = "uvicorn",
    ) -> None:
        words = [*COMMANDS[command], *arguments, target]
        if command in ("uvicorn", "cortado"):
            words += ["--ws", ws]
        super().__init__(["-m", *words], output, environment=environment)
        self.port = 0

    def wait_ready(self, timeout: float = 20) -> None:
        """Return as soon as the server accepts connections; from then on `port` is known."""
        self.until(lambda: self._listening() or not self.alive, "the server to listen", timeout)
        if not self.port:
            raise ProcessFailure(f"the server ended with {self.popen.returncode}\n{self.log()}")

    def url(self, path: str = "/", scheme: str = "ws") -> str:
        """Return the address of a path."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def open_files(self) -> int:
        """Return how many file descriptors the server and its workers hold."""
        return sum(map(open_files, self.group()))

    def connections(self) -> int:
        """Return how many connections of clients the server holds, those in CLOSE_WAIT included."""
        states = self._states()
        return states["ESTABLISHED"] + states["CLOSE_WAIT"]

    def close_waits(self) -> int:
        """Return how many connections the server holds although their client has left."""
        return self._states()["CLOSE_WAIT"]

    def _states(self) -> Counter[str]:
        return sum((count_states(pid, self.port) for pid in self.group()), Counter())

    def _listening(self) -> bool:
        held = [one for pid in self.group() for one in tcp_sockets(pid)]
        self.port = next((one.port for one in held if one.state == "LISTEN"), 0)
        return bool(self.port)
