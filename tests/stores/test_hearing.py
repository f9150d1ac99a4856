"""A store goes on hearing of what other processes change, whatever it is told meanwhile, and what fails."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from lambda_kit import Job, JobStatus, JobStore, SqliteJobStore
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Change
from tests.support.postgres_schema import POSTGRES_URL, database, new_schema
from tests.support.postgres_server import PostgresServer
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL

REQUEST = Payload(b"{}", "application/json")
LONG_SECONDS = 60.0
DEAF = "changes of jobs by other processes are not heard of for a while"


class Told:
    """What a store tells."""

    def __init__(self, store: JobStore) -> None:
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        store.subscribe(self._changes.put_nowait)

    async def until(self, *wanted: Change) -> list[Change]:
        """Wait for one of these; returns what was told until then."""
        changes: list[Change] = []
        async with asyncio.timeout(LONG_SECONDS):
            while not changes or changes[-1] not in wanted:
                changes.append(await self._changes.get())
        return changes

    async def until_job(self, job_id: str) -> list[Change]:
        return await self.until(Change(job_id), Change(job_id, JobStatus.PENDING))


class Lines(logging.Handler):
    """What is logged, by any thread."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.warnings: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())
        self._loop.call_soon_threadsafe(self._lines.put_nowait, record.getMessage())

    async def until(self, text: str) -> None:
        async with asyncio.timeout(LONG_SECONDS):
            while text not in await self._lines.get():
                pass


@pytest.fixture
async def lines(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Lines]:
    logger, handler = logging.getLogger("lambda_kit.store"), Lines()
    caplog.set_level(logging.INFO, logger=logger.name)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def create(store: JobStore, job_id: str) -> None:
    await store.create(Job(id=job_id, tool="greet", requested_at=0.0), REQUEST)


# --- Redis ---


@pytest.fixture
def prefix() -> Iterator[str]:
    with new_prefix() as prefix:
        yield prefix


@pytest.mark.parametrize("message", [b"", b"garbage", b"\xff\xfe", b"w dreaming"], ids=str)
async def test_a_message_in_redis_that_can_not_be_read_has_all_looked_at(
    prefix: str, message: bytes, lines: Lines
) -> None:
    async with RedisJobStore(REDIS_URL, prefix=prefix) as store, RedisJobStore(REDIS_URL, prefix=prefix) as other:
        told = Told(store)
        async with redis.asyncio.Redis.from_url(REDIS_URL) as client:
            for _ in range(2):
                await client.publish(f"{{{prefix}}}:changes", message)
                await told.until(Change(None))
        await create(other, "after")
        await told.until_job("after")
    assert len(lines.warnings) == 2, "one for each store"


async def test_a_status_in_redis_that_is_not_known_here_is_a_change_all_the_same(prefix: str) -> None:
    async with RedisJobStore(REDIS_URL, prefix=prefix) as store:
        told = Told(store)
        async with redis.asyncio.Redis.from_url(REDIS_URL) as client:
            await client.publish(f"{{{prefix}}}:changes", "their-write dreaming 0 job-1")
        assert await told.until(Change("job-1")) == [Change("job-1")]


