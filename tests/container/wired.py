"""Functions as a dependency-injector project has them; `test_interop.py` loads this file anew for each use."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from dependency_injector.wiring import Closing, Provide, Provider, inject

closed: list[str] = []


@inject
def ask(greeter: Any = Provide["greeter"]) -> Any:
    return greeter


@inject
async def ask_async(greeter: Any = Provide["greeter"], pool: Any = Provide["pool"]) -> Any:
    return greeter, pool


@inject
def ask_for_pool(pool: Any = Provide["pool"]) -> Any:
    return pool


@inject
def ask_annotated(greeter: Annotated[Any, Provide["greeter"]]) -> Any:
    return greeter


@inject
async def ask_closing(pool: Any = Closing[Provide["pool"]]) -> Any:
    return pool


@inject
def ask_for_provider(provider: Any = Provider["greeter"]) -> Any:
    return provider()


@inject
def generate(greeter: Any = Provide["greeter"]) -> Iterator[Any]:
    try:
        yield greeter
    finally:
        closed.append("generator")


@inject
async def generate_async(
    greeter: Any = Provide["greeter"], pool: Any = Provide["pool"]
) -> AsyncIterator[Any]:
    try:
        yield greeter, pool
    finally:
        closed.append("async generator")


class Asking:
    @inject
    def __init__(self, greeter: Any = Provide["greeter"]) -> None:
        self.greeter = greeter

    @inject
    async def ask(self, greeter: Any = Provide["greeter"]) -> Any:
        return greeter
