"""Running an application on uvicorn, with limits that are sane and an end that always comes."""

import asyncio
import contextlib
import copy
import faulthandler
import logging
import math
import signal
import socket
from collections.abc import Generator
from types import FrameType
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import uvicorn
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE
from uvicorn.server import HANDLED_SIGNALS

from cortado.settings import Settings

__all__ = ["ASGIApplication", "Drainable", "Server", "WebSocketImplementation", "configure", "run"]

WebSocketImplementation = Literal["auto", "websockets-sansio", "wsproto"]
"""The WebSocket implementations of uvicorn that keep their promises about slow peers."""

SIZE_HEADROOM = 64 * 1024
"""How far over our own limit a message may be before uvicorn itself refuses it, in bytes."""

LEAST_SECONDS = 1.0
"""How long running requests may go on after the drain, even if it took all the time there was."""

CANCELLED_SECONDS = 1.0
"""How long cancelled requests may still write before their connections are cut."""

TEARDOWN_SECONDS = 5.0
"""How long cancelled requests may take to end; also by how much a drain may overrun before it is left behind."""

LAST_RESORT_SECONDS = 20.0
"""How long after the time for draining the process is ended whatever holds it up."""

logger = logging.getLogger("cortado.server")


class ASGIApplication(Protocol):
    """Anything that speaks ASGI 3."""

    async def __call__(self, scope: Any, receive: Any, send: Any, /) -> None:
        """Serve one connection, or the lifespan."""
        ...


@runtime_checkable
class Drainable(Protocol):
    """An application that ends its own sessions, such as `Cortado`."""

    settings: Settings

    async def drain(self) -> None:
        """End every session, and wait for their hooks. Idempotent; bounded by `settings.drain_timeout`."""
        ...


class Server(uvicorn.Server):
    """A uvicorn server that lets the application say goodbye first, and then ends for certain.

    On SIGTERM or Ctrl-C a `Drainable` application ends its sessions while their sockets still work. Whatever else
    runs has `settings.drain_timeout` in all, then it is cancelled, and connections whose peer doesn't read are
    cut. The lifespan's shutdown comes last; `serve` then returns, and no signal is raised again, so that the
    process reaches its own end. A second Ctrl-C kills the process at once.

    Works with any ASGI application; one that can't drain gets uvicorn's own goodbye, with the same limits.

    Args:
        config: What to serve, and how; `configure` makes a sane one.
        last_resort: Seconds from the first signal after which the process is ended with status 1, and the stack of
            every thread is written to stderr: nothing, not even a blocked event loop, outlives it. None means never.
    """

    drains: ClassVar[bool] = True
    """That this server ends the sessions itself: the application leaves the signals to it."""

    def __init__(self, config: uvicorn.Config, *, last_resort: float | None = None) -> None:
        super().__init__(config)
        self.last_resort = last_resort

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Ask for the end on a signal, and restore the former handlers afterwards."""
        try:
            former = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        except ValueError:  # not the main thread: whoever runs it sets `should_exit`
            yield
            return
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 — a signal handler's signature
        """Begin the shutdown; a Ctrl-C during the shutdown ends the process at once."""
        if self.should_exit and sig == signal.SIGINT:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        if self.last_resort is not None and not self.should_exit:
            faulthandler.dump_traceback_later(self.last_resort, exit=True)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the application, then close what is left."""
        now = asyncio.get_running_loop().time
        limit = now() + settings_of(self.config.app).drain_timeout
        await self._drain()
        patience = max(limit - now(), LEAST_SECONDS)
        self.config.timeout_graceful_shutdown = math.ceil(patience + TEARDOWN_SECONDS)
        cutting = asyncio.create_task(self._cut(patience))
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _drain(self) -> None:
        app = self.config.app
        if not isinstance(app, Drainable):
            return
        logger.info("Ending the sessions (press CTRL+C again to quit at once)")
        draining = asyncio.ensure_future(app.drain())
        await asyncio.wait([draining], timeout=app.settings.drain_timeout + TEARDOWN_SECONDS)
        if not draining.done():
            logger.error("The drain exceeds its own limit and is left behind")
        elif (error := draining.exception()) is not None:
            logger.error("The drain failed", exc_info=error)

    async def _cut(self, patience: float) -> None:
        await asyncio.sleep(patience)
        state = self.server_state
        if state.tasks:
            logger.warning("Cancelling %d requests that are still running", len(state.tasks))
        for task in list(state.tasks):
            task.cancel()
        await asyncio.sleep(CANCELLED_SECONDS)
        for connection in list(state.connections):
            connection.transport.abort()


def configure(
    app: ASGIApplication,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    ws: WebSocketImplementation = "auto",
    log_level: str = "info",
    forwarded_allow_ips: str | None = None,
) -> uvicorn.Config:
    """Return a configuration of uvicorn whose limits fit the application's settings.

    Messages may be a little larger than `max_message_size`, so that the application's own refusal is the one that
    the peer sees; compression is off; no `Server` header is sent. The peer's address is taken from the connection.

    Args:
        app: The application itself, not its import string.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        ws: The WebSocket implementation.
        log_level: The level of the logs of uvicorn and Cortado.
        forwarded_allow_ips: The proxies whose `X-Forwarded-*` headers are believed, separated by commas; `*` for
            any. None believes nobody.
    """
    settings = settings_of(app)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ws=ws,
        ws_max_size=settings.websocket.max_message_size + SIZE_HEADROOM,
        ws_per_message_deflate=False,
        interface="asgi3",
        lifespan="on" if isinstance(app, Drainable) else "auto",
        log_config=logging_of(log_level),
        log_level=log_level,
        proxy_headers=forwarded_allow_ips is not None,
        forwarded_allow_ips=forwarded_allow_ips,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout + TEARDOWN_SECONDS),
        workers=1,
    )


def run(config: uvicorn.Config) -> int:
    """Serve until SIGTERM or Ctrl-C, and return the exit status for the process.

    The status is 0 when the server was asked to stop and did. It is 3 when the start failed, as with uvicorn; a port
    that is taken raises SystemExit with the same status.
    """
    last_resort = settings_of(config.app).drain_timeout + LAST_RESORT_SECONDS
    server = Server(config, last_resort=last_resort)
    server.run()
    return 0 if server.started else STARTUP_FAILURE


def settings_of(app: object) -> Settings:
    """Return the settings of an application, or the defaults for one that has none."""
    settings = getattr(app, "settings", None)
    return settings if isinstance(settings, Settings) else Settings()


def logging_of(level: str) -> dict[str, Any]:
    """Return uvicorn's logging with Cortado's logs in it, unless the program has given those a place already."""
    config = copy.deepcopy(LOGGING_CONFIG)
    if not logging.getLogger("cortado").hasHandlers():
        known = logging.getLevelNamesMapping()
        config["loggers"]["cortado"] = {
            "handlers": ["default"],
            "level": level.upper() if level.upper() in known else "DEBUG",
            "propagate": False,
        }
    return config
