"""Shares of callers over several replicas of a service, and in stores that an older version has made."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
import redis
from pydantic import BaseModel

from lambda_kit import (
    CallerLimits,
    Job,
    JobSettings,
    LambdaTool,
    RateLimitedError,
    Service,
    SqliteJobStore,
    ToolOptions,
    ToolServer,
)
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.ports.store import JobStore, Lease
from lambda_kit.core.ports.token_buckets import TokenBuckets
from lambda_kit.spi import Payload
from lambda_kit.testing import ManualClock, TestClient
from tests.support.postgres_schema import POSTGRES_URL, database, new_schema
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL
from tests.support.store_opener import Opener, opener

SHARED = ["sqlite", "redis", "postgres"]
REQUEST, RESULT = Payload(b"{}", "application/json"), Payload(b"1", "application/json")
SHARE = b"0123456789abcdef"
Counted = tuple[Opener, Callable[[], Awaitable[int]]]


class Text(BaseModel):
    text: str = "x"


class Echo(LambdaTool):
    """Says it again"""

    async def run(self, req: Text) -> str:
        return req.text


class Hold(LambdaTool):
    """Goes on until it is cancelled"""

    options = ToolOptions(max_wait_time=0)

    async def run(self, req: Text) -> str:
        await asyncio.Event().wait()
        return req.text


@pytest.fixture(params=SHARED)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opener(request.param, tmp_path) as new_store:
        yield new_store


def client_of(store: JobStore, limits: CallerLimits) -> AbstractContextManager[TestClient]:
    service = Service(name="Shares", contact={"name": "A", "email": "a@example.com"})
    settings = JobSettings(grace_seconds=0)
    return TestClient(ToolServer(service, [Echo, Hold], store=store, caller_limits=limits, settings=settings))


def a_job(job_id: str, **members: object) -> Job:
    return Job(**{"id": job_id, "tool": "hold", "requested_at": 0.0, "share": SHARE, **members})  # type: ignore[arg-type]


def test_replicas_have_one_bucket_of_each_caller(new_store: Opener) -> None:
    limits = CallerLimits(rate_per_second=0.001, burst=6, by_address=True)
    with ExitStack() as stack:
        replicas = [stack.enter_context(client_of(new_store(), limits)) for _ in range(2)]
        for address in ("10.0.0.1", "10.0.0.2"):
            codes = [
                replicas[n % 2].post("/echo", json={}, headers={"X-Forwarded-For": address}).status_code
                for n in range(10)
            ]
            assert codes == [200] * 6 + [429] * 4


def test_replicas_count_the_unfinished_jobs_of_each_caller_together(new_store: Opener) -> None:
    limits = CallerLimits(max_unfinished=3, by_address=True)
    here, there = {"X-Forwarded-For": "10.0.0.1"}, {"X-Forwarded-For": "10.0.0.2"}
    with ExitStack() as stack:
        one, other = (stack.enter_context(client_of(new_store(), limits)) for _ in range(2))
        made = [(one, other)[n % 2].post("/hold", json={}, headers=here) for n in range(5)]
        assert [answer.status_code for answer in made] == [204, 204, 204, 429, 429]
        assert other.post("/echo", json={}, headers=there).status_code == 200
        job_id = made[0].headers["job-id"]
        assert other.delete(f"/jobs/{job_id}").status_code in (200, 202)
        assert other.get(f"/jobs/{job_id}", headers={"Prefer": "wait=20"}).status_code == 410
        assert [each.post("/hold", json={}, headers=here).status_code for each in (other, one)] == [204, 429]


async def test_of_many_requests_to_two_replicas_at_once_no_more_get_in_than_may(new_store: Opener) -> None:
    async with new_store() as one, new_store() as other:
        stores = (one, other)
        taken = await asyncio.gather(
            *(stores[n % 2].take_token(SHARE, rate_per_second=0.001, burst=20) for n in range(60))
        )
        assert sum(answer.is_taken for answer in taken) == 20
        made = await asyncio.gather(
            *(stores[n % 2].create(a_job(f"job-{n}", tool=f"t{n % 3}"), REQUEST, max_of_share=7) for n in range(40)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, RateLimitedError) for outcome in made) == 33


async def test_who_waits_as_told_gets_in_by_the_servers_own_clock(new_store: Opener) -> None:
    async with new_store() as store:
        for _ in range(5):
            taken = await store.take_token(SHARE, rate_per_second=20.0, burst=1)
            while taken.is_taken:
                taken = await store.take_token(SHARE, rate_per_second=20.0, burst=1)
            await asyncio.sleep(taken.wait_seconds(20.0))  # what is tested is time itself
            assert (await store.take_token(SHARE, rate_per_second=20.0, burst=1)).is_taken


# --- what an older version has left ---


@pytest.fixture(params=["sqlite", "postgres"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Opener, Callable[[], Awaitable[None]]]]:
    """A store, and a function that makes of its schema that of the version before."""
    if request.param == "sqlite":
        path = tmp_path / "jobs.db"

        async def make_older() -> None:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.executescript(
                    "DROP TABLE due; DROP TRIGGER due_when_new; DROP TRIGGER due_when_changed;"
                    "DROP TRIGGER not_due_when_confirmed; DROP TRIGGER not_due_when_delivered;"
                    "DROP INDEX jobs_by_share; ALTER TABLE jobs DROP COLUMN share; DROP TABLE buckets;"
                    "PRAGMA user_version = 5"
                )

        yield lambda: SqliteJobStore(path), make_older
        return
    with new_schema() as schema:

        async def make_older_schema() -> None:
            async with database() as connection:
                await connection.execute(
                    f"ALTER TABLE {schema}.jobs DROP COLUMN share; DROP TABLE {schema}.buckets;"
                    f"DROP FUNCTION {schema}.admits_of_share; UPDATE {schema}.schema_version SET version = 4"
                )

        yield lambda: PostgresJobStore(POSTGRES_URL, schema=schema), make_older_schema


async def test_a_database_of_an_older_version_is_brought_up_to_date(
    older: tuple[Opener, Callable[[], Awaitable[None]]],
) -> None:
    new_store, make_older = older
    async with new_store() as store:
        await store.create(a_job("old", share=None), REQUEST)
    await make_older()
    async with new_store() as store:
        assert await store.get("old") == a_job("old", share=None)
        assert (await store.create(a_job("a"), REQUEST, max_unfinished=2, max_of_share=1)).is_new
        with pytest.raises(RateLimitedError):
            await store.create(a_job("b", tool="other"), REQUEST, max_of_share=1)
        answers = [await store.take_token(SHARE, rate_per_second=0.001, burst=1) for _ in range(2)]
        assert [answer.is_taken for answer in answers] == [True, False]
        claim = await store.claim("old", worker_id="w", lease_seconds=10)
        assert claim is not None
        await store.finish(Lease("old", claim.job.lease_token), RESULT)


async def test_a_job_that_an_older_server_has_ended_in_redis_makes_room() -> None:
    with new_prefix() as prefix, redis.Redis.from_url(REDIS_URL) as raw:
        async with RedisJobStore(REDIS_URL, prefix=prefix) as store:
            await store.create(a_job("a"), REQUEST, max_of_share=1)
            await store.request_cancel("a")
            share = f"{{{prefix}}}:share:{SHARE.hex()}"
            assert raw.smembers(share) == set()
            raw.sadd(share, "a")  # it knew nothing of shares
            assert (await store.create(a_job("b"), REQUEST, max_of_share=1)).is_new
            with pytest.raises(RateLimitedError):
                await store.create(a_job("c"), REQUEST, max_of_share=1)


# --- what is kept of buckets ---


@pytest.fixture(params=SHARED)
def looked_into(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counted]:
    """A store, and a function that counts the buckets, and sets of unfinished jobs, in it."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path / "jobs.db"

            async def rows() -> int:
                with contextlib.closing(sqlite3.connect(path)) as connection:
                    return int(connection.execute("SELECT count(*) FROM buckets").fetchone()[0])

            yield lambda: SqliteJobStore(path), rows
        elif request.param == "postgres":
            schema = stack.enter_context(new_schema())

            async def rows_of_schema() -> int:
                async with database() as connection:
                    return int(await connection.fetchval(f"SELECT count(*) FROM {schema}.buckets"))

            yield lambda: PostgresJobStore(POSTGRES_URL, schema=schema), rows_of_schema
        else:
            prefix = stack.enter_context(new_prefix())
            raw = stack.enter_context(redis.Redis.from_url(REDIS_URL))

            async def keys() -> int:
                patterns = (f"{{{prefix}}}:{kind}:*" for kind in ("bucket", "share"))
                return sum(1 for pattern in patterns for _ in raw.scan_iter(pattern, count=1000))

            yield lambda: RedisJobStore(REDIS_URL, prefix=prefix), keys


