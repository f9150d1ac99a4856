"""The store in an SQLite file keeps every promise of the port, and a few of its own."""

import asyncio
import contextlib
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambda_kit import Job, JobStatus, SqliteJobStore, UnavailableError
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Change, Lease
from lambda_kit.testing import JobStoreContract, ManualClock
from lambda_kit.testing.store_machine import JobStoreMachine, job_store_machine_test
from lambda_kit.testing.store_topics.events import EventPromises

REQUEST = Payload(b"{}", "application/json")
RESULT = Payload(b"1", "application/json")
LONG_SECONDS = 60.0


class TestSqliteJobStore(JobStoreContract):
    @pytest.fixture
    async def store(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
        async with SqliteJobStore(tmp_path / "jobs.db", clock=clock) as store:
            yield store


class TestSqliteJobStoreWithASmallLog(EventPromises):
    event_log_size = 50

    @pytest.fixture
    async def store(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
        async with SqliteJobStore(tmp_path / "jobs.db", clock=clock, event_log_size=50) as store:
            yield store


class SqliteMachine(JobStoreMachine):
    def new_store(self, clock: ManualClock) -> SqliteJobStore:
        self._directory = tempfile.TemporaryDirectory()
        return SqliteJobStore(Path(self._directory.name) / "jobs.db", clock=clock)

    def teardown(self) -> None:
        super().teardown()
        self._directory.cleanup()


class LongSqliteMachine(SqliteMachine):
    """The same for the slow tests: a class has one `TestCase`."""


TestRandomOperations = pytest.mark.timeout(300)(job_store_machine_test(SqliteMachine, examples=15))
TestManyRandomOperations = pytest.mark.slow(pytest.mark.timeout(600)(job_store_machine_test(LongSqliteMachine)))


def a_job(job_id: str, **members: object) -> Job:
    return Job(**{"id": job_id, "tool": "greet", "requested_at": 0.0, **members})  # type: ignore[arg-type]


def store_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lambda_kit sqlite")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteJobStore]:
    async with SqliteJobStore(path) as store:
        yield store


@pytest.fixture
async def other(store: SqliteJobStore, path: Path) -> AsyncIterator[SqliteJobStore]:
    """Another process's store, as far as that can be told."""
    async with SqliteJobStore(path) as other:
        yield other


# --- starting and stopping ---


def test_a_store_goes_on_in_another_event_loop(path: Path) -> None:
    store = SqliteJobStore(str(path))

    async def once(job_id: str) -> set[str]:
        async with store:
            await store.create(a_job(job_id), REQUEST)
            return {job.id for job in (await store.list_jobs()).jobs}

    assert asyncio.run(once("a")) == {"a"}
    assert asyncio.run(once("b")) == {"a", "b"}
    assert store_threads() == []


async def test_a_stop_waits_for_what_was_asked_for_before(path: Path) -> None:
    store = SqliteJobStore(path)
    await store.start()
    creates = [asyncio.create_task(store.create(a_job(f"job-{n}"), REQUEST)) for n in range(50)]
    await asyncio.sleep(0)  # the tasks begin
    await store.stop()
    assert all(created.is_new for created in await asyncio.gather(*creates))
    with pytest.raises(UnavailableError):
        await store.create(a_job("late"), REQUEST)
    assert store_threads() == []
    async with SqliteJobStore(path) as again:
        assert len((await again.list_jobs()).jobs) == 50


# --- one transaction for many ---


async def test_one_that_fails_does_not_fail_those_that_came_with_it(store: SqliteJobStore) -> None:
    bad = a_job("bad", traceparent=object())  # can't be encoded
    jobs = [*(a_job(f"job-{n}") for n in range(5)), bad, *(a_job(f"job-{n}") for n in range(5, 10))]
    answers = await asyncio.gather(*(store.create(job, REQUEST) for job in jobs), return_exceptions=True)
    assert isinstance(answers.pop(5), TypeError)
    assert all(not isinstance(answer, BaseException) and answer.is_new for answer in answers)
    assert len((await store.list_jobs()).jobs) == 10
    assert await store.counts() == {("greet", JobStatus.PENDING): 10}


async def test_a_caller_that_waits_no_longer_disturbs_nobody(store: SqliteJobStore) -> None:
    creates = [asyncio.create_task(store.create(a_job(f"job-{n}"), REQUEST)) for n in range(20)]
    await asyncio.sleep(0)  # the tasks begin
    creates[3].cancel()
    answers = await asyncio.gather(*creates, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 19


async def test_the_limit_of_unfinished_jobs_holds_for_all_processes(
    store: SqliteJobStore, other: SqliteJobStore
) -> None:
    creates = [(store, other)[n % 2].create(a_job(f"job-{n}"), REQUEST, max_unfinished=7) for n in range(40)]
    await asyncio.gather(*creates, return_exceptions=True)
    assert len((await store.list_jobs()).jobs) == 7
    await store.request_cancel((await store.list_jobs()).jobs[0].id)
    assert (await other.create(a_job("more"), REQUEST, max_unfinished=7)).is_new


async def test_more_than_one_transaction_takes_on_is_reaped_and_purged(path: Path, clock: ManualClock) -> None:
    names = [f"job-{n}" for n in range(1100)]
    async with SqliteJobStore(path, clock=clock) as store:
        await asyncio.gather(*(store.create(a_job(name), REQUEST) for name in names))
        await asyncio.gather(*(store.claim(name, worker_id="w", lease_seconds=10) for name in names))
        clock.advance(11)
        assert {job.id for job in await store.reap()} == set(names)
        assert await store.counts() == {("greet", JobStatus.ERROR): 1100}
        clock.advance(4000)
        assert await store.counts() == {}
        assert await store.purge() == 1100
        assert await store.purge() == 0


# --- what others change ---


async def test_what_another_process_changes_is_told(store: SqliteJobStore, other: SqliteJobStore) -> None:
    told: asyncio.Queue[Change] = asyncio.Queue()
    end = store.subscribe(told.put_nowait)

    async def next_told() -> Change:
        async with asyncio.timeout(LONG_SECONDS):
            return await told.get()

    await other.create(a_job("a"), REQUEST)
    assert await next_told() == Change("a", JobStatus.PENDING)
    await other.claim("a", worker_id="w", lease_seconds=10)
    assert await next_told() == Change("a", JobStatus.EXECUTING)
    await other.append_events(Lease("a", 1), [NewEvent("urn:x", b"{}", 0.0)])
    assert await next_told() == Change("a", JobStatus.EXECUTING)
    await other.request_cancel("a")
    assert await next_told() == Change("a", JobStatus.EXECUTING, cancel_requested=True)
    await other.finish(Lease("a", 1), RESULT)
    assert await next_told() == Change("a", JobStatus.CANCELLED, cancel_requested=True)
    await other.create(a_job("b"), REQUEST)
    assert await next_told() == Change("b", JobStatus.PENDING)
    await store.create(a_job("own"), REQUEST)
    assert await next_told() == Change("own", JobStatus.PENDING)
    end()
    await other.create(a_job("c"), REQUEST)
    again: asyncio.Queue[Change] = asyncio.Queue()
    store.subscribe(again.put_nowait)
    await other.create(a_job("d"), REQUEST)
    async with asyncio.timeout(LONG_SECONDS):
        assert await again.get() == Change("d", JobStatus.PENDING)
    assert told.empty()


async def test_of_a_burst_nothing_is_missed(store: SqliteJobStore, other: SqliteJobStore) -> None:
    names = {f"job-{n}" for n in range(2500)}
    last_told = asyncio.Event()

    async def make(job_id: str) -> None:
        await other.create(a_job(job_id), REQUEST)
        await other.request_cancel(job_id)

    told_of: set[str | None] = set()

    def note(change: Change) -> None:
        told_of.add(change.job_id)
        if change.job_id == "last":
            last_told.set()

    store.subscribe(note)
    await asyncio.gather(*(make(name) for name in names))
    await other.create(a_job("last"), REQUEST)
    async with asyncio.timeout(LONG_SECONDS):
        await last_told.wait()
    assert told_of == names | {"last"}


# --- large bodies ---


async def test_running_jobs_with_nothing_to_deliver_are_not_looked_at(store: SqliteJobStore, path: Path) -> None:
    await store.register_sink("sink")
    for n in range(3):
        await store.create(a_job(f"job-{n}"), REQUEST)
        assert await store.claim(f"job-{n}", worker_id="w", lease_seconds=LONG_SECONDS) is not None
    for delivery in await store.undelivered("sink"):
        await store.mark_delivered("sink", delivery, after_seq=2, is_complete=False)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM due").fetchone() == (0,)
        await store.append_events(Lease("job-1", 1), [NewEvent("urn:x", b"{}", 0.0)])
        await store.finish(Lease("job-2", 1), RESULT)
        assert connection.execute("SELECT count(*) FROM due").fetchone() == (2,)
    assert [delivery.job_id for delivery in await store.undelivered("sink")] == ["job-1", "job-2"]


async def test_50_mb_go_in_and_out(store: SqliteJobStore) -> None:
    request = Payload(b"\x00request!" * 5_600_000, "application/octet-stream")
    result = Payload(b"a result\xff" * 5_600_000, "application/octet-stream")
    await store.create(a_job("big"), request)
    claim = await store.claim("big", worker_id="w", lease_seconds=10)
    assert claim is not None
    assert claim.request == request
    finish = asyncio.create_task(store.finish(Lease("big", 1), result))
    assert await store.get("big") is not None  # meanwhile
    await finish
    assert await store.get_result("big") == result
