"""The guide's chat with members that don't read, or are gone."""

import secrets

import pytest

from tests.endings.conftest import Running
from tests.support.client import ConnectionEnded

pytestmark = pytest.mark.server


def test_mute_member_is_evicted_and_disturbs_nobody(running: Running, start_client):
    """A member that never reads is cut off; the others get every message meanwhile; its socket is freed."""
    talker, reader, mute = start_client(), start_client(), start_client()
    for client in (talker, reader, mute):
        client.connect(running.url("/chat"), receive_buffer=4096)
    running.log.wait_for_name("accepted", 3)
    mute.mute()

    sent = 0
    while not any(event.name == "on_disconnect" for event in running.events()):
        sent += 1
        message = f"{sent} {secrets.token_hex(15_000)}"
        talker.send(message)
        assert talker.receive() == message
        assert reader.receive() == message
        assert sent < 2000, "the mute member was never evicted"

    (event,) = running.log.wait_for_name("on_destroy done")
    assert event.facts["close_event"]["code"] in (1006, 1013)
    running.server.until(lambda: running.server.connections() == 2, "the mute member's socket to be freed")
    assert running.counts()["sessions"] == 2

    for client in (talker, reader):
        client.close()
        client.closed()
    running.wait_until_back_at_base()


def test_killed_member_does_not_end_the_talker(running: Running, start_client):
    """A member whose process was killed is no reason for the talker to be disconnected."""
    talker, *others = [start_client() for _ in range(4)]
    for client in (talker, *others):
        client.connect(running.url("/chat"))
    running.log.wait_for_name("accepted", 4)
    for client in others:
        client.kill()
    for number in range(20):
        talker.send(str(number))
        assert talker.receive() == str(number)

    talker.close(4000, "done")
    with pytest.raises(ConnectionEnded) as ended:
        talker.receive()
    assert ended.value.closed.code == 4000
    running.log.wait_for_name("on_destroy done", 4)
    running.wait_until_back_at_base()
