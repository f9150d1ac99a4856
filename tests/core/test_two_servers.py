"""Two servers that share a store, as replicas do: each job is one's, and neither takes what is the other's."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from lambda_kit import Job, JobSettings, JobSink, JobStatus, QueueFullError, ToolOptions
from lambda_kit.core.errors import StoreError
from lambda_kit.core.jobs.outbox_relay import RelayTimes
from lambda_kit.core.model.events import Event
from lambda_kit.core.ports.sink import JobEnd
from tests.core.flaky_store import FlakyStore
from tests.core.running_tools import (
    LONG_SECONDS,
    Ask,
    AsyncDoor,
    a_server,
    a_submission,
    statuses,
    submit,
    submit_and_wait,
    until,
)

SOON = JobSettings(heartbeat_seconds=0.1, lease_seconds=0.8, grace_seconds=0.0, cancel_seconds=0.1)

Open = Callable[[], FlakyStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Open:
    return lambda: FlakyStore(tmp_path / "jobs.db")


class OneDoor(AsyncDoor):
    options = ToolOptions(max_concurrency=1, max_queue=2)


class PatientDoor(AsyncDoor):
    options = ToolOptions(max_attempts=2)


async def test_after_an_absence_of_the_store_neither_takes_the_others_jobs(open_store: Open) -> None:
    doors, stores = [AsyncDoor(), AsyncDoor()], [open_store(), open_store()]
    servers = [a_server(door, store=store, settings=SOON) for door, store in zip(doors, stores, strict=True)]
    async with asyncio.timeout(LONG_SECONDS), servers[0], servers[1]:
        for n, server in enumerate(servers):
            await submit(server, a_submission(server, doors[n], "done", job_id=f"of-{n}"))
        for store in stores:
            store.is_away = True
        silent = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * SOON.lease_seconds, silent.set)
        await silent.wait()
        reaped = stores[0].calls["reap"]
        stores[0].is_away = False  # one is quicker
        await until(lambda: stores[0].calls["workers"] > 0 and stores[0].calls["purge"] > 0)
        stores[1].is_away = False
        await until(lambda: stores[0].calls["reap"] > reaped)
        for door in doors:
            door.door.set()
        for n, server in enumerate(servers):
            assert (await server.jobs.wait(f"of-{n}", wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED


class Told(JobSink):
    """Notes what it was told, with the authorization."""

    name = "told"

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str | None]] = []
        self.is_away = False

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        for event in events:
            self._note(job, str(event.seq), authorization)
        if end is not None:
            self._note(job, "end", authorization)

    def _note(self, job: Job, what: str, authorization: str | None) -> None:
        if self.is_away:
            raise ConnectionError("away")
        self.told.append((job.id, what, authorization))


async def test_each_event_is_told_once_by_who_knows_the_authorization(open_store: Open) -> None:
    sinks, doors = [Told(), Told()], [AsyncDoor(), AsyncDoor()]
    servers = [a_server(doors[n], store=open_store(), settings=SOON, sinks=[sinks[n]]) for n in range(2)]
    async with asyncio.timeout(LONG_SECONDS), servers[0], servers[1]:
        for n, server in enumerate(servers):
            doors[n].door.set()
            for i in range(5):
                job_id = f"job-{n}-{i}"
                await submit(server, a_submission(server, doors[n], job_id=job_id, authorization=f"Bearer {job_id}"))
        await until(lambda: all(sum(what == "end" for _, what, _ in sink.told) == 5 for sink in sinks))
    for n, sink in enumerate(sinks):
        expected = [(f"job-{n}-{i}", what, f"Bearer job-{n}-{i}") for i in range(5) for what in ("1", "2", "3", "end")]
        assert sorted(sink.told) == sorted(expected)


async def test_what_one_could_not_tell_before_its_end_the_other_tells(open_store: Open) -> None:
    away, there, door = Told(), Told(), AsyncDoor()
    away.is_away = True
    door.door.set()
    first = a_server(door, store=open_store(), settings=SOON, sinks=[away])
    second = a_server(AsyncDoor(), store=open_store(), settings=SOON, sinks=[there])
    first._engine.relays[0].flush_seconds = 0.0
    second._engine.relays[0].times = RelayTimes(look=0.1)
    async with asyncio.timeout(LONG_SECONDS), second:
        async with first:
            await submit_and_wait(first, a_submission(first, door, job_id="job"), LONG_SECONDS)
            assert there.told == []
        await until(lambda: len(there.told) == 4)
        assert [what for _, what, _ in there.told] == ["1", "2", "3", "end"]


async def test_what_has_not_begun_at_the_end_of_the_grace_is_left_to_the_other(open_store: Open) -> None:
    first_door, second_door = OneDoor(), OneDoor()
    first = a_server(first_door, store=open_store(), settings=SOON)
    second = a_server(second_door, store=open_store(), settings=SOON)
    second_door.door.set()
    async with asyncio.timeout(LONG_SECONDS), second:
        async with first:
            for name in ("runs", "waits"):
                await submit(first, a_submission(first, first_door, name, job_id=name))
            await until(lambda: first_door.begun)
            waiting = asyncio.create_task(first.jobs.wait("waits", wait_seconds=LONG_SECONDS))
            await until(lambda: first._engine.waiters._by_job)
        assert (await waiting).job.status is JobStatus.PENDING  # come back later
        assert (await second.jobs.get("runs")).status is JobStatus.CANCELLED
        settled = await second.jobs.wait("waits", wait_seconds=LONG_SECONDS)
        assert settled.result is not None
        assert (first_door.begun, second_door.begun) == (1, 1)
        assert await statuses(second._engine.store, "waits") == ["pending", "executing", "succeeded"]


async def test_what_may_be_run_again_is_left_to_the_other_at_the_end_of_the_grace(open_store: Open) -> None:
    first_door, second_door = PatientDoor(), PatientDoor()
    first = a_server(first_door, store=open_store(), settings=SOON)
    second = a_server(second_door, store=open_store(), settings=SOON)
    second_door.door.set()
    async with asyncio.timeout(LONG_SECONDS), second:
        async with first:
            await submit(first, a_submission(first, first_door, "again", job_id="job"))
            await until(lambda: first_door.begun)
        settled = await second.jobs.wait("job", wait_seconds=LONG_SECONDS)
        assert (settled.job.status, settled.job.attempt) == (JobStatus.SUCCEEDED, 2)
        told = ["pending", "executing", "pending", "executing", "succeeded"]
        assert await statuses(second._engine.store, "job") == told


async def test_what_would_probably_not_end_in_time_is_not_begun(open_store: Open) -> None:
    settings = JobSettings(heartbeat_seconds=0.1, lease_seconds=0.8, grace_seconds=3.0, cancel_seconds=0.1)
    door, other_door = OneDoor(), OneDoor()
    first = a_server(door, store=open_store(), settings=settings)
    second = a_server(other_door, store=open_store(), settings=SOON)
    other_door.door.set()
    async with asyncio.timeout(LONG_SECONDS), second:
        async with first:
            for name in ("runs", "waits"):
                await submit(first, a_submission(first, door, name, job_id=name))
            await until(lambda: door.begun)
            usual = Job(id="usual", tool="async_door", requested_at=0.0, started_at=0.0, finished_at=100.0)
            first._engine.statistics.ended(msgspec.structs.replace(usual, status=JobStatus.SUCCEEDED))
            stop = asyncio.create_task(first.drain())
            waiting = await second.jobs.get("waits")
            await until(lambda: first._engine.load().queued == {"async_door": 0})
            assert waiting.status is JobStatus.PENDING
            door.door.set()
            await stop
        assert (await second.jobs.wait("waits", wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
        assert (await second.jobs.get("runs")).status is JobStatus.SUCCEEDED
        assert (door.begun, other_door.begun) == (1, 1)


async def test_what_was_left_is_run_when_the_same_server_starts_again(open_store: Open) -> None:
    door = OneDoor()
    server = a_server(door, store=open_store(), settings=SOON)
    async with asyncio.timeout(LONG_SECONDS):
        async with server:
            for name in ("runs", "waits"):
                await submit(server, a_submission(server, door, name, job_id=name))
            await until(lambda: door.begun)
        door.door = asyncio.Event()
        door.door.set()
        async with server:
            settled = await server.jobs.wait("waits", wait_seconds=LONG_SECONDS)
            assert settled.job.status is JobStatus.SUCCEEDED


async def test_a_stop_is_bounded_however_many_jobs_run_and_however_silent_the_store_is(open_store: Open) -> None:
    store, door = open_store(), AsyncDoor()
    server = a_server(door, store=store, settings=SOON)
    async with asyncio.timeout(2 * LONG_SECONDS):
        async with server:
            await asyncio.gather(*(submit(server, a_submission(server, door)) for _ in range(200)))
            store.is_away, store.delay_seconds = True, 0.5  # one after the other this would take minutes
    store.is_away = False


async def test_a_job_that_is_cancelled_elsewhere_leaves_the_queue(open_store: Open) -> None:
    door = OneDoor()
    first = a_server(door, store=open_store(), settings=SOON)
    second = a_server(OneDoor(), store=open_store(), settings=SOON)
    async with asyncio.timeout(LONG_SECONDS), first, second:
        for name in ("runs", "one", "two"):
            await submit(first, a_submission(first, door, name, job_id=name))
        with pytest.raises(QueueFullError):
            await submit(first, a_submission(first, door, "refused"))
        for name in ("one", "two"):
            assert (await second.jobs.cancel(name)).status is JobStatus.CANCELLED
        await until(lambda: first._engine.load().queued == {"async_door": 0})
        finished = first._engine.statistics.tools["async_door"].finished
        await until(lambda: finished[JobStatus.CANCELLED] == 2)  # they are read from the store before
        door.door.set()
        assert (await first.jobs.wait("runs", wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED


async def test_a_cancel_that_was_not_heard_of_is_asked_for_when_changes_are_heard_of_again(open_store: Open) -> None:
    rarely = JobSettings(heartbeat_seconds=900.0, lease_seconds=1000.0)
    store, door = open_store(), AsyncDoor()
    first = a_server(door, store=store, settings=rarely)
    second = a_server(AsyncDoor(), store=open_store(), settings=rarely)
    async with asyncio.timeout(LONG_SECONDS), first, second:
        await submit(first, a_submission(first, door, job_id="job"))
        await until(lambda: door.begun)
        store.is_deaf = True
        assert (await second.jobs.cancel("job")).status is JobStatus.EXECUTING
        store.hear_again()
        assert (await second.jobs.wait("job", wait_seconds=LONG_SECONDS)).job.status is JobStatus.CANCELLED


async def test_a_store_that_can_not_say_whether_a_job_may_run_is_asked_again_by_and_by(
    open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store, door = open_store(), OneDoor()
    door.door.set()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store, settings=SOON) as server:
        store.errors["acquire_slot"] = [StoreError("no permission")] * 3
        assert await server.run_tool(door, Ask(text="late")) == "late"
        assert store.calls["acquire_slot"] <= 10
    assert sum("no permission" in (record.exc_text or "") for record in caplog.records) == 3
