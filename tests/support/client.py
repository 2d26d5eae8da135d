"""A WebSocket client in a process of its own: it can be killed, stopped, muted, and made to reset its connection."""

import base64
import json
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import ChildProcess, ProcessFailure

PROGRAM = Path(__file__).with_name("client_program.py")


@dataclass(frozen=True, slots=True)
class Opened:
    """The server accepted."""

    subprotocol: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection ended; 1006 stands for an end without a close frame."""

    code: int
    reason: str


class Denied(Exception):
    """The server refused the handshake; status 0 stands for an end without an answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        self.status, self.headers, self.body = status, headers, body
        super().__init__(f"denied with {status}: {body}")


class ConnectionEnded(Exception):
    """There is no further message, because the connection has ended."""

    def __init__(self, closed: Closed) -> None:
        self.closed = closed
        super().__init__(f"closed with {closed.code} {closed.reason!r}")


class ClientProcess(ChildProcess):
    """A client process with one connection at a time; each wait has a limit."""

    def __init__(self, output: Path) -> None:
        super().__init__([str(PROGRAM)], output, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def connect(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        receive_buffer: int | None = None,
        timeout: float = 10,
    ) -> Opened:
        """Open the connection, or raise `Denied`. A small `receive_buffer` makes a mute client felt early."""
        self.begin(url, subprotocols=subprotocols, headers=headers, receive_buffer=receive_buffer)
        event = self._next(("open", "denied"), timeout)
        if event["event"] == "denied":
            raise Denied(event["status"], event["headers"], event["body"])
        return Opened(event["subprotocol"], event["headers"])

    def begin(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        """Send the handshake, and wait for nothing."""
        self._do(
            "connect",
            url=url,
            subprotocols=list(subprotocols),
            headers=dict(headers or {}),
            receive_buffer=receive_buffer,
        )

    def send(self, message: str | bytes) -> None:
        """Send a message; nothing if the connection has ended."""
        if isinstance(message, str):
            self._do("send", text=message)
        else:
            self._do("send", data=base64.b64encode(message).decode())

    def receive(self, timeout: float = 10) -> str | bytes:
        """Return the next message, or raise `ConnectionEnded`."""
        event = self._next(("message", "closed"), timeout)
        if event["event"] == "closed":
            raise ConnectionEnded(Closed(event["code"], event["reason"]))
        return event["text"] if "text" in event else base64.b64decode(event["bytes"])

    def closed(self, timeout: float = 10) -> Closed:
        """Wait for the end of the connection, passing over messages."""
        while True:
            event = self._next(("message", "closed"), timeout)
            if event["event"] == "closed":
                return Closed(event["code"], event["reason"])

    def send_frame(self, first_byte: int, payload: bytes) -> None:
        """Send a short frame as it is, however wrong: its first byte (FIN and opcode) and its payload."""
        self._do("send_frame", first_byte=first_byte, payload=base64.b64encode(payload).decode())

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a close frame; `closed()` waits for the answer."""
        self._do("close", code=code, reason=reason)

    def mute(self) -> None:
        """Stop reading, pings included, and return when it has."""
        self._do("mute")
        self._next(("message", "muted"), 10, until="muted")

    def listen(self) -> None:
        """Read again."""
        self._do("listen")
        self._next(("listening",), 10)

    def reset(self) -> None:
        """Reset the TCP connection, and return when it has happened."""
        self._do("reset")
        self._next(("message", "gone"), 10, until="gone")

    def vanish(self) -> None:
        """Close the TCP connection without a close frame, and return when it has happened."""
        self._do("vanish")
        self._next(("message", "gone"), 10, until="gone")

    def _do(self, command: str, **arguments: Any) -> None:
        line = json.dumps({"do": command, **arguments})
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def _next(self, expected: Sequence[str], timeout: float, *, until: str | None = None) -> dict[str, Any]:
        while True:
            try:
                event = self._events.get(timeout=timeout)
            except queue.Empty:
                raise ProcessFailure(f"waited {timeout:g} s in vain for {expected}\n{self.log()}") from None
            if event is None:
                raise ProcessFailure(f"the client ended while {expected} was expected\n{self.log()}")
            if event["event"] not in expected:
                raise ProcessFailure(f"{event} came where {expected} was expected\n{self.log()}")
            if until is None or event["event"] == until:
                return event

    def _read(self) -> None:
        for line in self.popen.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def end(self) -> None:
        """Kill the process and wait for its last words."""
        self.kill()
        self._reader.join(10)
        super().end()
