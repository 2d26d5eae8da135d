"""The client's end of a WebSocket against bare ASGI applications."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from cortado.testing import (
    CloseFrame,
    ConnectionClosed,
    HandshakeDenied,
    TestClient,
    UnexpectedMessage,
    WaitTimeoutError,
)


class Recorder:
    """A bare application: accepts, records what it is told, and does what the test gave it to do."""

    def __init__(self, handler=None, *, accept=None):
        self.handler = handler
        self.accept = {"type": "websocket.accept", **(accept or {})}
        self.scope, self.events, self.errors = None, [], []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "websocket":
            return
        self.scope = scope
        self.events.append(await receive())
        await send(self.accept)
        if self.handler:
            await self.handler(receive, send)
        else:
            await self.until_disconnect(receive)

    async def until_disconnect(self, receive):
        while self.events[-1]["type"] != "websocket.disconnect":
            self.events.append(await receive())


async def echo(receive, send):
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def test_messages_go_both_ways():
    """Texts, bytes and JSON arrive as what they were sent."""
    async with TestClient(Recorder(echo)) as client, client.websocket("/ws") as ws:
        await ws.send_text("über")
        assert await ws.receive_text() == "über"
        await ws.send_bytes(b"\x00\xff")
        assert await ws.receive_bytes() == b"\x00\xff"
        await ws.send_json({"a": [1, None]})
        assert await ws.receive_json() == {"a": [1, None]}
        await ws.send_text("any")
        assert await ws.receive() == "any"


async def test_a_message_of_the_other_kind_fails_the_test():
    """Asking for a text when bytes come, and the reverse, says what came."""
    async with TestClient(Recorder(echo)) as client, client.websocket("/") as ws:
        await ws.send_bytes(b"raw")
        with pytest.raises(UnexpectedMessage, match="raw"):
            await ws.receive_text()
        await ws.send_text("plain")
        with pytest.raises(UnexpectedMessage, match="plain"):
            await ws.receive_bytes()


async def test_what_the_application_accepted_with_is_visible():
    """Subprotocol and header fields of the acceptance can be read."""
    app = Recorder(accept={"subprotocol": "b", "headers": [(b"x-a", b"1")]})

    async with TestClient(app) as client, client.websocket("/", subprotocols=("a", "b")) as ws:
        assert ws.accepted_subprotocol == "b"
        assert ws.headers["X-A"] == "1"


async def test_leaving_closes_with_1000_and_waits_for_the_application():
    """After the context the application's call is over, its cleaning up included."""
    done = []

    async def handler(receive, send):
        done.append(await receive())
        await asyncio.sleep(0.01)
        done.append("cleaned")

    async with TestClient(Recorder(handler)) as client, client.websocket("/"):
        pass

    assert done == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}, "cleaned"]


async def test_an_application_that_does_not_end_is_a_timeout():
    """A call that outlives its connection is cancelled and named."""
    cancelled = []

    async def handler(receive, send):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with TestClient(Recorder(handler)) as client:
        with pytest.raises(WaitTimeoutError, match="end of the endpoint at /stuck"):
            async with client.websocket("/stuck", timeout=0.05):
                pass
    assert cancelled


@pytest.mark.parametrize(
    ("arguments", "event"),
    [
        ((4000, "bye"), {"code": 4000, "reason": "bye"}),
        ((None,), {"code": 1005, "reason": ""}),
        ((), {"code": 1000, "reason": ""}),
    ],
)
async def test_close_tells_code_and_reason(arguments, event):
    """The application sees the close frame that the client sent."""
    app = Recorder()

    async with TestClient(app) as client, client.websocket("/") as ws:
        await ws.close(*arguments)
        with pytest.raises(ConnectionClosed):
            await ws.receive()

    assert app.events[-1] == {"type": "websocket.disconnect", **event}


@pytest.mark.parametrize(
    ("code", "reason"), [(1005, ""), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124)]
)
async def test_an_impossible_close_frame_is_refused(code, reason):
    """A client can't send what no frame may carry."""
    async with TestClient(Recorder()) as client, client.websocket("/") as ws:
        with pytest.raises(ValueError, match="close"):
            await ws.close(code, reason)


async def test_drop_is_a_loss_without_farewell():
    """The application sees uvicorn's abrupt loss: 1005 without a reason."""
    app = Recorder()

    async with TestClient(app) as client, client.websocket("/") as ws:
        ws.drop()

    assert app.events[-1] == {"type": "websocket.disconnect", "code": 1005}


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_sending_to_a_client_that_is_gone_raises_oserror(leave):
    """The application's sends fail once the client is gone; escaping the application that's no failure."""
    left, caught = asyncio.Event(), []

    async def handler(receive, send):
        await left.wait()
        try:
            await send({"type": "websocket.send", "text": "x"})
        except OSError as error:
            caught.append(error)
            raise

    async with TestClient(Recorder(handler)) as client, client.websocket("/") as ws:
        if leave == "drop":
            ws.drop()
        else:
            await ws.close()
        left.set()

    assert len(caught) == 1


