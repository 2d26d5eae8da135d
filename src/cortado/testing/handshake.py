"""The opening handshake of a WebSocket, as a browser would send it."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from starlette.types import Scope

from cortado.testing.requests import QueryParams

__all__ = ["websocket_scope"]


def websocket_scope(
    base_url: str,
    path: str,
    *,
    params: QueryParams | None,
    headers: Mapping[str, str | None],
    subprotocols: Sequence[str],
    state: Mapping[str, Any],
) -> Scope:
    """Return the ASGI scope of a handshake from a page of the same origin.

    Args:
        base_url: Where the application lives, with scheme `http` or `https`.
        path: The path, with or without a query.
        params: More parameters for the query.
        headers: Header fields on top of a browser's; None takes one away.
        subprotocols: The subprotocols offered.
        state: What the lifespan left for connections.
    """
    base, target = urlsplit(base_url), urlsplit(path)
    query = "&".join(filter(None, [target.query, urlencode(params or (), doseq=True)]))
    secure = base.scheme == "https"
    raw_path = quote(target.path, safe="/%:@!$&'()*+,;=~")
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if secure else "ws",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": _raw({**_browser_headers(base_url, base.netloc, subprotocols), **_lower(headers)}),
        "client": ("127.0.0.1", 50000),
        "server": (base.hostname, base.port or (443 if secure else 80)),
        "subprotocols": list(subprotocols),
        "state": dict(state),
        "extensions": {"websocket.http.response": {}, "cortado.exceptions": []},
    }


def _browser_headers(origin: str, host: str, subprotocols: Sequence[str]) -> dict[str, str | None]:
    return {
        "host": host,
        "connection": "Upgrade",
        "upgrade": "websocket",
        "origin": origin,
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "sec-websocket-protocol": ", ".join(subprotocols) or None,
    }


def _lower(headers: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.lower(): value for name, value in headers.items()}


def _raw(headers: Mapping[str, str | None]) -> list[tuple[bytes, bytes]]:
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.items()
        if value is not None
    ]
