"""Clients leave in the middle of their queries; the pool of connections is none the worse for it."""

import http.client
import json
import socket
import struct

import pytest

from tests.endings.departure_app import CONNECTIONS, DATABASE
from tests.support.processes import poll

pytestmark = pytest.mark.server

WAVES = 5
RESET = struct.pack("ii", 1, 0)


def test_departures_in_the_middle_of_a_query(start_server, tmp_path):
    """500 clients leave: no connection stays checked out, none is broken, and nothing is logged."""
    environment = {DATABASE: str(tmp_path / "database")}
    server = start_server("tests.endings.departure_app:app", environment=environment)
    quiet = server.log()

    for wave in range(1, WAVES + 1):
        come_and_leave(server, wave * CONNECTIONS)
        assert get(server, "/check") == CONNECTIONS

    seen = pool(server)
    assert seen["finished"] + seen["cancelled"] == WAVES * CONNECTIONS
    assert min(seen["finished"], seen["cancelled"]) > CONNECTIONS
    assert server.log() == quiet


def come_and_leave(server, in_all):
    """Let as many clients as there are connections leave during their queries; half of these end in time."""
    clients = [open_report(server.port, 0.5 if number % 2 else 1.6) for number in range(CONNECTIONS)]
    wait_for_pool(server, lambda seen: seen["begun"] == in_all)
    for number, client in enumerate(clients):
        leave(client, reset=number % 4 < 2)
    wait_for_pool(server, lambda seen: seen["finished"] + seen["cancelled"] == in_all)
    wait_for_pool(server, lambda seen: seen["checked out"] == 0)


def wait_for_pool(server, condition):
    poll(lambda: condition(pool(server)), 15, lambda: f"the pool to change; it is {pool(server)}")


def open_report(port, seconds):
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(f"GET /report/{seconds} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return client


def leave(client, *, reset):
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def pool(server):
    return get(server, "/pool")


def get(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", path, headers={"connection": "close"})
    found = json.loads(connection.getresponse().read())
    connection.close()
    return found
