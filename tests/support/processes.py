"""A process of its own for a test, that never outlives it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
POLL = 0.01


class ProcessFailure(AssertionError):
    """A process did not do what the test waited for; the text ends with the process's output."""


def poll(condition: Callable[[], object], timeout: float, awaited: Callable[[], str]) -> None:
    """Return as soon as the condition holds; it is looked at every 10 ms."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ProcessFailure(f"waited {timeout:g} s in vain for {awaited()}")
        time.sleep(POLL)


def search_path() -> str:
    """Return the `PYTHONPATH` with which a child finds `tests`, and whatever its parent was told to find."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


class ChildProcess:
    """`python <arguments>` in a process group of its own; both its outputs go to a file.

    Leaving its context kills the whole group, and adds the output to an error on its way.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        output: Path,
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> None:
        self.output = output
        with output.open("ab") as sink:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=stdin,
                stdout=sink if stdout is None else stdout,
                stderr=sink,
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONPATH": search_path(),
                    **(environment or {}),
                },
                process_group=0,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if error is not None and not isinstance(error, ProcessFailure):
            error.add_note(self.log())

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def log(self) -> str:
        """Return the last of what the process has written, with a title."""
        text = self.output.read_text(errors="replace")[-8000:]
        return f"--- output of {' '.join(self.popen.args[1:])} (pid {self.pid}) ---\n{text}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself; nothing if it has ended."""
        self.popen.send_signal(number)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def interrupt(self) -> None:
        self.signal(signal.SIGINT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process as Ctrl-Z does, and return when it stands still."""
        self.signal(signal.SIGSTOP)
        self.until(lambda: self._state() in "Tt", "the process to be stopped")

    def unpause(self) -> None:
        self.signal(signal.SIGCONT)

    def group(self) -> list[int]:
        """Return the ids of the process and of all that it has started, as far as they still run."""
        return [
            int(stat.parent.name)
            for stat in Path("/proc").glob("[0-9]*/stat")
            if (fields := _fields(stat)) and int(fields[2]) == self.pid and fields[0] not in "ZX"
        ]

    def wait(self, timeout: float = 10) -> int:
        """Return the exit status: negative for a signal."""
        self.until(lambda: not self.alive, "the process to end", timeout)
        return self.popen.returncode

    def until(self, condition: Callable[[], object], awaited: str, timeout: float = 10) -> None:
        """Return as soon as the condition holds."""
        poll(condition, timeout, lambda: f"{awaited}\n{self.log()}")

    def end(self) -> None:
        """Kill what is left of the process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(10)
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()

    def _state(self) -> str:
        return _fields(Path(f"/proc/{self.pid}/stat"))[0]


def _fields(stat: Path) -> list[str]:
    """Return what the kernel says of a process after its name: state, parent, group; nothing if it has ended."""
    try:
        return stat.read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
