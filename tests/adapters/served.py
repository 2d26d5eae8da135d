"""Applications in plain ASGI that the server tests serve in processes of their own."""

import asyncio
import time

from cortado.exceptions import StartupError
from cortado.settings import Settings

BIG = bytes(32 * 1024 * 1024)
"""More than every socket buffer on the way to a peer that doesn't read."""


def say(text):
    print(text, flush=True)


class Plain:
    """Knows nothing of draining; its settings keep the tests short."""

    settings = Settings(drain_timeout=0.5)

    async def __call__(self, scope, receive, send):
        serve = {"http": self.http, "websocket": self.websocket, "lifespan": self.lifespan}[scope["type"]]
        await serve(scope, receive, send)

    async def lifespan(self, scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say("lifespan ended")
        await send({"type": "lifespan.shutdown.complete"})

    async def http(self, scope, receive, send):
        if scope["path"] == "/block":
            say("blocking")
            while True:
                time.sleep(0.1)
        if scope["path"] == "/sleep":
            say("sleeping")
            await self.sleep()
        headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        peer = repr(scope["client"][0]).encode()
        await send({"type": "http.response.body", "body": b"hello " + peer})

    async def websocket(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/sleep":
            say("sleeping")
            await self.sleep()
        if scope["path"] == "/mute":
            await send({"type": "websocket.send", "bytes": BIG})
            say("stuck")
            await send({"type": "websocket.send", "bytes": BIG})
        say("idle")
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def sleep(self):
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.2)
            say("cleaned up")


class Stubborn(Plain):
    """Its sleepers swallow every cancellation."""

    async def sleep(self):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                say("cancellation swallowed")


class Draining(Plain):
    """Ends its sessions with a code of its own, which only arrives while the sockets still work."""

    def __init__(self):
        self.open = set()

    async def websocket(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        self.open.add(send)
        say("idle")
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def drain(self):
        say("draining")
        for send in self.open:
            await send({"type": "websocket.close", "code": 4900, "reason": "drained"})


class DrainForEver(Plain):
    async def drain(self):
        say("draining")
        await asyncio.sleep(3600)


class DrainFails(Plain):
    async def drain(self):
        raise LookupError("no such drain")


class CannotStart(Plain):
    async def lifespan(self, scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "two beans of one name"})


async def function(scope, receive, send):
    """An application without a lifespan and without settings."""
    if scope["type"] == "lifespan":
        raise AssertionError("no lifespan here")
    await Plain().http(scope, receive, send)


plain, stubborn, draining = Plain(), Stubborn(), Draining()
drain_for_ever, drain_fails, cannot_start = DrainForEver(), DrainFails(), CannotStart()


def __getattr__(name):
    if name == "startup_error":
        raise StartupError([LookupError("no bean of type Clock")])
    raise AttributeError(name)
