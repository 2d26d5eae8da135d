"""The container beside its peers: one process, one run, interleaved rounds.

    python tests/benchmarks/container.py --items cached,scope,resource,start --rounds 7 --json figures.json

The peers come with the extra `bench`; whoever isn't installed is left out, which is said. Figures are CPU time per
operation, for the clock on the wall drifts on machines that others use, too. A ratio is the median of the rounds' own
ratios, and compares with the first line of its table: 2.00 takes twice as long. The goals are those of a machine
whose raw Python builds the graph of 5 in 0.8 µs.
"""

import argparse
import asyncio
import gc
import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Repeat = Callable[[int], Awaitable[None]]
"""Does the operation as often as it is told."""

Setup = Callable[[], AbstractAsyncContextManager[Repeat]]


@dataclass
class Item:
    """An operation that is measured."""

    title: str
    unit: str
    """How the figures are shown: `µs` or `ms`."""
    goal: float
    """What Cortado is to reach, in that unit."""
    setups: dict[str, Setup] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        return {"µs": 1e6, "ms": 1e3}[self.unit]

    def candidate(self, name: str) -> Callable[[Callable[[], AsyncIterator[Repeat]]], None]:
        """Enter a candidate; what it yields is measured."""

        def enter(setup: Callable[[], AsyncIterator[Repeat]]) -> None:
            self.setups[name] = asynccontextmanager(setup)

        return enter


CACHED = Item("cached singleton", "µs", 0.25)
SCOPE = Item("open a request scope, build a graph of 5, close", "µs", 3.2)
RESOURCE = Item("the same with one async `yield` resource", "µs", 7)
START = Item("register 1000 beans and start", "ms", 150)
ITEMS = {"cached": CACHED, "scope": SCOPE, "resource": RESOURCE, "start": START}

OURS = "Cortado"
PACKAGES = ("dependency-injector", "dishka", "wireup", "rodi")


class LeftOutError(Exception):
    """A candidate can't take part; the text says why."""


class Config:
    """The singleton."""


class Connection:
    def __init__(self, config: Config) -> None:
        self.config = config


class Users:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class Orders:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class Service:
    def __init__(self, users: Users, orders: Orders) -> None:
        self.users = users
        self.orders = orders


class Handler:
    def __init__(self, service: Service) -> None:
        self.service = service


async def connect(config: Config) -> AsyncIterator[Connection]:
    yield Connection(config)


SCOPED = (Connection, Users, Orders, Service, Handler)
SCOPED_WITH_RESOURCE = (connect, Users, Orders, Service, Handler)


def many_classes() -> Sequence[type]:
    """Return 1000 classes in four layers; each needs two of the layer below."""
    lines = []
    for number in range(1000):
        lines.append(f"class Bean{number}:")
        below = number - 250
        needed = (
            "" if below < 0 else f", one: Bean{below}, other: Bean{below // 250 * 250 + (below + 1) % 250}"
        )
        lines.append(f"    def __init__(self{needed}) -> None: ...")
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(compile("\n".join(lines), __file__, "exec", dont_inherit=True), namespace)
    return [namespace[f"Bean{number}"] for number in range(1000)]


@CACHED.candidate("raw Python, an attribute")
async def _() -> AsyncIterator[Repeat]:
    holder = Connection(Config())

    async def repeat(times: int) -> None:
        for _ in range(times):
            _ = holder.config

    yield repeat


@CACHED.candidate("dependency-injector, sync")
async def _() -> AsyncIterator[Repeat]:
    from dependency_injector.providers import Singleton

    yield repeated(Singleton(Config))


@CACHED.candidate("rodi, sync")
async def _() -> AsyncIterator[Repeat]:
    import rodi

    yield repeated(rodi.Container().add_singleton(Config).build_provider().get, Config)


@CACHED.candidate("wireup, async")
async def _() -> AsyncIterator[Repeat]:
    async with wireup_container() as container:
        yield awaited(container.get, Config)


@CACHED.candidate("dishka, async")
async def _() -> AsyncIterator[Repeat]:
    async with dishka_container() as container:
        yield awaited(container.get, Config)


@CACHED.candidate("Cortado, get")
async def _() -> AsyncIterator[Repeat]:
    async with cortado_container() as container:
        yield repeated(container.get, Config)


@CACHED.candidate("Cortado, aget")
async def _() -> AsyncIterator[Repeat]:
    async with cortado_container() as container:
        yield awaited(container.aget, Config)


@CACHED.candidate("Cortado, resolver: get_if_ready")
async def _() -> AsyncIterator[Repeat]:
    async with cortado_container() as container:
        container.get(Config)
        yield repeated(container.resolver(Config).get_if_ready)


@SCOPE.candidate("raw Python, by hand")
async def _() -> AsyncIterator[Repeat]:
    config = Config()

    async def repeat(times: int) -> None:
        for _ in range(times):
            connection = Connection(config)
            Handler(Service(Users(connection), Orders(connection)))

    yield repeat


