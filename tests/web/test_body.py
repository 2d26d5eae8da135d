import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from cortado.problems import ContentTooLarge, RequestTimeout
from cortado.settings import HttpSettings
from cortado.web.body import RequestBody


def arriving(
    pieces: Iterable[bytes], *, pausing: bool = False, ends: bool = True, **settings: Any
) -> RequestBody:
    """Return a body that arrives in pieces, with a pause before each if so asked, and perhaps never ends."""
    left = list(pieces)

    async def receive() -> Any:
        if pausing:
            await asyncio.sleep(0)
        if not left:
            return {"type": "http.disconnect"}
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left) or not ends}

    return RequestBody({"headers": []}, receive, HttpSettings(**settings))


@pytest.mark.parametrize("pausing", [False, True])
async def test_pieces_are_joined(pausing: bool) -> None:
    """The body is read to its end, whether it is there already or comes later, and may be read again."""
    body = arriving([b"a", b"", b"bc"], pausing=pausing)
    assert await body.read() == b"abc"
    assert await body.read() == b"abc"


async def test_received_again_after_it_was_read() -> None:
    """What was read is received once more as one event, and then the client's departure."""
    body = arriving([b"a", b"b"])
    await body.read()
    assert await body.receive() == {"type": "http.request", "body": b"ab", "more_body": False}
    assert await body.receive() == {"type": "http.disconnect"}


async def test_received_as_it_comes() -> None:
    """Unread, the body is received piece by piece."""
    body = arriving([b"a", b"b"])
    events = [await body.receive() for _ in range(3)]
    assert [event.get("body") for event in events] == [b"a", b"b", None]


@pytest.mark.parametrize("pausing", [False, True])
async def test_limit_counts_all_pieces(pausing: bool) -> None:
    """The limit is on the whole body, not on a piece."""
    with pytest.raises(ContentTooLarge, match="larger than 4 bytes"):
        await arriving([b"abc", b"de"], pausing=pausing, max_body_size=4).read()
    assert await arriving([b"abc", b"d"], pausing=pausing, max_body_size=4).read() == b"abcd"


async def test_departure_within_the_body() -> None:
    """A client that leaves before its body is whole is told to whoever reads."""
    with pytest.raises(ClientDisconnect):
        await arriving([b"abc"], ends=False).read()


async def test_time_limit() -> None:
    """A body that doesn't come in time is given up; what awaits it is cancelled."""
    cancelled = asyncio.Event()

    async def receive() -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(RequestTimeout, match=r"longer than 0\.01 s"):
        await RequestBody({"headers": []}, receive, HttpSettings(body_timeout=0.01)).read()
    assert cancelled.is_set()


async def test_time_out_of_the_server_is_not_ours() -> None:
    """A `TimeoutError` that the server raises stays what it is."""

    async def receive() -> Any:
        await asyncio.sleep(0)
        raise TimeoutError("the server's")

    with pytest.raises(TimeoutError, match="the server's"):
        await RequestBody({"headers": []}, receive, HttpSettings()).read()
