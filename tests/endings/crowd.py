"""Many WebSocket clients in one process: `python -m tests.endings.crowd URL COUNT`; a line on stdin closes them all."""

import asyncio
import sys
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake


async def visit(url: str, leave: asyncio.Event) -> None:
    async with connect(url, open_timeout=60, proxy=None) as socket:
        waiting = asyncio.create_task(leave.wait())
        with suppress(ConnectionClosed):
            reading = asyncio.create_task(socket.recv())
            await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
            reading.cancel()
        waiting.cancel()


async def crowd(url: str, count: int) -> None:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), leave.set)
    with suppress(InvalidHandshake, OSError):
        await asyncio.gather(*(visit(url, leave) for _ in range(count)))


asyncio.run(crowd(sys.argv[1], int(sys.argv[2])))
