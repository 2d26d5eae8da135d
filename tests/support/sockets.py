"""What the kernel says about a process's files and sockets, read from /proc."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STATES = {"01": "ESTABLISHED", "08": "CLOSE_WAIT", "0A": "LISTEN"}


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """A TCP socket that a process holds open."""

    port: int
    """The local port."""
    state: str
    """The kernel's word, for the states that a test asks about; else its number."""


def open_files(pid: int) -> int:
    """Return how many file descriptors a process holds; none if it has ended."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return 0


def tcp_sockets(pid: int) -> list[TcpSocket]:
    """Return the TCP sockets that a process holds; none if it has ended."""
    held = set(_inodes(pid))
    return [
        TcpSocket(int(fields[1].rpartition(":")[2], 16), STATES.get(fields[3], fields[3]))
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[9] in held
    ]


def count_states(pid: int, port: int) -> Counter[str]:
    """Return how many sockets of a process on one local port are in which state."""
    return Counter(one.state for one in tcp_sockets(pid) if one.port == port)


def _inodes(pid: int) -> Iterator[str]:
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[8:-1]
