"""A job that a sink has not confirmed, in each store: gone for clients when it expires, kept for the sink for a day."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest
import redis

from lambda_kit import Job, JobSettings, JobSink, MemoryJobStore, SqliteJobStore
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.jobs.outbox_relay import RelayTimes
from lambda_kit.core.model.events import Event, EventKind, NewEvent
from lambda_kit.core.model.job import Failure, FailureKind, Payload
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.ports.sink import JobEnd
from lambda_kit.core.ports.store import Dropped, DropReason, JobStore, Lease
from lambda_kit.core.ports.store_records import job_members
from lambda_kit.testing import ManualClock
from tests.core.running_tools import LONG_SECONDS, QUICK, a_server, until
from tests.core.test_delivery import Reports
from tests.support.postgres_schema import POSTGRES_URL, database, new_schema
from tests.support.redis_jobs import REQUEST, RESULT, a_job, new_prefix
from tests.support.redis_server import REDIS_URL

DAY_SECONDS = 86_400.0
QUICK_TIMES = RelayTimes(first_back_off=0.01, longest_back_off=0.05, end=0.05)


class Told(JobSink):
    """A sink that is down until it is told to be up; notes what it is told of each end."""

    name = "told"

    def __init__(self) -> None:
        self.is_down = True
        self.tries = 0
        self.ends: list[tuple[str, bytes | None, str | None]] = []
        self.reports: dict[str | None, int] = {}

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        self.tries += 1
        if self.is_down:
            raise ConnectionError("down")
        reports = sum(event.kind is EventKind.REPORT for event in events)
        self.reports[authorization] = self.reports.get(authorization, 0) + reports
        if end is not None:
            self.ends.append((job.id, None if end.result is None else end.result.content, authorization))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[JobStore]:
    """A store that is not started."""
    with contextlib.ExitStack() as stack:
        if request.param == "memory":
            yield MemoryJobStore(clock=clock)
        elif request.param == "sqlite":
            yield SqliteJobStore(tmp_path / "jobs.db", clock=clock)
        elif request.param == "redis":
            yield RedisJobStore(REDIS_URL, prefix=stack.enter_context(new_prefix()), clock=clock)
        else:
            yield PostgresJobStore(POSTGRES_URL, schema=stack.enter_context(new_schema()), clock=clock)


@contextlib.asynccontextmanager
async def serving(store: JobStore, sink: Told, settings: JobSettings = QUICK) -> AsyncIterator[httpx.AsyncClient]:
    server = a_server(Reports, store=store, sinks=[sink], settings=replace(settings, lease_seconds=1e6), job_list=True)
    server._engine.relays[0].times = QUICK_TIMES
    async with server:
        transport = httpx.ASGITransport(app=server.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def until_nothing_waits(store: JobStore, sink: Told) -> None:
    async with asyncio.timeout(LONG_SECONDS):
        while await store.undelivered(sink.name):  # noqa: ASYNC110 - the store has no event for it
            await asyncio.sleep(0.01)


async def test_from_its_expiry_on_every_door_says_404_and_its_id_is_a_new_jobs(
    store: JobStore, clock: ManualClock
) -> None:
    sink = Told()
    async with serving(store, sink) as client:
        for n, text in enumerate(("first", "second")):
            headers = {"job-id": "same", "Authorization": f"Bearer token-{n}"}
            answer = await client.post("/reports", json={"text": text}, headers=headers)
            assert (answer.status_code, answer.text) == (200, "done")
            await until(lambda: sink.tries)
            clock.advance(3601.0)
            for path in ("", "/status", "/events"):
                assert (await client.get(f"/jobs/same{path}")).status_code == 404
            assert (await client.get("/jobs/same", headers={"Prefer": "wait=1"})).status_code == 404
            assert (await client.delete("/jobs/same")).status_code == 404
            assert (await client.get("/jobs")).json()["items"] == []
        keyed = [await client.post("/reports", json={}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert len({answer.headers["job-id"] for answer in keyed}) == 1
        clock.advance(3601.0)
        keyed.append(await client.post("/reports", json={}, headers={"Idempotency-Key": "k"}))
        assert len({answer.headers["job-id"] for answer in keyed}) == 2
        await store.purge()
        sink.is_down = False
        await until_nothing_waits(store, sink)
    assert sink.reports == {"Bearer token-0": 3, "Bearer token-1": 3, None: 6}
    ends = sorted(sink.ends, key=str)
    assert [end for end in ends if end[0] == "same"] == [
        ("same", b"done", "Bearer token-0"),
        ("same", b"done", "Bearer token-1"),
    ]


@pytest.mark.parametrize("wait", ["wait=0", "wait=5"])
async def test_a_job_that_expires_while_it_is_read_is_gone_and_not_cancelled(wait: str, clock: ManualClock) -> None:
    class Expiring(MemoryJobStore):
        async def get_result(self, job_id: str) -> Payload | None:
            clock.advance(3601.0)
            return await super().get_result(job_id)

    async with serving(Expiring(clock=clock), Told()) as client:
        assert (await client.post("/reports", json={}, headers={"job-id": "job"})).status_code == 200
        answer = await client.get("/jobs/job", headers={"Prefer": wait})
        assert (answer.status_code, answer.json()["type"]) == (404, "job-not-found")


async def test_what_is_not_confirmed_within_delivery_seconds_is_dropped_counted_and_logged_once(
    store: JobStore, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Told()
    settings = replace(QUICK, delivery_seconds=7200.0)  # the process seems to be suspended for longer: its sink stays
    async with serving(store, sink, settings) as client:
        for n in range(7):
            answer = await client.post("/reports", json={}, headers={"job-id": f"job-{n}"})
            assert answer.status_code == 200
        clock.advance(7000.0)
        tries = sink.tries
        await until(lambda: sink.tries > tries + 20)
        assert len(await store.undelivered(sink.name)) == 7
        clock.advance(300.0)
        await until_nothing_waits(store, sink)
        await until(lambda: dropped(caplog) == 7)
        sink.is_down = False
        answer = await client.post("/reports", json={}, headers={"job-id": "after"})
        await until(lambda: sink.ends)
        metrics = (await client.get("/metrics")).text
    assert 'lambda_kit_delivery_dropped_total{reason="overdue",sink="told",what="end"} 7.0' in metrics
    assert [job_id for job_id, _, _ in sink.ends] == ["after"]
    lines = [record for record in caplog.records if "dropped, undelivered" in record.getMessage()]
    assert {record.levelno for record in lines} == {logging.ERROR}
    assert "not confirmed within delivery_seconds after the end" in lines[0].getMessage()
    for n in range(7):
        assert sum(f"job-{n}" in record.getMessage() for record in lines) <= 1


def dropped(caplog: pytest.LogCaptureFixture) -> int:
    """How many jobs the log says were dropped."""
    return sum(
        int(record.args[1])
        for record in caplog.records
        if "dropped, undelivered" in record.msg and isinstance(record.args, tuple) and isinstance(record.args[1], int)
    )


async def test_services_without_a_sink_write_nothing_for_sinks(store: JobStore, clock: ManualClock) -> None:
    async with a_server(Reports, store=store, settings=replace(QUICK, lease_seconds=1e6)) as server:
        await server.run_tool(Reports, {})
        assert await store.undelivered(Told.name) == []
        clock.advance(3601.0)
        await store.purge()
        await store.register_sink(Told.name)
        assert await store.undelivered(Told.name) == []


async def claimed(store: JobStore, job_id: str, **members: object) -> Lease:
    """A new job in the store, executing."""
    await store.create(a_job(job_id, **members), REQUEST)
    claim = await store.claim(job_id, worker_id="w", lease_seconds=60.0)
    assert claim is not None
    return Lease(job_id, claim.job.lease_token)


# --- the memory store's bound ---


async def test_the_memory_store_keeps_a_bounded_number_of_bytes_and_tells_what_had_no_room(clock: ManualClock) -> None:
    async with MemoryJobStore(clock=clock, max_undelivered_bytes=100_000) as store:
        await store.register_sink("sink")
        for n in range(10):
            await store.finish(await claimed(store, f"job-{n}", keep_finished=2), a_result(20_000))
        kept = ["job-4", "job-5", "job-6", "job-7", "job-8", "job-9"]  # four of these beyond the two of the cache
        assert [delivery.job_id for delivery in await store.undelivered("sink")] == kept
        told = await store.drop_undelivered(silent_seconds=1e6)
        assert told == [Dropped("sink", f"job-{n}", DropReason.NO_ROOM) for n in range(4)]
        assert await store.drop_undelivered(silent_seconds=1e6) == []
        for delivery in await store.undelivered("sink"):
            await store.mark_delivered("sink", delivery, after_seq=3, is_complete=True)
        for n in range(10, 16):  # what was confirmed has made room
            await store.finish(await claimed(store, f"job-{n}", keep_finished=2), a_result(20_000))
        assert len(await store.undelivered("sink")) == 6
        assert await store.drop_undelivered(silent_seconds=1e6) == []


async def test_the_memory_store_keeps_64_mib_for_sinks_beyond_its_cache(clock: ManualClock) -> None:
    async with MemoryJobStore(clock=clock) as store:
        await store.register_sink("sink")
        for n in range(67):
            await store.finish(await claimed(store, f"job-{n}", keep_finished=1), a_result(2**20))
        # some KiB of each stand for its record and its events
        assert len(await store.undelivered("sink")) == 63 + 1
        assert len(await store.drop_undelivered(silent_seconds=1e6)) == 3


async def test_the_memory_store_counts_failures_events_and_header_fields_too(clock: ManualClock) -> None:
    failure = Failure(FailureKind.TOOL, "ValueError", "x" * 20_000, traceback="y" * 30_000)
    request = RequestInfo(method="POST", url="http://a/", fields=((b"x-large", b"z" * 50_000),))
    reports = [NewEvent(schema="urn:x", timestamp=0.0, body=b"") for _ in range(500)]
    async with MemoryJobStore(clock=clock, max_undelivered_bytes=250_000) as store:
        await store.register_sink("sink")
        for n in range(5):
            await store.finish(await claimed(store, f"failed-{n}", keep_finished=0), failure)
        assert len(await store.undelivered("sink")) == 4
        for n in range(5):
            lease = await claimed(store, f"asked-{n}", keep_finished=0, request_info=request)
            await store.finish(lease, RESULT)
        assert len(await store.undelivered("sink")) == 4
        for n in range(5):
            lease = await claimed(store, f"talks-{n}", keep_finished=0)
            await store.append_events(lease, reports)
            await store.finish(lease, RESULT)
        assert len(await store.undelivered("sink")) <= 4


def a_result(size: int) -> Payload:
    return msgspec.structs.replace(RESULT, content=b"x" * size)


# --- what an older version has left ---


async def older_sqlite(path: Path) -> None:
    """Make of a file what the version before had made: no table of retired jobs, no member for it in the records."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for number, record in connection.execute("SELECT number, record FROM jobs").fetchall():
            connection.execute("UPDATE jobs SET record = ? WHERE number = ?", (older(record), number))
        connection.executescript(
            "DROP TABLE due; DROP TRIGGER due_when_new; DROP TRIGGER due_when_changed;"
            "DROP TRIGGER not_due_when_confirmed; DROP TRIGGER not_due_when_delivered;"
            "DROP INDEX jobs_by_share; ALTER TABLE jobs DROP COLUMN share; DROP TABLE buckets;"
            "DROP TABLE retired; ALTER TABLE sinks DROP COLUMN seen_at; PRAGMA user_version = 4"
        )


