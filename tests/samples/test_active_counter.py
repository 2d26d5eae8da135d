"""The counter of the chat sample, with clients that are processes of their own and end in every way."""

import json
import signal
from urllib.request import urlopen

import pytest

from tests.support.client import ClientProcess
from tests.support.server import ServerProcess

pytestmark = pytest.mark.server


def close_cleanly(client: ClientProcess) -> None:
    client.close(1000)
    assert client.closed().code == 1000


def force_quit(client: ClientProcess) -> None:
    client.signal(signal.SIGTERM)


def interrupt(client: ClientProcess) -> None:
    client.signal(signal.SIGINT)


def kill(client: ClientProcess) -> None:
    client.signal(signal.SIGKILL)


WAYS = [close_cleanly, force_quit, interrupt, kill]


@pytest.fixture
def server(start_server, ws_implementation):
    """The chat on a real server."""
    return start_server("samples.chat.app:app", ws=ws_implementation)


def active(server: ServerProcess) -> int:
    with urlopen(server.url("/active", "http"), timeout=10) as answer:
        return json.load(answer)["active"]


def wait_for_active(server: ServerProcess, count: int) -> None:
    server.until(lambda: active(server) == count, f"the counter to be {count}")


@pytest.mark.parametrize("end", WAYS)
def test_one_client(server, start_client, end):
    """The counter returns to zero, and the connection is gone from the server."""
    client = start_client()
    client.connect(server.url("/ws/rooms/tea?name=Ada"))
    wait_for_active(server, 1)

    end(client)

    wait_for_active(server, 0)
    server.until(lambda: server.connections() == 0, "the server to hold no connection")


def test_one_of_each(server, start_client):
    """The counter falls by one with each client that ends, in whatever way, and those who stay are told."""
    witness = start_client()
    witness.connect(server.url("/ws/rooms/coffee"))
    clients = {way: start_client() for way in WAYS}
    for client in clients.values():
        client.connect(server.url("/ws/rooms/tea"))
    wait_for_active(server, 5)

    for left, (end, client) in enumerate(reversed(clients.items())):
        end(client)
        wait_for_active(server, 4 - left)

    told = []
    while told[-4:] != [4, 3, 2, 1]:
        told.append(json.loads(witness.receive())["data"])
    assert 5 in told
    close_cleanly(witness)
    wait_for_active(server, 0)


@pytest.mark.parametrize("end", [interrupt, kill])
def test_in_the_middle_of_talk(server, start_client, end):
    """A client that ends while everybody talks leaves nothing behind, and the talk goes on."""
    talker, listener, leaver = (start_client() for _ in range(3))
    for client in (talker, listener, leaver):
        client.connect(server.url("/ws/rooms/tea"))
    for number in range(200):
        talker.send(str(number))
        leaver.send("noise")
        if number == 100:
            end(leaver)
            leaver.wait()
            break
    talker.send("over")

    heard = None
    while heard != {"name": "guest", "text": "over"}:
        heard = json.loads(listener.receive())["data"]
    wait_for_active(server, 2)
    for client in (talker, listener):
        close_cleanly(client)
    wait_for_active(server, 0)
