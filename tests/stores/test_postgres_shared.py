"""Several stores on one PostgreSQL database, and what is special to it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from lambda_kit import ConfigurationError, Job, JobStatus, MissingExtraError
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Change, Created, Lease
from lambda_kit.testing import ManualClock
from tests.support.postgres_schema import POSTGRES_URL, database, new_schema

ROOT = Path(__file__).parents[2]
REQUEST = Payload(b"{}", "application/json")
RESULT = Payload(b"1", "application/json")
LONG_SECONDS = 60.0


def new_job(job_id: str, ttl_seconds: float = 3600.0) -> Job:
    return Job(id=job_id, tool="greet", requested_at=0.0, ttl_seconds=ttl_seconds)


async def finish(store: PostgresJobStore, job: Job, result: Payload = RESULT) -> None:
    await store.create(job, REQUEST)
    claim = await store.claim(job.id, worker_id="w", lease_seconds=10)
    assert claim is not None
    await store.finish(Lease(job.id, claim.job.lease_token), result)


@pytest.fixture
def schema() -> Iterator[str]:
    with new_schema() as name:
        yield name


@pytest.fixture
def other_schema() -> Iterator[str]:
    with new_schema() as name:
        yield name


@pytest.fixture
async def stores(schema: str) -> AsyncIterator[list[PostgresJobStore]]:
    """Two that share a schema, opened at once."""
    async with AsyncExitStack() as stack:
        new = [PostgresJobStore(POSTGRES_URL, schema=schema) for _ in range(2)]
        for store in new:
            stack.push_async_callback(store.stop)
        await asyncio.gather(*(store.start() for store in new))
        yield new


class Told:
    """The changes that a store tells of."""

    def __init__(self, store: PostgresJobStore) -> None:
        self.changes: list[Change] = []
        self._changed = asyncio.Event()
        store.subscribe(self._add)

    def _add(self, change: Change) -> None:
        self.changes.append(change)
        self._changed.set()

    async def until(self, change: Change) -> None:
        async with asyncio.timeout(LONG_SECONDS):
            while change not in self.changes:
                self._changed.clear()
                await self._changed.wait()


async def test_a_change_is_told_to_the_other_store_and_once_to_its_own(stores: list[PostgresJobStore]) -> None:
    one, other = stores
    told_one, told_other = Told(one), Told(other)
    await one.create(new_job("a"), REQUEST)
    await told_other.until(Change("a", JobStatus.PENDING))
    assert await other.get("a") is not None
    claim = await other.claim("a", worker_id="w", lease_seconds=10)
    assert claim is not None
    await told_one.until(Change("a", JobStatus.EXECUTING))
    await one.request_cancel("a")
    await told_other.until(Change("a", JobStatus.EXECUTING, cancel_requested=True))
    await other.finish(Lease("a", claim.job.lease_token), RESULT)
    await told_one.until(Change("a", JobStatus.CANCELLED, cancel_requested=True))
    assert told_one.changes.count(Change("a", JobStatus.PENDING)) == 1
    assert told_other.changes.count(Change("a", JobStatus.EXECUTING)) == 1


async def test_more_changes_at_once_than_fit_one_notification_are_all_told(stores: list[PostgresJobStore]) -> None:
    one, other = stores
    told = Told(other)
    names = [f"{n}-".ljust(128, "x") for n in range(200)]
    await asyncio.gather(*(one.create(new_job(name), REQUEST) for name in names))
    for name in names:
        await told.until(Change(name, JobStatus.PENDING))


async def test_of_two_stores_that_claim_one_wins_each_job(stores: list[PostgresJobStore]) -> None:
    names = [f"job-{n}" for n in range(50)]
    for n, name in enumerate(names):
        await stores[n % 2].create(new_job(name), REQUEST)
    claims = await asyncio.gather(
        *(store.claim(name, worker_id="w", lease_seconds=10) for name in names for store in stores)
    )
    assert sorted(claim.job.id for claim in claims if claim is not None) == sorted(names)


async def test_what_one_store_remembers_of_a_job_does_not_overwrite_the_other(stores: list[PostgresJobStore]) -> None:
    one, other = stores
    await one.create(new_job("a"), REQUEST)
    claim = await one.claim("a", worker_id="w", lease_seconds=10)
    assert claim is not None
    lease = Lease("a", claim.job.lease_token)
    await asyncio.gather(
        *(one.renew([lease], lease_seconds=100 + n) for n in range(10)),
        *(other.request_cancel("a") for _ in range(10)),
    )
    job = await one.finish(lease, RESULT)
    assert job.status is JobStatus.CANCELLED
    assert await other.get("a") == job


async def test_the_limit_of_unfinished_jobs_holds_across_stores(stores: list[PostgresJobStore]) -> None:
    made = await asyncio.gather(
        *(stores[n % 2].create(new_job(f"job-{n}"), REQUEST, max_unfinished=110) for n in range(150)),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in made) == 110


async def test_many_stores_that_open_at_once_make_the_tables_once(schema: str) -> None:
    async with AsyncExitStack() as stack:
        stores = [PostgresJobStore(POSTGRES_URL, schema=schema, max_connections=1) for _ in range(6)]
        for store in stores:
            stack.push_async_callback(store.stop)
        await asyncio.gather(*(store.start() for store in stores))
        await stores[0].create(new_job("a"), REQUEST)
        for store in stores:
            assert await store.get("a") is not None


async def test_tables_of_a_newer_version_are_refused(schema: str) -> None:
    async with PostgresJobStore(POSTGRES_URL, schema=schema):
        pass
    async with database() as connection:
        await connection.execute(f"UPDATE {schema}.schema_version SET version = 99")
    with pytest.raises(ConfigurationError, match=r"newer lambda_kit \(schema version 99"):
        await PostgresJobStore(POSTGRES_URL, schema=schema).start()


async def test_tables_of_an_older_version_are_refused_with_what_to_do(schema: str) -> None:
    async with database() as connection:
        await connection.execute(
            f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.jobs (number bigint, owner text, lease_owner text);"
            f"CREATE TABLE {schema}.schema_version AS SELECT 1 AS version"
        )
    with pytest.raises(ConfigurationError, match=r"older lambda_kit \(schema version 1.* drop the schema"):
        await PostgresJobStore(POSTGRES_URL, schema=schema).start()


async def test_a_schema_that_is_there_already_is_used(schema: str) -> None:
    async with database() as connection:
        await connection.execute(f"CREATE SCHEMA {schema}")
    async with PostgresJobStore(POSTGRES_URL, schema=schema) as store:
        await finish(store, new_job("a"))


async def test_jobs_of_two_schemas_are_kept_apart(other_schema: str, stores: list[PostgresJobStore]) -> None:
    async with PostgresJobStore(POSTGRES_URL, schema=other_schema) as other:
        told = Told(other)
        await stores[0].create(new_job("a"), REQUEST)
        assert await other.get("a") is None
        await other.create(new_job("b"), REQUEST)
        await told.until(Change("b", JobStatus.PENDING))
        assert {change.job_id for change in told.changes} == {"b"}


@pytest.mark.parametrize("schema_name", ["", "a b", 'x"; DROP SCHEMA public', "1a", "x" * 64])
def test_a_schema_that_is_no_plain_name_is_refused(schema_name: str) -> None:
    with pytest.raises(ConfigurationError, match="schema="):
        PostgresJobStore(POSTGRES_URL, schema=schema_name)


def test_a_log_without_room_and_a_pool_without_connections_are_refused() -> None:
    with pytest.raises(ValueError, match="event_log_size=0"):
        PostgresJobStore(POSTGRES_URL, event_log_size=0)
    with pytest.raises(ValueError, match="max_connections=0"):
        PostgresJobStore(POSTGRES_URL, max_connections=0)


def test_without_the_driver_the_text_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lambda_kit.adapters.stores.postgres.database")
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lambda-kit\[postgres\]'"):
        PostgresJobStore(POSTGRES_URL)


async def test_bodies_of_50_mb_are_kept(stores: list[PostgresJobStore]) -> None:
    one, other = stores
    request = Payload(os.urandom(1000) * 50_000, "application/octet-stream")
    result = Payload(request.content[::-1], "application/octet-stream")
    await one.create(new_job("a"), request)
    claim = await other.claim("a", worker_id="w", lease_seconds=10)
    assert claim is not None
    assert claim.request == request
    await other.finish(Lease("a", claim.job.lease_token), result)
    assert await one.get_result("a") == result


async def test_more_jobs_than_a_batch_are_purged_and_nothing_is_left_of_them(schema: str) -> None:
    clock = ManualClock()
    async with PostgresJobStore(POSTGRES_URL, schema=schema, clock=clock) as store:
        await store.register_sink("sink")
        for first in range(
            0, 1100, 100
        ):  # not all at once: a call waits 5 s for a connection, which a busy machine can take
            some = range(first, first + 100)
            await asyncio.gather(*(finish(store, new_job(f"job-{n}", ttl_seconds=10.0)) for n in some))
        await store.create(new_job("stays"), REQUEST)
        clock.advance(11)
        assert await store.purge() == 1100
        assert [job.id for job in (await store.list_jobs()).jobs] == ["stays"]
        assert len(await store.undelivered("sink", limit=2000)) == 1101
        clock.advance(86_400)
        assert sum([len(await store.drop_undelivered(silent_seconds=1e6)) for _ in range(4)]) == 1100
    async with database() as connection:
        for table, count in (("jobs", 1), ("events", 1), ("outbox", 1), ("retired", 0)):
            assert await connection.fetchval(f"SELECT count(*) FROM {schema}.{table}") == count


async def test_watches_and_calls_share_few_connections(schema: str) -> None:
    async with PostgresJobStore(POSTGRES_URL, schema=schema, max_connections=3) as store, database() as connection:
        for _ in range(1000):
            store.subscribe(lambda _: None)
        await asyncio.gather(*(store.create(new_job(f"job-{n}"), REQUEST) for n in range(100)))
        count = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()",
            schema,
        )
        assert 1 <= count <= 4


async def test_a_store_can_be_used_on_one_event_loop_after_the_other(schema: str) -> None:
    store = PostgresJobStore(POSTGRES_URL, schema=schema)

    async def use(job_id: str) -> None:
        async with store:
            told = Told(store)
            await store.create(new_job(job_id), REQUEST, max_unfinished=10)
            await told.until(Change(job_id, JobStatus.PENDING))

    for job_id in ("a", "b"):
        await asyncio.to_thread(asyncio.run, use(job_id))


def test_a_writing_process_that_is_killed_loses_nothing_that_was_acknowledged(schema: str) -> None:
    command = [sys.executable, "-m", "tests.support.postgres_process", POSTGRES_URL, schema, "job"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().split() for _ in range(300)]
        process.kill()
        acknowledged += [line.split() for line in process.stdout if line.endswith("\n")]
    assert all(len(words) == 2 for words in acknowledged)

    async def check() -> None:
        async with PostgresJobStore(POSTGRES_URL, schema=schema) as store:
            for what, job_id in acknowledged:
                assert await store.get(job_id) is not None
                if what == "finished":
                    assert await store.get_result(job_id) == Payload(job_id.encode(), "text/plain")

    asyncio.run(check())


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_no_more_places_are_given_than_there_are_whatever_the_default_isolation_is(
    schema: str, level: str
) -> None:
    url = f"{POSTGRES_URL}?default_transaction_isolation={level.replace(' ', '%20')}"
    async with PostgresJobStore(url, schema=schema) as one, PostgresJobStore(url, schema=schema) as other:
        for name in map(str, range(5)):
            slots = (
                store.acquire_slot(name, f"{store is one} {n}", limit=3, lease_seconds=60)
                for n in range(6)  # each of them is done anew after each other's, within 5 s
                for store in (one, other)
            )
            assert sum(await asyncio.gather(*slots)) == 3
            creates = (
                store.create(
                    Job(id=f"{name}-{n}-{store is one}", tool=name, requested_at=0.0), REQUEST, max_unfinished=3
                )
                for n in range(6)
                for store in (one, other)
            )
            answers = await asyncio.gather(*creates, return_exceptions=True)
            assert [answer for answer in answers if not isinstance(answer, (Created, QueueFullError))] == []
            assert len([answer for answer in answers if isinstance(answer, Created)]) == 3