async def older_postgres(schema: str) -> None:
    async with database() as connection:
        for number, record in await connection.fetch(f"SELECT number, record FROM {schema}.jobs"):
            await connection.execute(f"UPDATE {schema}.jobs SET record = $1 WHERE number = $2", older(record), number)
        await connection.execute(
            f"ALTER TABLE {schema}.jobs DROP COLUMN share; DROP TABLE {schema}.buckets;"
            f"DROP FUNCTION {schema}.admits_of_share;"
            f"DROP TABLE {schema}.retired; ALTER TABLE {schema}.sinks DROP COLUMN seen_at;"
            f"UPDATE {schema}.schema_version SET version = 3"
        )


async def older_redis(prefix: str) -> None:
    with redis.Redis.from_url(REDIS_URL) as raw:
        for key in raw.scan_iter(f"{{{prefix}}}:job:*"):
            record = raw.hget(key, "r")
            assert isinstance(record, bytes)
            raw.hset(key, "r", older(record))
            raw.hdel(key, "du")
        raw.delete(f"{{{prefix}}}:sinks_seen")


def older(record: bytes) -> bytes:
    members = msgspec.msgpack.decode(record)
    del members["delivery_seconds"], members["share"]
    return msgspec.msgpack.encode(members)


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def made_older(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Iterator[tuple[Callable[[], JobStore], Callable[[], Awaitable[None]]]]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path / "jobs.db"
            yield lambda: SqliteJobStore(path, clock=clock), lambda: older_sqlite(path)
        elif request.param == "redis":
            prefix = stack.enter_context(new_prefix())
            yield lambda: RedisJobStore(REDIS_URL, prefix=prefix, clock=clock), lambda: older_redis(prefix)
        else:
            schema = stack.enter_context(new_schema())
            yield lambda: PostgresJobStore(POSTGRES_URL, schema=schema, clock=clock), lambda: older_postgres(schema)


async def test_what_an_older_version_has_not_delivered_is_kept_and_delivered(
    made_older: tuple[Callable[[], JobStore], Callable[[], Awaitable[None]]], clock: ManualClock
) -> None:
    new_store, make_older = made_older
    async with new_store() as store:
        await store.register_sink("sink")
        await store.register_sink("gone")
        await store.finish(await claimed(store, "ended"), RESULT)
        await store.create(a_job("waits"), REQUEST)
        before = {job.id: job_members(job) for job in (await store.list_jobs()).jobs}
    await make_older()
    async with new_store() as store:
        after = {job.id: job_members(job) for job in (await store.list_jobs()).jobs}
        assert after == before  # the default is a day
        await store.register_sink("sink")
        clock.advance(3601.0)
        await store.purge()
        assert await store.drop_undelivered(silent_seconds=DAY_SECONDS) == []
        ended, waits = await store.undelivered("sink")
        part = await store.read_delivery("sink", ended)
        assert part is not None
        assert (part.job.id, part.result, len(part.events), part.is_last) == ("ended", RESULT, 3, True)
        assert await store.mark_delivered("sink", ended, after_seq=3, is_complete=True)
        clock.advance(DAY_SECONDS)
        await store.register_sink("sink")
        # one that an older version has registered, and nobody serves, is noticed a day after the update
        given_up = await store.drop_undelivered(silent_seconds=DAY_SECONDS)
        assert sorted((one.sink, one.job_id) for one in given_up) == [("gone", "ended"), ("gone", "waits")]
        assert await store.undelivered("sink") == [waits]