class Proxy:
    """Passes bytes on to Redis and back, and says something of its own where a channel is subscribed to."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []
        self._subscribed: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
            for writer in self._writers:
                writer.close()

    async def say(self, text: bytes) -> None:
        """Say it on the connection that subscribed next."""
        async with asyncio.timeout(LONG_SECONDS):
            writer = await self._subscribed.get()
            writer.write(text)
            await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", 6379)
        self._writers += [writer, to_redis]
        await asyncio.gather(self._pass_on(reader, to_redis), self._pass_on(from_redis, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while text := await reader.read(65536):
                writer.write(text)
                if b"$9\r\nsubscribe\r\n" in text:
                    self._subscribed.put_nowait(writer)
        writer.close()


async def test_what_redis_never_says_does_not_end_the_subscription(prefix: str, lines: Lines) -> None:
    proxy = Proxy()
    async with (
        proxy.serving() as url,
        RedisJobStore(url, prefix=prefix) as store,
        RedisJobStore(REDIS_URL, prefix=prefix) as other,
    ):
        told = Told(store)
        for _ in range(3):  # a number is no answer to a subscription
            await proxy.say(b":5\r\n")
            await told.until(Change(None))
        await create(other, "after")
        await told.until_job("after")
        assert len([line for line in lines.warnings if "lost the subscription to Redis" in line]) == 1


# --- PostgreSQL ---


@pytest.fixture
def schema() -> Iterator[str]:
    with new_schema() as schema:
        yield schema


async def test_a_notification_that_can_not_be_read_has_all_looked_at(schema: str, lines: Lines) -> None:
    async with PostgresJobStore(POSTGRES_URL, schema=schema) as store:
        told = Told(store)
        async with database() as connection:
            for payload in ("garbage", "", "dreaming 0 job-1\ngarbage\npending 0 job-2"):
                await connection.execute("SELECT pg_notify($1, $2)", f"lambda_kit {schema}", payload)
        changes = await told.until_job("job-2")
        assert changes[:4] == [Change(None), Change(None), Change("job-1"), Change(None)]
    assert len(lines.warnings) == 1


async def test_a_job_whose_id_is_too_long_for_a_notification_is_heard_of_all_the_same(schema: str) -> None:
    async with (
        PostgresJobStore(POSTGRES_URL, schema=schema) as store,
        PostgresJobStore(POSTGRES_URL, schema=schema) as other,
    ):
        told = Told(store)
        await create(other, "x" * 8000)
        await told.until(Change(None))
        await create(other, "after")
        await told.until_job("after")


async def test_notifications_that_are_refused_for_a_while_end_nothing(lines: Lines) -> None:
    with PostgresServer() as server:
        worker_id = await asyncpg.connect(server.url)
        await worker_id.execute(
            "CREATE ROLE service LOGIN PASSWORD 'sesame'; GRANT CREATE ON DATABASE postgres TO service"
        )
        url = f"postgresql://service:sesame@127.0.0.1:{server.port}/postgres"
        async with PostgresJobStore(url) as store, PostgresJobStore(url) as other:
            told, told_by_other = Told(store), Told(other)
            await create(other, "before")
            await told.until_job("before")
            await worker_id.execute("REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
            await create(other, "meanwhile")
            await lines.until(DEAF)
            for _ in range(2):  # each time that it has subscribed again
                await told_by_other.until(Change(None))
            assert len([line for line in lines.warnings if DEAF in line]) <= 2, "one for each store"
            await worker_id.execute("GRANT EXECUTE ON FUNCTION pg_notify TO PUBLIC")
            await lines.until("are heard of again")
            await create(other, "after")
            await told.until_job("after")
        await worker_id.close()


# --- SQLite ---


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def execute(path: Path, script: str) -> None:
    """What another process does to the file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)


async def test_a_status_in_a_file_that_is_not_known_here_is_a_change_all_the_same(path: Path) -> None:
    async with asyncio.timeout(LONG_SECONDS), SqliteJobStore(path) as store, SqliteJobStore(path) as other:
        told = Told(store)
        await create(other, "one")
        await told.until_job("one")
        # as a newer version may do it
        execute(
            path,
            "BEGIN IMMEDIATE; UPDATE counters SET change = change + 1;"
            " UPDATE jobs SET status = 'dreaming', change = (SELECT change FROM counters); COMMIT",
        )
        assert await told.until(Change("one")) == [Change("one")]
        await create(other, "two")
        await told.until_job("two")


async def test_a_file_whose_changes_can_not_be_read_for_a_while_is_looked_at_when_they_can(
    path: Path, lines: Lines
) -> None:
    async with asyncio.timeout(LONG_SECONDS), SqliteJobStore(path) as store, SqliteJobStore(path) as other:
        told = Told(store)
        await create(other, "before")
        await told.until_job("before")
        execute(path, "UPDATE counters SET change = 'damaged'")
        await lines.until(DEAF)
        assert [job.id for job in (await store.list_jobs()).jobs] == ["before"]
        execute(path, "UPDATE counters SET change = 1")
        await told.until(Change(None))
        await create(other, "after")
        await told.until_job("after")
        assert len(lines.warnings) == 1
