"""What holds for every test."""

import os
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=500, deadline=None, print_blob=True)
settings.load_profile("thorough" if os.environ.get("CI") else "quick")


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Let a test fail when Cortado itself blocks the event loop; the first import of a module may read its files."""
    with blockbuster_ctx("cortado", excluded_modules=["cortado.testing"]) as blockbuster:
        for function in blockbuster.functions.values():
            function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
            function.can_block_in(
                "pydantic/plugin/_loader.py", "get_plugins"
            )  # once in a process, at a start
            function.can_block_in(
                "container/values.py", "read"
            )  # the files of settings classes, once at a start
        yield
