"""A real server with an application under test, in a process of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import ChildProcess, ProcessFailure
from tests.support.sockets import count_states, open_files, tcp_sockets

WS_IMPLEMENTATIONS = ("websockets-sansio", "wsproto")
COMMANDS = {"uvicorn": ("uvicorn", "--no-access-log"), "cortado": ("cortado", "run")}


class ServerProcess(ChildProcess):
    """uvicorn, or `cortado run`, on a free port of the loopback.

    Args:
        target: The application's import string, seen from the root of the repository.
        output: The file for what the server writes.
        ws: uvicorn's WebSocket implementation.
        arguments: More arguments for the command line, such as `("--ws-ping-interval", "0.5")`.
        environment: Variables on top of this process's ones.
        command: `uvicorn` or `cortado`.
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
        words = [*COMMANDS[command], target, "--port", "0", "--ws", ws, *arguments]
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
        """Return how many file descriptors the server holds."""
        return open_files(self.pid)

    def connections(self) -> int:
        """Return how many connections of clients the server holds, those in CLOSE_WAIT included."""
        states = count_states(self.pid, self.port)
        return states["ESTABLISHED"] + states["CLOSE_WAIT"]

    def close_waits(self) -> int:
        """Return how many connections the server holds although their client has left."""
        return count_states(self.pid, self.port)["CLOSE_WAIT"]

    def _listening(self) -> bool:
        ports = [one.port for one in tcp_sockets(self.pid) if one.state == "LISTEN"]
        self.port = ports[0] if ports else 0
        return bool(ports)
