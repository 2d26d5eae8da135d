"""The order of beans' lives: who is built before whom, and who is gone before whom."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from cortado.container import (
    Container,
    Lazy,
    bean,
    component,
    configuration,
    depends_on,
    post_construct,
    pre_destroy,
    service,
)


class Log(list[str]):
    """What happened, in order."""


@pytest.fixture
def log():
    return Log()


def container_of(log: Log, *sources: object) -> Container:
    container = Container(*sources)
    container.register_instance(log)
    return container


class Living:
    """A bean whose life is written down."""

    def __init__(self, log: Log) -> None:
        self.log = log
        log.append(f"{type(self).__name__} built")

    @post_construct
    async def up(self) -> None:
        await asyncio.sleep(0)
        self.log.append(f"{type(self).__name__} up")

    @pre_destroy
    async def down(self) -> None:
        await asyncio.sleep(0)
        self.log.append(f"{type(self).__name__} down")


def lives(*names: str) -> list[str]:
    """Return the lives of beans that are created in this order, and destroyed in the reverse one."""
    begun = [f"{name} {step}" for name in names for step in ("built", "up")]
    return [*begun, *(f"{name} down" for name in reversed(names))]


async def test_hooks_of_generations(log):
    """`post_construct` runs from the oldest generation to the youngest, `pre_destroy` the other way, `async` or not."""

    class Grandparent:
        @post_construct
        async def begin(self) -> None:
            await asyncio.sleep(0)
            log.append("grandparent up")

        @pre_destroy
        async def end(self) -> None:
            await asyncio.sleep(0)
            log.append("grandparent down")

    class Parent(Grandparent):
        @post_construct
        def begin_more(self) -> None:
            log.append("parent up")

        @pre_destroy
        def end_more(self) -> None:
            log.append("parent down")

    class Mixin:
        @post_construct
        async def begin_mixin(self) -> None:
            log.append("mixin up")

        @pre_destroy
        async def end_mixin(self) -> None:
            log.append("mixin down")

    @component
    class Child(Mixin, Parent):
        @pre_destroy
        async def end_child(self) -> None:
            log.append("child down")

        @post_construct
        async def begin_child(self) -> None:
            log.append("child up")

    async with Container(Child) as container:
        await container.aget(Child)

    assert log == [
        "grandparent up",
        "parent up",
        "mixin up",
        "child up",
        "child down",
        "mixin down",
        "parent down",
        "grandparent down",
    ]


@component
class Engine(Living): ...


@component
class Cache(Living):
    def __init__(self, log: Log, engine: Engine) -> None:
        super().__init__(log)


@component
class Mailer(Living):
    def __init__(self, log: Log, engine: Engine) -> None:
        super().__init__(log)


@service
class Shop(Living):
    def __init__(self, log: Log, cache: Cache, mailer: Mailer) -> None:
        super().__init__(log)


@pytest.mark.parametrize("asked", [*itertools.permutations([Engine, Cache, Mailer, Shop])], ids=str)
async def test_dependencies_first_and_last(log, asked):
    """In whatever order beans are asked for, all at once, a bean's dependencies are up before it is built, and its
    dependants are gone before it goes."""
    async with container_of(log, *asked) as container:
        await asyncio.gather(*(container.aget(cls) for cls in asked))

    edges = [(Engine, Cache), (Engine, Mailer), (Cache, Shop), (Mailer, Shop)]
    for dependency, dependant in edges:
        needed, needing = dependency.__name__, dependant.__name__
        assert log.index(f"{needed} up") < log.index(f"{needing} built")
        assert log.index(f"{needing} down") < log.index(f"{needed} down")
    assert len(log) == 12


@component
class Schema(Living): ...


@component
@depends_on("schema")
class Importer(Living): ...


@component
@depends_on("importer")
class Reporter(Living): ...


@pytest.mark.parametrize("sources", [*itertools.permutations([Schema, Importer, Reporter])], ids=str)
async def test_depends_on(log, sources):
    """A bean is up before those that `depends_on` it are built, and destroyed after them, whatever the registration."""
    async with container_of(log, *sources) as container:
        await container.aget(Reporter)

    assert log == lives("Schema", "Importer", "Reporter")


async def test_depends_on_is_one_way(log):
    """A bean that others depend on needs none of them."""
    async with container_of(log, Reporter, Importer, Schema) as container:
        await container.aget(Schema)

    assert log == lives("Schema")


async def test_depends_on_at_the_start(log):
    """`lazy=False` on a bean creates at the start what it depends on, too."""
    container = container_of(log, Schema)
    container.register(Importer, lazy=False)
    async with container:
        assert log == ["Schema built", "Schema up", "Importer built", "Importer up"]

    assert log == lives("Schema", "Importer")


async def test_depends_on_among_factories(log):
    """`depends_on` holds for `@bean` methods, generators as well, in both directions."""

    class First: ...

    class Second: ...

    @configuration
    class Config:
        @bean
        @depends_on("second")
        def first(self) -> Iterator[First]:
            log.append("first up")
            yield First()
            log.append("first down")

        @bean
        async def second(self) -> AsyncIterator[Second]:
            await asyncio.sleep(0)
            log.append("second up")
            yield Second()
            await asyncio.sleep(0)
            log.append("second down")

    async with Container(Config) as container:
        await asyncio.gather(container.aget(First), container.aget(Second))

    assert log == ["second up", "first up", "first down", "second down"]


async def test_lazily_found_dependency(log):
    """What a bean looks up through `Lazy` in its `post_construct` is gone after it, too."""

    @component
    class Late(Living): ...

    @component
    class Holder(Living):
        def __init__(self, log: Log, late: Lazy[Late]) -> None:
            super().__init__(log)
            self.late = late

        @post_construct
        async def look(self) -> None:
            await self.late.aget()

    async with container_of(log, Holder, Late) as container:
        await container.aget(Holder)

    assert log == ["Holder built", "Holder up", "Late built", "Late up", "Holder down", "Late down"]
