"""How a handler learns that its client is gone."""

import asyncio

__all__ = ["Disconnected"]


class Disconnected:
    """Tells a handler, or a bean of its request, that the client has gone away before it was answered.

    Once set it stays set. The departure can be noticed as soon as the request's body has arrived.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def is_set(self) -> bool:
        """Whether the client is known to be gone; any thread may ask."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until the client is gone. Cancelling is safe, and any number of tasks may wait."""
        await self._event.wait()
