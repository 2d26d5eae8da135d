"""The head of a request or handshake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortado.head import Head, Headers, MultiMapping


def scope(**changes):
    return {"type": "http", "path": "/", "headers": [], **changes}


def test_scope():
    """A head holds what the ASGI scope says."""
    head = Head.of(
        scope(
            path="/app/rooms/ä",
            path_params={"room": "ä"},
            query_string=b"a=1",
            headers=[(b"host", b"example.org")],
            client=["192.0.2.1", 4000],
            subprotocols=["v2", "v1"],
            scheme="wss",
            root_path="/app",
        )
    )

    assert (head.path, head.path_params, head.root_path) == ("/app/rooms/ä", {"room": "ä"}, "/app")
    assert (head.client, head.scheme, head.subprotocols) == (("192.0.2.1", 4000), "wss", ("v2", "v1"))
    assert (head.query_string, head.raw_headers) == (b"a=1", [(b"host", b"example.org")])


@pytest.mark.parametrize("absent", [{}, {"client": None, "subprotocols": None}])
def test_sparse_scope(absent):
    """What a server leaves out has a harmless value."""
    head = Head.of(scope(**absent))

    assert (head.client, head.subprotocols, head.query_string) == (None, (), b"")
    assert dict(head.path_params) == dict(head.query_params) == dict(head.cookies) == {}


def test_query():
    """A query is decoded; the last of equal keys shows, all are kept, and blank ones count."""
    query = Head(query_string=b"a=1&a=2&b=%C3%A4+b&c=&d").query_params

    assert dict(query) == {"a": "2", "b": "ä b", "c": "", "d": ""}
    assert query.getlist("a") == ["1", "2"]
    assert query.getlist("nothing") == []
    assert query.multi_items()[:2] == [("a", "1"), ("a", "2")]


def test_headers():
    """Headers are found in any case; the first of equal ones shows, all are kept."""
    headers = Head(raw_headers=[(b"X-Tag", b"one"), (b"x-tag", b"two"), (b"x-name", b"caf\xe9")]).headers

    assert headers["x-TAG"] == "one"
    assert headers.getlist("X-Tag") == ["one", "two"]
    assert headers.get("X-Name") == "café"
    assert "X-NAME" in headers
    assert "x-other" not in headers
    assert 1 not in headers
    with pytest.raises(KeyError):
        headers["x-other"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"a=1; b=2", {"a": "1", "b": "2"}),
        (b"a=1;a=2", {"a": "1"}),
        (b'a="quoted \\"text\\""', {"a": 'quoted "text"'}),
        (b"a=x=y", {"a": "x=y"}),
        (b"a=", {"a": ""}),
        (b"nothing; =1; ;b=2", {"b": "2"}),
        (b"[odd]=1; b=2", {"[odd]": "1", "b": "2"}),
        (b'a="', {"a": '"'}),
    ],
)
def test_cookies(sent, read):
    """Cookies are read one by one; what is no cookie doesn't hide the others."""
    assert dict(Head(raw_headers=[(b"cookie", sent)]).cookies) == read


def test_several_cookie_headers():
    """Cookies may come in several headers."""
    head = Head(raw_headers=[(b"cookie", b"a=1"), (b"cookie", b"b=2; a=3")])

    assert dict(head.cookies) == {"a": "1", "b": "2"}


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_hostile_bytes(query, cookie, header):
    """No bytes of a peer can make reading the head fail."""
    head = Head(query_string=query, raw_headers=[(b"cookie", cookie), (b"x-any", header)])

    assert all(isinstance(value, str) for value in head.query_params.values())
    assert all(isinstance(value, str) for value in head.cookies.values())
    assert head.headers["x-any"] == header.decode("latin-1")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text())))
def test_multi_mapping(items):
    """A multi-mapping shows the last value of a key and keeps them all, in order."""
    mapping = MultiMapping(items)

    assert dict(mapping) == dict(items)
    assert len(mapping) == len(dict(items))
    assert mapping.multi_items() == items
    for key in "abc":
        assert mapping.getlist(key) == [value for name, value in items if name == key]


def test_parsed_once():
    """What was parsed is kept."""
    head = Head(query_string=b"a=1", raw_headers=[(b"cookie", b"a=1")])

    assert head.query_params is head.query_params
    assert head.headers is head.headers
    assert head.cookies is head.cookies


def test_readable():
    """A mapping shows its items."""
    assert repr(MultiMapping([("a", "1")])) == "MultiMapping([('a', '1')])"
    assert repr(Headers([(b"A", b"1")])) == "Headers([('a', '1')])"
