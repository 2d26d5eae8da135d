"""An application with a database whose queries take their time; it tells what its pool of connections holds."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from cortado import Cortado
from cortado.container import bean, configuration, rest_controller
from cortado.web import get_mapping

DATABASE = "CORTADO_TEST_DATABASE"
CONNECTIONS = 100


class Queries:
    """How many queries have begun, and how their requests ended."""

    def __init__(self) -> None:
        self.begun = self.finished = self.cancelled = 0

    def pause(self, seconds: float) -> float:
        """A function of the database: its thread waits, as for a server that is busy."""
        self.begun += 1
        time.sleep(seconds)
        return seconds


@configuration
class Database:
    @bean
    def queries(self) -> Queries:
        return Queries()

    @bean
    async def engine(self, queries: Queries) -> AsyncIterator[AsyncEngine]:
        url = f"sqlite+aiosqlite:///{os.environ[DATABASE]}"
        engine = create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=5)
        event.listen(
            engine.sync_engine,
            "connect",
            lambda connection, _: connection.create_function("pause", 1, queries.pause),
        )
        yield engine
        await engine.dispose()

    @bean(scope="request")
    async def session(self, engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session


@rest_controller
class Reports:
    def __init__(self, engine: AsyncEngine, queries: Queries) -> None:
        self._engine, self._queries = engine, queries

    @get_mapping("/report/{seconds}")
    async def report(self, seconds: float, session: AsyncSession) -> float:
        try:
            result = await session.scalar(text("SELECT pause(:seconds)"), {"seconds": seconds})
            await session.commit()
        except asyncio.CancelledError:
            self._queries.cancelled += 1
            raise
        self._queries.finished += 1
        return float(result)

    @get_mapping("/pool")
    async def pool(self) -> dict[str, int]:
        queries = self._queries
        return {
            "checked out": self._engine.pool.checkedout(),
            "begun": queries.begun,
            "finished": queries.finished,
            "cancelled": queries.cancelled,
        }

    @get_mapping("/check")
    async def check(self) -> int:
        """Use every connection of the pool at the same time, and return how many work."""
        barrier = asyncio.Barrier(CONNECTIONS)

        async def use() -> int:
            async with AsyncSession(self._engine) as session:
                await session.begin()
                works = await session.scalar(text("SELECT 1"))
                await barrier.wait()
                return int(works)

        return sum(await asyncio.gather(*(use() for _ in range(CONNECTIONS))))


app = Cortado(Database, Reports, settings={"http": {"disconnect_grace_period": 0.6}})