async def test_what_was_sent_before_the_end_is_received_first():
    """Frames before the close frame are delivered, then the close is raised, again and again."""

    async def handler(receive, send):
        await send({"type": "websocket.send", "text": "last words"})
        await send({"type": "websocket.close", "code": 4009, "reason": "enough"})

    async with TestClient(Recorder(handler)) as client, client.websocket("/") as ws:
        assert await ws.wait_closed() == CloseFrame(4009, "enough")
        assert await ws.receive() == "last words"
        for _ in range(2):
            with pytest.raises(ConnectionClosed, match="4009 'enough'") as closed:
                await ws.receive()
        assert (closed.value.code, closed.value.reason) == (4009, "enough")
        with pytest.raises(ConnectionClosed):
            await ws.send_text("too late")
        assert ws.closed == CloseFrame(4009, "enough")


async def test_the_application_sees_its_own_close_as_disconnect():
    """After its own close frame, receive returns the disconnect, and sending is an error."""
    seen = []

    async def handler(receive, send):
        await send({"type": "websocket.close", "code": 1001})
        seen.append(await receive())
        with pytest.raises(RuntimeError, match="had ended"):
            await send({"type": "websocket.send", "text": "x"})
        with pytest.raises(RuntimeError, match=r"after websocket\.disconnect"):
            await receive()

    async with TestClient(Recorder(handler)) as client, client.websocket("/") as ws:
        await ws.wait_closed()

    assert seen == [{"type": "websocket.disconnect", "code": 1001, "reason": ""}]


async def test_an_end_without_close_frame_is_1006():
    """An application that returns without closing leaves the client without a close frame."""

    async def handler(receive, send):
        pass

    async with TestClient(Recorder(handler)) as client, client.websocket("/") as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.receive()
        assert closed.value.code == 1006
        assert ws.closed is None
        with pytest.raises(ConnectionClosed):
            await ws.wait_closed()


async def test_a_stalled_client_blocks_the_sends():
    """Sends wait while the client doesn't read, and go on when it does."""
    progress = []

    async def handler(receive, send):
        await receive()
        progress.append("before")
        await send({"type": "websocket.send", "text": "x"})
        progress.append("after")

    async with TestClient(Recorder(handler)) as client, client.websocket("/") as ws:
        ws.stall()
        await ws.send_text("go")
        with pytest.raises(WaitTimeoutError, match="a message from /"):
            await ws.receive(timeout=0.02)
        assert progress == ["before"]

        ws.resume()
        assert await ws.receive() == "x"

    assert progress == ["before", "after"]


async def test_leaving_a_stalled_connection_frees_its_sends():
    """A blocked send raises OSError when the client is gone."""
    caught = []

    async def handler(receive, send):
        await receive()
        with pytest.raises(OSError, match="gone"):
            await send({"type": "websocket.send", "text": "x"})
        caught.append(True)

    async with TestClient(Recorder(handler)) as client, client.websocket("/") as ws:
        ws.stall()
        await ws.send_text("go")

    assert caught


async def test_a_server_can_abort_a_stalled_connection():
    """What a server's transport offers for eviction, `send.__self__.transport.abort()`, cuts the connection."""

    async def handler(receive, send):
        send.__self__.transport.abort()
        assert await receive() == {"type": "websocket.disconnect", "code": 1005}

    async with TestClient(Recorder(handler)) as client, client.websocket("/") as ws:
        with pytest.raises(ConnectionClosed, match="1006"):
            await ws.receive()


async def test_a_denial_is_raised_with_status_headers_and_body():
    """The denial response extension reaches the test whole."""

    async def app(scope, receive, send):
        if scope["type"] != "websocket":
            return
        start = {"status": 401, "headers": [(b"content-type", b"application/json")]}
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": b'{"why":', "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b' "who?"}'})

    async with TestClient(app) as client:
        with pytest.raises(HandshakeDenied, match="401") as denied:
            async with client.websocket("/"):
                pytest.fail("the handshake was accepted")

    assert denied.value.status == 401
    assert denied.value.headers["Content-Type"] == "application/json"
    assert denied.value.json() == {"why": "who?"}


@pytest.mark.parametrize(
    ("events", "status"), [([{"type": "websocket.close", "code": 4000}], 403), ([], 500)]
)
async def test_an_end_before_the_handshake_is_a_denial(events, status):
    """A close before accept is a 403, whatever its code; an application that just returns is a 500."""

    async def app(scope, receive, send):
        for event in events:
            await send(event)

    async with TestClient(app) as client:
        with pytest.raises(HandshakeDenied) as denied:
            await client.websocket("/").__aenter__()

    assert denied.value.status == status


