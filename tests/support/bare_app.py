"""A bare ASGI application for the tests of the harness itself."""

import asyncio
from types import SimpleNamespace

from tests.support.events import record


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)


async def lifespan(receive, send):
    while True:
        phase = (await receive())["type"]
        record(phase)
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


async def websocket(scope, receive, send):
    await receive()
    if scope["path"] == "/deny":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    session = SimpleNamespace(
        id="1", path=scope["path"], state=SimpleNamespace(name="OPEN"), close_event=None
    )
    record("open", session)
    await (push(send) if scope["path"] == "/push" else echo(receive, send))


async def push(send):
    record("pushing")
    try:
        for number in range(10**6):
            await send({"type": "websocket.send", "bytes": bytes(65536)})
            if number % 16 == 0:
                await asyncio.sleep(
                    0
                )  # uvicorn's send on asyncio's own loop never yields to the news of a reset
    except OSError:
        record("push ended")


async def echo(receive, send):
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            record("disconnect", code=event["code"], reason=event.get("reason"))
            return
        if event.get("text") == "close":
            await send({"type": "websocket.close", "code": 4009, "reason": "enough"})
        elif event.get("text") == "sleep":
            record("sleeping")
            await asyncio.sleep(30)
        else:
            await send({**event, "type": "websocket.send"})
