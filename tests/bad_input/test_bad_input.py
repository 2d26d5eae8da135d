"""Whatever a client sends or a developer wires wrongly has the outcome that is promised, on a real server."""

import http.client
import json
import subprocess
import sys

import pytest

from tests.support.client import Denied
from tests.support.processes import ROOT

pytestmark = pytest.mark.server
JSON = {"content-type": "application/json"}


@pytest.fixture
def server(start_server, ws_implementation):
    """The bar on a real uvicorn."""
    return start_server("tests.bad_input.app:app", ws=ws_implementation)


@pytest.fixture
def plain_server(start_server):
    """The bar on one real uvicorn, for what doesn't touch WebSockets."""
    return start_server("tests.bad_input.app:app")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "word"),
    [
        ("GET", "/nowhere", None, {}, 404, "Not Found"),
        ("DELETE", "/orders", None, {}, 405, "POST"),
        ("GET", "/orders/seven", None, {}, 422, "number"),
        ("GET", "/orders/7?verbose=perhaps", None, {}, 422, "verbose"),
        ("POST", "/orders", b'{"drink": ', JSON, 400, "JSON"),
        ("POST", "/orders", b'{"cups": 0}', JSON, 422, "drink"),
        ("POST", "/orders", b"drink=tea", {"content-type": "text/plain"}, 415, "Unsupported"),
        ("POST", "/orders", b'"' + b"x" * 1000 + b'"', JSON, 413, "Content Too Large"),
        ("POST", "/orders", b"", JSON, 422, "body"),
    ],
)
def test_bad_requests(plain_server, method, path, body, headers, status, word):
    """A bad request is answered with its status and a problem document that says what is wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", plain_server.port, timeout=10)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    problem = response.read().decode()
    connection.close()

    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(problem)["status"] == status
    assert word in problem or word in response.headers.get("allow", "")


@pytest.mark.parametrize(
    ("path", "headers", "status", "word"),
    [
        ("/nowhere", {}, 404, "Not Found"),
        ("/orders/7", {}, 404, "Not Found"),
        ("/text/seven", {}, 422, "table"),
        ("/json", {"origin": "http://evil.example"}, 403, "origin"),
    ],
)
def test_bad_handshakes(server, start_client, path, headers, status, word):
    """A bad handshake is refused with its status and a problem document, never with a bare 403 or a hang."""
    with pytest.raises(Denied) as denied:
        start_client().connect(server.url(path), headers=headers)

    assert denied.value.status == status
    assert denied.value.headers["content-type"] == "application/problem+json"
    assert word in denied.value.body
    assert "without completing handshake" not in server.log()


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [
        ("/text/7", b"binary", 1003),
        ("/text/7", "x" * 1001, 1009),
        ("/text/7", "x" * 500_000, 1009),
        ("/json", "{", 1007),
        ("/json", b"{}", 1003),
    ],
    ids=["binary for text", "too large", "far too large", "no JSON", "binary for JSON"],
)
@pytest.mark.parametrize("command", ["uvicorn", "cortado"])
def test_bad_messages(start_server, start_client, event_log, ws_implementation, command, path, message, code):
    """A message that can't be used closes the session with its code; the hook sees it, and nothing is a crash."""
    server = start_server("tests.bad_input.app:app", ws=ws_implementation, command=command)
    client = start_client()
    client.connect(server.url(path))
    client.send(message)

    assert client.closed().code == code
    (event,) = event_log.wait_for_name("on_disconnect")
    assert event.facts["close_event"]["code"] == code
    assert "Traceback" not in server.log()


def test_text_that_is_no_unicode(server, start_client, event_log):
    """A text frame that is no UTF-8 ends the session, and the hook runs."""
    client = start_client()
    client.connect(server.url("/text/7"))
    client.send_frame(0x81, b"\xff\xff")

    assert client.closed().code in (1006, 1007)  # wsproto closes the connection without a frame
    event_log.wait_for_name("on_disconnect")


@pytest.mark.parametrize("command", [["uvicorn", "--port", "0"], ["cortado", "run", "--port", "0"]])
def test_application_that_is_wired_wrongly_does_not_start(command):
    """The process ends with status 3 and one text that names every problem with its cure, without a traceback."""
    program, *options = command
    ended = subprocess.run(
        [sys.executable, "-m", program, *options, "tests.bad_input.broken:app"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = ended.stdout + ended.stderr

    assert ended.returncode == 3
    assert "5 problems keep the application from starting" in told
    for words in (
        ("no bean of type Missing", "required by: parameter 'missing'"),
        ("chicken", "egg", "Lazy"),
        ("wrong_signature", "async def"),
        ("twice", "once"),
        ("unbindable", "'what'"),
    ):
        assert all(word in told for word in words), words
    assert "Traceback" not in told
