"""A server in a process of its own, and clients that behave in one particular way."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
READY = r"Uvicorn running on http://127\.0\.0\.1:(\d+)"


class Running:
    """A process whose output is read line by line."""

    def __init__(self, *arguments, cwd=ROOT):
        self.lines = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self.lines.append("(end of output)")
            self._changed.notify_all()

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for(self, pattern, within=20.0):
        """Wait until a line of the output matches, and return the match."""

        def found():
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or "(end of output)" in self.lines, within)
            match = found()
        assert match, f"no line matches {pattern!r} in:\n{self.output}"
        return match

    def send(self, number):
        self.process.send_signal(number)

    def insist(self, times=20):
        """Press Ctrl-C until the process is gone; presses that come too fast count as one."""
        for _ in range(times):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.send(signal.SIGINT)
                self.process.wait(0.2)
                return

    def exit_status(self, within=10.0):
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within} s:\n{self.output}") from None
        self._reader.join(5)
        return status

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()


class Served(Running):
    """`cortado run` of an application, on a free port."""

    def __init__(self, target, *options, cwd=ROOT):
        super().__init__("-m", "cortado", "run", target, "--port", "0", *options, cwd=cwd)

    @property
    def port(self):
        return int(self.wait_for(READY)[1])

    def get(self, path="/", headers=()):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=dict(headers))
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, dict(response.headers), response.read().decode()


def start_request(port, path):
    """Send a request and leave its answer unread."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return sock


def open_mute(port, path):
    """Open a WebSocket, and never read from it again."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return sock