async def test_nothing_is_kept_of_full_buckets_and_of_ended_jobs(
    looked_into: Counted,
) -> None:
    new_store, count = looked_into
    async with new_store() as store:
        for n in range(5):
            assert (await store.take_token(b"%d" % n, rate_per_second=20.0, burst=1)).is_taken
        await store.create(a_job("a"), REQUEST, max_of_share=1)
        assert await count() >= 1
        await store.request_cancel("a")
        async with asyncio.timeout(60):
            while await count():
                await store.purge()


def test_in_memory_full_buckets_are_forgotten_and_of_the_others_the_oldest() -> None:
    buckets, clock = TokenBuckets(), ManualClock()
    for n in range(1000):
        buckets.take(b"%d" % n, rate_per_second=1.0, burst=1, now=clock())
        clock.advance(0.01)
    assert len(buckets) <= 101
    for n in range(100_200):
        buckets.take(b"%d" % n, rate_per_second=0.001, burst=1, now=clock())
    assert len(buckets) <= 100_000
    assert not buckets.take(b"100199", rate_per_second=0.001, burst=1, now=clock()).is_taken


def test_a_clock_that_is_set_back_gives_no_tokens_and_takes_none_for_long() -> None:
    buckets = TokenBuckets()
    for now, is_taken in ((10_000.0, True), (100.0, False), (101.0, True)):
        assert buckets.take(SHARE, rate_per_second=1.0, burst=1, now=now).is_taken is is_taken


def test_a_bucket_that_is_full_before_the_clock_goes_on_is_forgotten() -> None:
    buckets, now = TokenBuckets(), 1_700_000_000.0
    assert buckets.take(b"quick", rate_per_second=1e6, burst=1, now=now).is_taken
    later = now + 0.95e-6  # all but a twentieth of the token is there: the rest takes less than a tick of the clock
    assert not buckets.take(b"quick", rate_per_second=1e6, burst=1, now=later).is_taken
    assert len(buckets) == 0
