"""Whether a page may open a WebSocket here: browsers don't ask, so the handshake must."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from cortado.head import Head

__all__ = ["origin_allowed"]

DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_allowed(handshake: Head, origins: Sequence[str] | None) -> bool:
    """Tell whether the origin of a handshake may connect.

    A handshake without `Origin` comes from no browser and is allowed. Of several `Origin` or `Host` headers none is
    believed.

    Args:
        handshake: What the client said.
        origins: The exact origins that may connect, or `*` for any; None for the same origin only. The scheme of the
            same origin isn't compared: behind a proxy that ends TLS the server can't know it.
    """
    given = handshake.headers.getlist("origin")
    if not given:
        return True
    if len(given) > 1:
        return False
    origin = given[0].lower()
    if origins is not None:
        return "*" in origins or origin in {one.lower() for one in origins}
    hosts = handshake.headers.getlist("host")
    return len(hosts) == 1 and _place_of_origin(origin) in _places_of_host(hosts[0].lower())


def _place_of_origin(origin: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(origin)
        return parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None, None


def _places_of_host(host: str) -> set[tuple[str | None, int | None]]:
    try:
        parts = urlsplit(f"//{host}")
        if not parts.hostname or parts.path or parts.username is not None:
            return set()
        ports = DEFAULT_PORTS.values() if parts.port is None else (parts.port,)
        return {(parts.hostname, port) for port in ports}
    except ValueError:
        return set()
