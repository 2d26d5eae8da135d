"""Beans that need each other in any way without a circle, asked for in any order, all at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cortado.container import Container, depends_on


class Thing:
    """What every factory makes."""


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[tuple[int, ...], str, int]]:
    """Draw beans: the earlier ones that each depends on, how it is made, and how many turns that takes."""
    number = draw(st.integers(1, 8))
    kinds = st.sampled_from(["sync", "async", "generator", "async generator"])
    return [
        (
            draw(st.sets(st.sampled_from(range(at))).map(tuple)) if at else (),
            draw(kinds),
            draw(st.integers(0, 3)),
        )
        for at in range(number)
    ]


def factory(name: str, kind: str, turns: int, needs: tuple[str, ...], log: list[str]) -> Callable[..., Any]:
    async def wait() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    class Sync(Thing):
        def close(self) -> None:
            log.append(f"{name} down")

    class Async(Thing):
        async def aclose(self) -> None:
            await wait()
            log.append(f"{name} down")

    def sync() -> Sync:
        log.append(f"{name} up")
        return Sync()

    async def coroutine() -> Async:
        log.append(f"{name} begun")
        await wait()
        log.append(f"{name} up")
        return Async()

    def generator() -> Iterator[Thing]:
        log.append(f"{name} up")
        yield Thing()
        log.append(f"{name} down")

    async def async_generator() -> AsyncIterator[Thing]:
        await wait()
        log.append(f"{name} up")
        yield Thing()
        await wait()
        log.append(f"{name} down")

    made = {"sync": sync, "async": coroutine, "generator": generator, "async generator": async_generator}
    return depends_on(*needs)(made[kind])


@settings(deadline=None)
@given(graph=graphs(), data=st.data())
def test_dependencies_outlive_their_dependants(graph, data):
    """A bean is up after all that it depends on, each once, and is gone before any of them."""
    names = [f"bean{number}" for number in range(len(graph))]
    registered = data.draw(st.permutations(range(len(graph))))
    asked = data.draw(st.lists(st.sampled_from(names), min_size=1))
    log: list[str] = []

    async def live() -> None:
        container = Container()
        for number in registered:
            needs, kind, turns = graph[number]
            name = names[number]
            container.register(factory(name, kind, turns, tuple(names[one] for one in needs), log), name=name)
        async with container:
            await asyncio.gather(*(container.aget(name) for name in asked))

    asyncio.run(live())
    ups = [entry.removesuffix(" up") for entry in log if entry.endswith(" up")]
    downs = [entry.removesuffix(" down") for entry in log if entry.endswith(" down")]
    assert sorted(ups) == sorted(set(ups))
    assert downs == ups[::-1]
    for number, (needs, _, _) in enumerate(graph):
        for need in needs:
            if names[number] in ups:
                assert ups.index(names[need]) < ups.index(names[number])
