"""The handshake of the test client, as the application sees it."""

from cortado.testing import TestClient


class Listener:
    """A bare application that keeps the scope of its last WebSocket."""

    scope = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            self.scope = scope
            await send({"type": "websocket.accept"})


async def test_the_handshake_is_that_of_a_page_of_the_same_origin():
    """Host and Origin agree, and path, query and subprotocols stand in the scope as a server puts them there."""
    app = Listener()

    async with (
        TestClient(app, base_url="https://example.org:8443") as client,
        client.websocket("/r%C3%A4ume/a b?x=1", params={"y": [2, 3]}, subprotocols=("a", "b")),
    ):
        pass

    headers = dict(app.scope["headers"])
    assert headers[b"host"] == b"example.org:8443"
    assert headers[b"origin"] == b"https://example.org:8443"
    assert headers[b"sec-websocket-protocol"] == b"a, b"
    assert app.scope["subprotocols"] == ["a", "b"]
    assert app.scope["path"] == "/räume/a b"
    assert app.scope["raw_path"] == b"/r%C3%A4ume/a%20b"
    assert app.scope["query_string"] == b"x=1&y=2&y=3"
    assert (app.scope["scheme"], app.scope["server"]) == ("wss", ("example.org", 8443))


async def test_header_fields_can_be_set_and_taken_away():
    """A header of the test wins over the browser's one, and None removes it."""
    app = Listener()

    async with (
        TestClient(app) as client,
        client.websocket("/", headers={"Origin": None, "X-User": "ada"}),
    ):
        pass

    headers = dict(app.scope["headers"])
    assert b"origin" not in headers
    assert headers[b"x-user"] == b"ada"


async def test_the_state_of_the_lifespan_is_a_copy_for_each_connection():
    """What a connection changes in its state is not seen by another one."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            scope["state"]["count"] = 0
        elif scope["type"] == "websocket":
            scope["state"]["count"] += 1
            await send(
                {"type": "websocket.accept", "headers": [(b"x-count", b"%d" % scope["state"]["count"])]}
            )

    async with TestClient(app) as client:
        for _ in range(2):
            async with client.websocket("/") as ws:
                assert ws.headers["x-count"] == "1"
