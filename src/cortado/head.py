"""The head of a request or of a WebSocket handshake: what a client said before any body or message."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any, Self
from urllib.parse import parse_qsl

__all__ = ["Head", "Headers", "MultiMapping"]

NOTHING: Mapping[str, Any] = {}


class MultiMapping(Mapping[str, str]):
    """An immutable mapping that may hold several values under one key.

    As a mapping it shows the last value of each key, as query strings are commonly read.
    """

    __slots__ = ("_items", "_last")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = tuple(items)
        self._last = dict(self._items)

    def __getitem__(self, key: str) -> str:
        return self._last[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def getlist(self, key: str) -> list[str]:
        """Return every value of a key in the order sent; an unknown key has none."""
        return [value for name, value in self._items if name == key]

    def multi_items(self) -> list[tuple[str, str]]:
        """Return every key with every value in the order sent."""
        return list(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._items)!r})"


class Headers(MultiMapping):
    """Header fields; names are matched without regard to case, and the first of equal ones is shown."""

    __slots__ = ()

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)
        self._last = dict(reversed(self._items))

    def __getitem__(self, key: str) -> str:
        return self._last[key.lower()]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._last

    def getlist(self, key: str) -> list[str]:
        """Return every value of a header in the order sent; an unknown one has none."""
        return super().getlist(key.lower())


class Head:
    """The head of one request or handshake. Everything is parsed on first use, and then kept."""

    __slots__ = (
        "_cookies",
        "_headers",
        "_query_params",
        "client",
        "path",
        "path_params",
        "query_string",
        "raw_headers",
        "root_path",
        "scheme",
        "subprotocols",
    )
    _cookies: Mapping[str, str]
    _headers: Headers
    _query_params: MultiMapping

    def __init__(
        self,
        path: str = "/",
        *,
        path_params: Mapping[str, Any] = NOTHING,
        query_string: bytes = b"",
        raw_headers: Sequence[tuple[bytes, bytes]] = (),
        client: tuple[str, int] | None = None,
        subprotocols: Sequence[str] = (),
        scheme: str = "http",
        root_path: str = "",
    ) -> None:
        self.path = path
        """The decoded path, mount prefix included."""
        self.path_params = path_params
        """The values of the route's variables."""
        self.query_string = query_string
        """The undecoded query."""
        self.raw_headers = raw_headers
        """The header fields as sent; names in lower case."""
        self.client = client
        """Host and port of the peer, where the server knows them."""
        self.subprotocols = tuple(subprotocols)
        """The WebSocket subprotocols that the client offers, in its order."""
        self.scheme = scheme
        """`http`, `https`, `ws` or `wss`."""
        self.root_path = root_path
        """The prefix under which the application is mounted."""

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Self:
        """Return the head of an ASGI scope, of type `http` or `websocket`."""
        client = scope.get("client")
        return cls(
            scope["path"],
            path_params=scope.get("path_params", NOTHING),
            query_string=scope.get("query_string", b""),
            raw_headers=scope["headers"],
            client=(client[0], client[1]) if client else None,
            subprotocols=scope.get("subprotocols") or (),
            scheme=scope.get("scheme", "http"),
            root_path=scope.get("root_path", ""),
        )

    @property
    def query_params(self) -> MultiMapping:
        """The query's parameters."""
        try:
            return self._query_params
        except AttributeError:
            text = self.query_string.decode("latin-1")
            self._query_params = MultiMapping(parse_qsl(text, keep_blank_values=True))
            return self._query_params

    @property
    def headers(self) -> Headers:
        """The header fields."""
        try:
            return self._headers
        except AttributeError:
            self._headers = Headers(self.raw_headers)
            return self._headers

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies; what can't be read as a cookie is left out."""
        try:
            return self._cookies
        except AttributeError:
            self._cookies = parse_cookies(self.headers.getlist("cookie"))
            return self._cookies


def parse_cookies(headers: Iterable[str]) -> Mapping[str, str]:
    """Return the cookies of some `Cookie` headers; the first of equal names counts."""
    found: dict[str, str] = {}
    for header in headers:
        for piece in header.split(";"):
            name, separator, value = piece.strip().partition("=")
            if separator and name and name not in found:
                found[name] = _unquote(value.strip())
    return found


def _unquote(value: str) -> str:
    if len(value) < 2 or not (value[0] == value[-1] == '"'):
        return value
    reader: SimpleCookie = SimpleCookie()
    try:
        reader.load(f"v={value}")
    except CookieError:
        return value
    return reader["v"].value if "v" in reader else value