@SCOPE.candidate("dependency-injector, ContextLocal")
async def _() -> AsyncIterator[Repeat]:
    from dependency_injector.providers import ContextLocalSingleton, Singleton

    connection = ContextLocalSingleton(Connection, Singleton(Config))
    users, orders = (ContextLocalSingleton(cls, connection) for cls in (Users, Orders))
    service = ContextLocalSingleton(Service, users, orders)
    handler = ContextLocalSingleton(Handler, service)
    scoped = (connection, users, orders, service, handler)

    async def repeat(times: int) -> None:
        for _ in range(times):
            handler()
            for one in scoped:
                one.reset()

    yield repeat


@SCOPE.candidate("rodi, sync")
async def _() -> AsyncIterator[Repeat]:
    import rodi

    container = rodi.Container().add_singleton(Config)
    for cls in SCOPED:
        container.add_scoped(cls)
    provider = container.build_provider()

    async def repeat(times: int) -> None:
        for _ in range(times):
            with provider.create_scope() as scope:
                provider.get(Handler, scope)

    yield repeat


@SCOPE.candidate("wireup, async")
async def _() -> AsyncIterator[Repeat]:
    async with wireup_container(SCOPED) as container:
        yield in_wireup_scope(container)


@SCOPE.candidate("dishka, async")
async def _() -> AsyncIterator[Repeat]:
    async with dishka_container(SCOPED) as container:
        yield in_dishka_scope(container)


@SCOPE.candidate("Cortado, async")
async def _() -> AsyncIterator[Repeat]:
    async with cortado_container(SCOPED) as container:
        yield in_cortado_scope(container)


@RESOURCE.candidate("raw Python, by hand")
async def _() -> AsyncIterator[Repeat]:
    config = Config()

    async def repeat(times: int) -> None:
        for _ in range(times):
            connections = connect(config)
            connection = await anext(connections)
            Handler(Service(Users(connection), Orders(connection)))
            await anext(connections, None)

    yield repeat


@RESOURCE.candidate("wireup, async")
async def _() -> AsyncIterator[Repeat]:
    async with wireup_container(SCOPED_WITH_RESOURCE) as container:
        yield in_wireup_scope(container)


@RESOURCE.candidate("dishka, async")
async def _() -> AsyncIterator[Repeat]:
    async with dishka_container(SCOPED_WITH_RESOURCE) as container:
        yield in_dishka_scope(container)


@RESOURCE.candidate("Cortado, async")
async def _() -> AsyncIterator[Repeat]:
    async with cortado_container(SCOPED_WITH_RESOURCE) as container:
        yield in_cortado_scope(container)


@START.candidate("dishka, async")
async def _() -> AsyncIterator[Repeat]:
    import dishka

    classes = many_classes()

    async def repeat(times: int) -> None:
        for _ in range(times):
            provider = dishka.Provider(scope=dishka.Scope.APP)
            for cls in classes:
                provider.provide(cls)
            dishka.make_async_container(provider)

    yield repeat


@START.candidate("rodi, sync")
async def _() -> AsyncIterator[Repeat]:
    import rodi

    classes = many_classes()

    async def repeat(times: int) -> None:
        for _ in range(times):
            container = rodi.Container()
            for cls in classes:
                container.add_singleton(cls)
            container.build_provider()

    yield repeat


@START.candidate("wireup, async")
async def _() -> AsyncIterator[Repeat]:
    import wireup

    classes = [wireup.injectable(cls) for cls in many_classes()]

    async def repeat(times: int) -> None:
        for _ in range(times):
            wireup.create_async_container(injectables=classes)

    yield repeat


@START.candidate("Cortado")
async def _() -> AsyncIterator[Repeat]:
    from cortado.container import Container

    classes = many_classes()

    async def repeat(times: int) -> None:
        for _ in range(times):
            await Container(*classes).start()

    yield repeat


def repeated(function: Callable[..., object], *arguments: object) -> Repeat:
    """Return what calls a function; with no argument or one, lest the call itself be what is measured."""

    async def repeat(times: int) -> None:
        for _ in range(times):
            function()

    async def repeat_with(times: int) -> None:
        [one] = arguments
        for _ in range(times):
            function(one)

    return repeat_with if arguments else repeat


def awaited(function: Callable[..., Awaitable[object]], argument: object) -> Repeat:
    async def repeat(times: int) -> None:
        for _ in range(times):
            await function(argument)

    return repeat


@asynccontextmanager
async def wireup_container(scoped: Sequence[Any] = ()) -> AsyncIterator[Any]:
    import wireup

    injectables = [wireup.injectable(Config), *(wireup.injectable(one, lifetime="scoped") for one in scoped)]
    container = wireup.create_async_container(injectables=injectables)
    yield container
    await container.close()


def in_wireup_scope(container: Any) -> Repeat:
    async def repeat(times: int) -> None:
        for _ in range(times):
            async with container.enter_scope() as scope:
                await scope.get(Handler)

    return repeat


