"""The ways a connection ends: what the client does, what it sees, and what the hooks see."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.client import ClientProcess, Closed

SOFT = ["on_disconnect", "on_ended 1", "on_ended 2", "on_destroy"]
HARD = [
    "on_disconnect",
    "on_ended 1",
    "on_ended 2",
    "on_hard_close",
    "registered on_hard_close",
    "on_destroy",
]
REFUSED = ["on_ended 1", "on_ended 2", "on_destroy"]
PINGS = ("--ws-ping-interval", "0.3", "--ws-ping-timeout", "0.3")

Act = Callable[[ClientProcess], object]


@dataclass(frozen=True)
class Ending:
    """One way a connection ends."""

    name: str
    path: str
    code: int
    """The code in the close event, as the hooks see it."""
    initiator: str
    act: Act | None = None
    """What the client does once it is connected."""
    seen: Closed | None = None
    """The close that the client sees, where it can still see one."""
    denied: int | None = None
    """The status of the refusal that the client sees."""
    hooks: tuple[str, ...] = tuple(SOFT)
    within: float = 2.0
    """Seconds from the client's act, or its connecting, until the last hook is done."""
    server: tuple[str, ...] = ()
    """Arguments for the server."""


def close(code: int | None, reason: str = "") -> Act:
    return lambda client: client.close(code, reason)


ENDINGS = [
    Ending("handler returns", "/return", 1000, "server", seen=Closed(1000, "")),
    Ending("handler raises", "/raise", 1011, "error", seen=Closed(1011, "internal error")),
    Ending("handler raises a mapped error", "/mapped", 4404, "server", seen=Closed(4404, "Not Found")),
    Ending("returns before accept", "/return-early", 4403, "server", denied=403, hooks=tuple(REFUSED)),
    Ending("raises before accept", "/raise-early", 1011, "error", denied=500, hooks=tuple(REFUSED)),
    Ending(
        "raises a mapped error before accept",
        "/mapped-early",
        4404,
        "server",
        denied=404,
        hooks=tuple(REFUSED),
    ),
    Ending("denies", "/deny", 4429, "server", denied=429, hooks=tuple(REFUSED)),
    Ending("client closes", "/echo", 4123, "client", close(4123, "bye"), Closed(4123, "bye")),
    Ending("client closes without a code", "/echo", 1005, "client", close(None), Closed(1005, "")),
    Ending("client is killed", "/echo", 1006, "network", ClientProcess.kill),
    Ending("client exits on SIGTERM", "/echo", 1006, "network", ClientProcess.terminate),
    Ending("client resets TCP", "/echo", 1006, "network", ClientProcess.reset),
    Ending("client closes TCP only", "/echo", 1006, "network", ClientProcess.vanish),
    Ending(
        "client is stopped, server pings",
        "/echo",
        1006,
        "network",
        ClientProcess.pause,
        within=3.0,
        server=PINGS,
    ),
    Ending("killed while the handler sleeps", "/sleep", 1006, "network", ClientProcess.kill),
    Ending("closes while the handler sleeps", "/sleep", 4001, "client", close(4001), Closed(4001, "")),
    Ending("killed while the handler pushes", "/push", 1006, "network", ClientProcess.kill),
    Ending("resets while the handler pushes", "/push", 1006, "network", ClientProcess.reset),
    Ending("never reads what the handler floods", "/flood", 1006, "network", ClientProcess.mute, within=4.0),
    Ending(
        "resets while the handler floods, asyncio's loop",
        "/flood",
        1006,
        "network",
        ClientProcess.reset,
        server=("--loop", "asyncio"),
    ),
    Ending(
        "never reads, asyncio's loop",
        "/flood",
        1006,
        "network",
        ClientProcess.mute,
        within=4.0,
        server=("--loop", "asyncio"),
    ),
    Ending("close()", "/close", 3001, "server", seen=Closed(3001, "enough")),
    Ending(
        "close(hard=True)",
        "/hard",
        4001,
        "server",
        seen=Closed(4001, "cortado-hard-disconnect"),
        hooks=tuple(HARD),
    ),
    Ending("server cancels once", "/echo?cancel=1", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("server cancels twice", "/echo?cancel=2", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("server cancels three times", "/sleep?cancel=3", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("server cancels forty times", "/push?cancel=40", 1012, "shutdown", seen=Closed(1012, "")),
    Ending("a hook raises", "/hook-raises", 1000, "server", seen=Closed(1000, "")),
    Ending("a hook hangs", "/hook-hangs", 1000, "server", seen=Closed(1000, ""), within=3.0),
]