async def test_an_unanswered_handshake_is_a_timeout():
    """An application that neither accepts nor denies doesn't hang the test."""

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await asyncio.Event().wait()

    async with TestClient(app, timeout=0.03) as client:
        with pytest.raises(WaitTimeoutError, match="answer to the handshake from /mute"):
            await client.websocket("/mute").__aenter__()


async def crash(receive, send):
    await receive()
    raise LookupError("in the handler")


async def test_an_exception_of_the_application_is_raised_at_the_end():
    """The test sees the original exception, not its consequence for the connection."""
    async with TestClient(Recorder(crash)) as client:
        with pytest.raises(LookupError, match="in the handler"):
            async with client.websocket("/") as ws:
                await ws.send_text("go")
                await ws.receive()


async def test_an_exception_before_accept_is_raised_by_the_handshake():
    """A failing application is no denial for the test."""

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            raise LookupError("before accept")

    async with TestClient(app) as client:
        with pytest.raises(LookupError, match="before accept"):
            await client.websocket("/").__aenter__()


async def test_exceptions_can_be_left_to_the_server():
    """Without raise_server_exceptions the test sees what a client would."""
    async with (
        TestClient(Recorder(crash), raise_server_exceptions=False) as client,
        client.websocket("/") as ws,
    ):
        await ws.send_text("go")
        with pytest.raises(ConnectionClosed, match="1006"):
            await ws.receive()


async def test_exceptions_that_a_framework_reported_are_raised():
    """What a framework swallowed and reported in the scope comes to the surface; the first of them."""

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            scope["extensions"]["cortado.exceptions"] += [KeyError("first"), KeyError("second")]
            await send({"type": "websocket.close", "code": 1011})

    async with TestClient(app) as client:
        with pytest.raises(KeyError, match="first"):
            async with client.websocket("/") as ws:
                await ws.wait_closed()


async def test_the_test_s_own_failure_goes_first():
    """A failed assertion isn't hidden by an exception of the application, but mentions it."""
    async with TestClient(Recorder(crash)) as client:
        with pytest.raises(AssertionError, match="own") as failed:
            async with client.websocket("/") as ws:
                await ws.send_text("go")
                raise AssertionError("own")

    assert "LookupError" in failed.value.__notes__[0]


async def test_an_impossible_frame_of_the_application_is_an_error():
    """What a real server would refuse to send is refused here too."""

    async def handler(receive, send):
        await send({"type": "websocket.close", "code": 1006})

    async with TestClient(Recorder(handler)) as client:
        with pytest.raises(ValueError, match="1006"):
            async with client.websocket("/"):
                pass


@pytest.mark.parametrize("event", ["websocket.accept", "http.response.start"])
async def test_an_event_out_of_order_is_an_error(event):
    """A second accept, or an event of another protocol, raises in the application."""

    async def handler(receive, send):
        await send({"type": event, "status": 200})

    async with TestClient(Recorder(handler)) as client:
        with pytest.raises(RuntimeError, match=event):
            async with client.websocket("/"):
                pass


async def test_reading_before_opening_is_an_error():
    """A WebSocket that isn't entered has no acceptance to look at."""
    async with TestClient(Recorder()) as client:
        with pytest.raises(RuntimeError, match="async with"):
            _ = client.websocket("/").headers


async def test_a_cancelled_receive_loses_nothing():
    """A receive that timed out leaves the message to the next one."""
    async with TestClient(Recorder(echo)) as client, client.websocket("/") as ws:
        with pytest.raises(WaitTimeoutError):
            await ws.receive(timeout=0)
        await ws.send_text("kept")
        assert await ws.receive() == "kept"


async def test_many_connections_at_once():
    """Connections don't disturb each other."""

    async def talk(client, number):
        async with client.websocket("/") as ws:
            await ws.send_text(str(number))
            return await ws.receive()

    async with TestClient(Recorder(echo)) as client:
        answers = await asyncio.gather(*(talk(client, number) for number in range(200)))

    assert answers == [str(number) for number in range(200)]


async def test_starlette_endpoints_work():
    """Starlette's WebSocket runs on it: echo, its disconnect, its HTTPException as denial."""
    seen = []

    async def endpoint(ws: WebSocket):
        if "deny" in ws.query_params:
            raise HTTPException(401, "no")
        await ws.accept(subprotocol=ws.scope["subprotocols"][0])
        try:
            while True:
                await ws.send_text(await ws.receive_text())
        except WebSocketDisconnect as gone:
            seen.append((gone.code, gone.reason))

    app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    async with TestClient(app) as client:
        async with client.websocket("/ws", subprotocols=["x"]) as ws:
            await ws.send_text("hi")
            assert await ws.receive() == "hi"
            await ws.close(4001, "bye")
        with pytest.raises(HandshakeDenied, match="401"):
            await client.websocket("/ws", params={"deny": 1}).__aenter__()

    assert seen == [(4001, "bye")]