@asynccontextmanager
async def dishka_container(scoped: Sequence[Any] = ()) -> AsyncIterator[Any]:
    import dishka

    provider = dishka.Provider()
    provider.provide(Config, scope=dishka.Scope.APP)
    for one in scoped:
        provider.provide(one, scope=dishka.Scope.REQUEST)
    container = dishka.make_async_container(provider)
    yield container
    await container.close()


def in_dishka_scope(container: Any) -> Repeat:
    async def repeat(times: int) -> None:
        for _ in range(times):
            async with container() as scope:
                await scope.get(Handler)

    return repeat


@asynccontextmanager
async def cortado_container(scoped: Sequence[Any] = ()) -> AsyncIterator[Any]:
    from cortado.container import Container

    if scoped and not hasattr(Container, "scope"):
        raise LeftOutError("this version has no request scopes")
    container = Container(Config)
    for one in scoped:
        container.register(one, scope="request")
    async with container:
        yield container


def in_cortado_scope(container: Any) -> Repeat:
    async def repeat(times: int) -> None:
        for _ in range(times):
            async with container.scope("request") as scope:
                await scope.aget(Handler)

    return repeat


@dataclass
class Subject:
    """A candidate that is ready to be measured, and the seconds of each round."""

    name: str
    repeat: Repeat
    times: int = 1
    rounds: list[float] = field(default_factory=list)

    async def calibrate(self, sample: float) -> None:
        """Warm up, and find out how often the operation has to be repeated to take so many seconds."""
        taken = await self.seconds()
        while taken < sample / 4:
            self.times *= 4
            taken = await self.seconds()
        self.times = max(1, round(self.times * sample / taken))

    async def measure(self) -> None:
        gc.collect()
        self.rounds.append(await self.seconds() / self.times)

    async def seconds(self) -> float:
        begin = time.process_time()
        await self.repeat(self.times)
        return time.process_time() - begin


async def measured(item: Item, rounds: int, sample: float) -> list[Subject]:
    """Return the candidates of an item with their figures; each round begins with another one."""
    subjects: list[Subject] = []
    async with AsyncExitStack() as stack:
        for name, setup in item.setups.items():
            try:
                subject = Subject(name, await stack.enter_async_context(setup()))
            except (ImportError, LeftOutError) as error:
                print(f"left out: {name}: {error}")
                continue
            await subject.calibrate(sample)
            subjects.append(subject)
        for number in range(rounds):
            first = number % len(subjects)
            for subject in (*subjects[first:], *subjects[:first]):
                await subject.measure()
    return subjects


def figures(item: Item, subjects: Sequence[Subject]) -> dict[str, dict[str, float | str]]:
    """Return median, minimum and ratio of each candidate, and whether Cortado's reach the goal."""
    found: dict[str, dict[str, float | str]] = {}
    for one in subjects:
        median = statistics.median(one.rounds) * item.scale
        pairs = zip(one.rounds, subjects[0].rounds, strict=True)
        found[one.name] = {
            "median": median,
            "minimum": min(one.rounds) * item.scale,
            "ratio": statistics.median(mine / first for mine, first in pairs),
        }
        if one.name.startswith(OURS):
            found[one.name]["verdict"] = "reached" if median <= item.goal else "missed"
    return found


def table(item: Item, found: dict[str, dict[str, float | str]]) -> str:
    lines = [
        f"{item.title}; {item.unit}, goal {item.goal:g}",
        f"  {'':34}{'median':>10}{'minimum':>10}{'ratio':>8}",
    ]
    for name, one in found.items():
        shown = f"  {name:34}{one['median']:10.3f}{one['minimum']:10.3f}{one['ratio']:8.2f}"
        lines.append(f"{shown}  {one['verdict']}" if "verdict" in one else shown)
    return "\n".join(lines)


def versions() -> str:
    """Return what is compared, in one line."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the container beside its peers.")
    parser.add_argument(
        "--items", default=",".join(ITEMS), help=f"some of {', '.join(ITEMS)}, with commas between"
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (7)")
    parser.add_argument("--sample", type=float, default=0.05, help="seconds that a measurement takes (0.05)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    given = parser.parse_args(arguments)
    chosen = given.items.split(",")
    unknown = [one for one in chosen if one not in ITEMS]
    if unknown or given.rounds < 1:
        parser.error(f"unknown item {unknown[0]!r}" if unknown else "there must be one round at least")
    print(f"{versions()}; {given.rounds} rounds")
    everything: dict[str, object] = {"versions": versions(), "rounds": given.rounds}
    for name in chosen:
        item = ITEMS[name]
        found = figures(item, asyncio.run(measured(item, given.rounds, given.sample)))
        everything[name] = {"title": item.title, "unit": item.unit, "goal": item.goal, "candidates": found}
        print(f"\n{table(item, found)}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(everything, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
