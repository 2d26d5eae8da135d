"""A WebSocket client that is told what to do on stdin and tells on stdout what it sees, a JSON object a line.

Its protocol is websockets' Sans-I/O one, on a bare socket: pings are answered while it reads, and a test can make it
stop reading, reset the connection, or vanish. Run as a script, by `tests.support.client.ClientProcess`.
"""

import base64
import json
import os
import selectors
import socket
import struct
import sys
from typing import Any
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri


def tell(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


def data_of(opcode: Opcode, data: bytes) -> dict[str, str]:
    return {"text": data.decode()} if opcode is Opcode.TEXT else {"bytes": base64.b64encode(data).decode()}


class Client:
    """One connection at a time, and the loop that serves it and stdin."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        self.socket: socket.socket | None = None
        self.protocol: ClientProtocol | None = None
        self.commands = b""
        self.message: tuple[Opcode, bytes] | None = None
        self.answered = False

    def run(self) -> None:
        while True:
            for key, _ in self.selector.select():
                if key.fd == sys.stdin.fileno():
                    if not self.read_commands():
                        return
                elif self.socket is not None:
                    self.read_socket()

    def read_commands(self) -> bool:
        data = os.read(sys.stdin.fileno(), 1 << 20)
        *lines, self.commands = (self.commands + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            getattr(self, "do_" + command.pop("do"))(**command)
        return bool(data)

    def do_connect(
        self, url: str, subprotocols: list[str], headers: dict[str, str], receive_buffer: int | None
    ) -> None:
        address = urlsplit(url)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect((address.hostname, address.port))
        offered = [Subprotocol(one) for one in subprotocols] or None
        self.protocol = ClientProtocol(parse_uri(url), subprotocols=offered, max_size=None)
        request = self.protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        self.protocol.send_request(request)
        self.answered, self.message = False, None
        self.selector.register(self.socket, selectors.EVENT_READ)
        self.flush()

    def do_send(self, text: str | None = None, data: str | None = None) -> None:
        try:
            if text is not None:
                self.protocol.send_text(text.encode())
            else:
                self.protocol.send_binary(base64.b64decode(data))
        except InvalidState:
            return  # the server has closed, which was told
        self.flush()

    def do_send_frame(self, first_byte: int, payload: str) -> None:
        data = base64.b64decode(payload)
        mask = bytes(4)  # which leaves the payload as it is
        self.socket.sendall(bytes([first_byte, 0x80 | len(data)]) + mask + data)

    def do_close(self, code: int | None, reason: str) -> None:
        try:
            self.protocol.send_close(code, reason)
        except InvalidState:
            return  # the server has closed, which was told
        self.flush()

    def do_mute(self) -> None:
        self.selector.unregister(self.socket)
        tell("muted")

    def do_listen(self) -> None:
        self.selector.register(self.socket, selectors.EVENT_READ)
        tell("listening")

    def do_reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()
        tell("gone")

    def do_vanish(self) -> None:
        self.hang_up()
        tell("gone")

    def hang_up(self) -> None:
        if self.socket in [key.fileobj for key in self.selector.get_map().values()]:
            self.selector.unregister(self.socket)
        self.socket.close()
        self.socket = None

    def read_socket(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            self.tell_event(event)
        self.flush()
        if not data:
            self.hang_up()
            self.tell_end()

    def tell_end(self) -> None:
        frame = self.protocol.close_rcvd
        if not self.answered:
            tell("denied", status=0, headers={}, body="the connection was closed without an answer")
        elif frame is not None:
            tell("closed", code=frame.code, reason=frame.reason)
        elif self.protocol.handshake_exc is None:
            tell("closed", code=1006, reason="")

    def tell_event(self, event: Response | Frame) -> None:
        if isinstance(event, Response):
            self.answered = True
            headers = {name.lower(): value for name, value in event.headers.raw_items()}
            if event.status_code == 101:
                tell("open", subprotocol=self.protocol.subprotocol, headers=headers)
            else:
                body = (event.body or b"").decode(errors="replace")
                tell("denied", status=event.status_code, headers=headers, body=body)
        elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self.tell_message(event)

    def tell_message(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self.message = (frame.opcode, b"")
        opcode, data = self.message
        self.message = (opcode, data + frame.data)
        if frame.fin:
            tell("message", **data_of(*self.message))

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            try:
                if data:
                    self.socket.sendall(data)
                else:
                    self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                return  # the end shows when reading


if __name__ == "__main__":
    Client().run()
