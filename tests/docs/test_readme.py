"""The README's example does what the README says."""

from pathlib import Path
from types import ModuleType

from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from cortado.testing import TestClient

README = Path(__file__).parents[2] / "README.md"


async def test_the_example_is_a_chat():
    """Everybody in the chat gets every message, and the counter follows who comes and goes, killed ones too."""
    document = Document.parse(str(README), PythonCodeBlockParser())
    module = ModuleType("chat")
    document.namespace = vars(module)
    next(iter(document.examples())).evaluate()

    async with TestClient(module.app) as client:
        async with client.websocket("/chat/ann") as ann:
            async with client.websocket("/chat/bob") as bob:
                await bob.send_text("hi")
                assert await bob.receive_text() == await ann.receive_text() == "bob: hi"
                assert (await client.get("/active")).json() == {"active": 2}
                bob.drop()
            assert (await client.get("/active")).json() == {"active": 1}
        assert (await client.get("/active")).json() == {"active": 0}
