"""When a job is handed to its executor: as soon as there is room for it, the tools in turn, and none is lost."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lambda_kit import (
    AsyncioExecutor,
    Executor,
    Job,
    JobSettings,
    JobStatus,
    LambdaTool,
    MemoryJobStore,
    ThreadExecutor,
    ToolOptions,
)
from lambda_kit.adapters.executors.built_in import OWN_POOLS, built_in_executors
from lambda_kit.core.jobs.engine import JobEngine
from lambda_kit.core.jobs.job_table import LocalJob, State
from lambda_kit.core.jobs.permits import Permit
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.semaphore import DistributedSemaphore
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.jobs.tool_binding import assign_executors, bind_tools
from lambda_kit.core.model.job import Outcome, Payload
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.ports.executor import ExecutorHost, Run
from tests.core.running_tools import LONG_SECONDS, Ask, jobs_of, until


class Doors:
    """Where the runs of a test wait. The name of each is the text of its request."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        """Who came, in order."""
        self._open: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def door(self, name: str) -> threading.Event:
        with self._lock:
            return self._open.setdefault(name, threading.Event())

    def open_all(self) -> None:
        for name in [*self._open, *self.begun]:
            self.door(name).set()


class Waits(LambdaTool):
    def __init__(self, name: str, doors: Doors, **options: Any) -> None:
        self.name = name
        self.path = f"/{name}"
        self.options = ToolOptions(**options)
        self.doors = doors

    def run(self, req: Ask) -> str:
        door = self.doors.door(req.text)
        self.doors.begun.append(req.text)
        door.wait(LONG_SECONDS)
        return req.text


class WaitsAsync(Waits):
    async def run(self, req: Ask) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        door = self.doors.door(req.text)
        self.doors.begun.append(req.text)
        await until(door.is_set)
        return req.text


class Deaf(WaitsAsync):
    async def run(self, req: Ask) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        door = self.doors.door(req.text)
        self.doors.begun.append(req.text)
        while not door.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.002)
        return req.text


class MoodyExecutor(ThreadExecutor):
    """Has room when it is told to, and fails to run jobs as often as it is told to."""

    def __init__(self, size: int = 2, *, failures: Sequence[Exception] = ()) -> None:
        super().__init__(size, name="moody", stop_seconds=0.2)
        self.is_open = True
        self.failures = list(failures)
        self.host: ExecutorHost | None = None

    async def start(self, host: ExecutorHost) -> None:
        self.host = host
        await super().start(host)

    @property
    def capacity(self) -> int | None:
        return super().capacity if self.is_open else 0

    async def run(self, run: Run) -> Outcome:
        if self.failures:
            raise self.failures.pop(0)
        return await super().run(run)

    def open(self) -> None:
        assert self.host is not None
        self.is_open = True
        self.host.capacity_changed()


class Service:
    """A job service with doors."""

    def __init__(self, doors: Doors, engine: JobEngine, store: MemoryJobStore) -> None:
        self.doors = doors
        self.engine = engine
        self.jobs = JobService(engine)
        self.store = store

    async def submit(self, tool: str, *names: str) -> list[Job]:
        body = Payload(b"", "application/json")
        return [await self.jobs.submit(tool, body, value=Ask(text=name)) for name in names]

    async def submit_as(self, who: str, *names: str) -> list[Job]:
        """Jobs of the tool `a` of a principal."""
        body = Payload(b"", "application/json")
        theirs = self.jobs.acting_for(Principal(who))
        return [await theirs.submit("a", body, value=Ask(text=name)) for name in names]

    async def has_begun(self, *names: str) -> None:
        await until(lambda: set(names) <= set(self.doors.begun))

    async def number_begun(self, count: int) -> None:
        await until(lambda: len(self.doors.begun) == count)

    async def succeed(self, *jobs: Job) -> None:
        """Open all doors, also those of jobs that come there later, and wait for the results."""
        ends = [asyncio.create_task(self.jobs.wait(job.id, wait_seconds=LONG_SECONDS)) for job in jobs]
        while not all(end.done() for end in ends):
            self.doors.open_all()
            await asyncio.sleep(0.002)
        assert [(await end).job.status for end in ends] == [JobStatus.SUCCEEDED] * len(jobs)


@asynccontextmanager
async def serving(
    doors: Doors, *tools: Waits, executors: tuple[Executor, ...] = (), **settings: Any
) -> AsyncIterator[Service]:
    store = MemoryJobStore()
    pools, bound = assign_executors(bind_tools(tools), built_in_executors(), executors, OWN_POOLS)
    engine = JobEngine(bound, store, pools, settings=JobSettings(cancel_seconds=0.2, **settings))
    await engine.start()
    try:
        yield Service(doors, engine, store)
    finally:
        engine.settings = JobSettings(grace_seconds=0.05, cancel_seconds=0.2)
        doors.open_all()
        await engine.stop()


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


# --- whose turn it is ---


async def test_a_flood_of_one_tool_does_not_hold_up_another() -> None:
    doors = Doors()
    flood, other = Waits("flood", doors), Waits("other", doors)
    async with serving(doors, flood, other, executors=(ThreadExecutor(2),)) as service:
        await service.submit("flood", *names("flood-", 100))
        await service.has_begun("flood-0", "flood-1")
        await service.submit("other", "other")
        for n in range(2):  # the first of these places may be the flood's, not both
            doors.door(f"flood-{n}").set()
            await service.number_begun(3 + n)
        assert "other" in doors.begun


async def test_tools_that_share_an_executor_take_turns() -> None:
    doors = Doors()
    tools = [Waits(name, doors) for name in ("a", "b", "c")]
    async with serving(doors, *tools, executors=(ThreadExecutor(1),)) as service:
        jobs = await service.submit("a", "a-first")
        await service.has_begun("a-first")
        for name, count in (("a", 6), ("b", 4), ("c", 2)):
            jobs += await service.submit(name, *names(name, count))
        assert service.engine.load().queued == {"a": 6, "b": 4, "c": 2}
        await service.succeed(*jobs)
        assert doors.begun[1:] == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "a3", "b3", "a4", "a5"]


async def test_jobs_of_one_tool_start_in_the_order_in_which_they_came() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),)) as service:
        jobs = await service.submit("a", *names("a", 30))
        await service.succeed(*jobs)
        assert doors.begun == names("a", 30)


async def test_principals_take_turns_within_a_tool_and_each_ones_jobs_keep_their_order() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),)) as service:
        jobs = await service.submit_as("ann", "first")
        await service.has_begun("first")
        for who, count in (("ann", 5), ("bob", 3), ("cem", 1)):
            jobs += await service.submit_as(who, *names(who, count))
        await service.succeed(*jobs)
        assert doors.begun[1:] == ["ann0", "bob0", "cem0", "ann1", "bob1", "ann2", "bob2", "ann3", "ann4"]


async def test_who_comes_behind_thousands_of_another_is_next_but_has_one_turn_in_each_round() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),)) as service:
        jobs = await service.submit_as("ann", "first", *names("ann", 1000))
        await service.has_begun("first")
        doors.door("first").set()
        await service.has_begun("ann0")  # ann had her turn
        jobs += await service.submit_as("bob", "bob0", "bob1")
        for name, then in (("ann0", "bob0"), ("bob0", "ann1"), ("ann1", "bob1")):
            doors.door(name).set()
            await service.has_begun(then)
        assert len(doors.begun) == 5
        for job in jobs:
            await service.jobs.cancel(job.id)


async def test_jobs_that_are_cancelled_in_the_queue_take_no_turn() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),)) as service:
        jobs = await service.submit_as("ann", "first", *names("ann", 4))
        theirs = await service.submit_as("bob", *names("bob", 3))
        for job in (jobs.pop(2), theirs.pop(0), theirs.pop(1)):  # ann1, bob0, bob2
            await service.jobs.cancel(job.id)
        await service.succeed(*jobs, *theirs)
        assert doors.begun == ["first", "ann0", "bob1", "ann2", "ann3"]
        assert service.engine.load().queued == {"a": 0}


# --- how many run at once ---


@pytest.mark.parametrize("tool", [Waits, WaitsAsync])
async def test_the_bound_of_a_tool_does_not_hold_up_others_on_its_executor(tool: type[Waits]) -> None:
    doors = Doors()
    bounded, free = tool("bounded", doors, max_concurrency=1), tool("free", doors)
    async with serving(doors, bounded, free, executors=(ThreadExecutor(2),)) as service:
        jobs = await service.submit("bounded", *names("bounded", 3))
        await service.has_begun("bounded0")
        quick = await service.submit("free", *names("free", 5))
        for n in range(5):
            await service.has_begun(f"free{n}")
            doors.door(f"free{n}").set()
        for job in quick:
            assert (await service.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
        assert "bounded1" not in doors.begun
        load = service.engine.load()
        assert (load.queued, load.running) == ({"bounded": 2, "free": 0}, {"bounded": 1, "free": 0})
        doors.door("bounded0").set()
        await service.has_begun("bounded1")
        assert "bounded2" not in doors.begun
        await service.succeed(*jobs)


async def test_the_bound_of_the_server_holds_for_all_executors_together() -> None:
    doors = Doors()
    tools = Waits("plain", doors), WaitsAsync("other", doors)
    async with serving(doors, *tools, max_concurrency=2) as service:
        jobs = [*await service.submit("plain", *names("p", 3)), *await service.submit("other", *names("o", 3))]
        await service.has_begun("p0", "p1")
        for n in range(4):
            load = service.engine.load()
            assert (sum(load.running.values()), sum(load.queued.values())) == (2, 4 - n)
            assert len(doors.begun) == 2 + n
            doors.door(doors.begun[n]).set()
            await service.number_begun(3 + n)
        await service.succeed(*jobs)


async def test_a_tool_that_never_ends_keeps_one_place_only() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(2),)) as service:
        await service.submit("a", "stuck")
        await service.has_begun("stuck")
        jobs = await service.submit("a", *names("a", 20))
        for name in names("a", 20):
            doors.door(name).set()
        for job in jobs:
            assert (await service.jobs.wait(job.id, wait_seconds=LONG_SECONDS)).job.status is JobStatus.SUCCEEDED
        assert service.engine.load().running == {"a": 1}


# --- the queue ---


async def test_a_cancelled_job_that_waits_never_starts() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),)) as service:
        jobs = await service.submit("a", *names("a", 5))
        await service.has_begun("a0")
        for n in (1, 3):
            assert (await service.jobs.cancel(jobs[n].id)).status is JobStatus.CANCELLED
        assert service.engine.load().queued == {"a": 2}
        await service.succeed(jobs[0], jobs[2], jobs[4])
        assert doors.begun == ["a0", "a2", "a4"]


async def test_the_last_job_of_a_queue_can_be_cancelled() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),)) as service:
        first, second = await service.submit("a", "a0", "a1")
        assert (await service.jobs.cancel(second.id)).status is JobStatus.CANCELLED
        await service.succeed(first, *await service.submit("a", "a2"))
        assert doors.begun == ["a0", "a2"]


async def test_a_stop_waits_for_jobs_that_wait() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),)) as service:
        jobs = await service.submit("a", *names("a", 4))
        stop = asyncio.create_task(service.engine.stop())
        for name in names("a", 4):
            await service.has_begun(name)
            assert not stop.done()
            doors.door(name).set()
        await asyncio.wait_for(stop, LONG_SECONDS)
        assert {job.status for job in await jobs_of(service.store)} == {JobStatus.SUCCEEDED}
        assert len(jobs) == len(doors.begun)


async def test_jobs_that_wait_when_the_grace_is_over_are_cancelled() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),), grace_seconds=0.05) as service:
        await service.submit("a", *names("a", 4))
        await service.has_begun("a0")
        await asyncio.wait_for(service.engine.stop(), LONG_SECONDS)
        assert {job.status for job in await jobs_of(service.store)} == {JobStatus.CANCELLED}
        assert doors.begun == ["a0"]


async def test_several_can_wait_for_the_drain() -> None:
    doors = Doors()
    async with serving(doors, Waits("a", doors), executors=(ThreadExecutor(1),), grace_seconds=3600) as service:
        jobs = await service.submit("a", *names("a", 2))
        drains = [asyncio.create_task(service.engine.drain()) for _ in range(2)]
        await asyncio.sleep(0)  # both wait now
        await service.succeed(*jobs)
        for drain in drains:
            await asyncio.wait_for(drain, LONG_SECONDS)


# --- executors that refuse ---


async def test_jobs_wait_while_the_executor_has_no_room() -> None:
    doors, executor = Doors(), MoodyExecutor(2)
    async with serving(doors, Waits("a", doors), executors=(executor,)) as service:
        executor.is_open = False
        jobs = await service.submit("a", *names("a", 5))
        assert service.engine.load().queued == {"a": 5}
        executor.open()
        await service.succeed(*jobs)
        assert sorted(doors.begun) == names("a", 5)


async def test_a_job_that_the_executor_fails_to_run_fails_and_gives_its_place_back() -> None:
    doors, executor = Doors(), MoodyExecutor(1)
    async with serving(doors, Waits("a", doors), executors=(executor,)) as service:
        first, failing, *others = await service.submit("a", *names("a", 4))
        await service.has_begun("a0")
        executor.failures.append(RuntimeError("a bad day"))
        doors.door("a0").set()
        failed = await service.jobs.wait(failing.id, wait_seconds=LONG_SECONDS)
        assert failed.job.status is JobStatus.ERROR
        assert failed.job.failure is not None
        assert "RuntimeError: a bad day" in failed.job.failure.message
        await service.succeed(first, *others)
        assert doors.begun == ["a0", "a2", "a3"]


async def test_an_executor_that_fails_does_not_hold_up_the_others() -> None:
    doors, executor = Doors(), MoodyExecutor(2)
    tools = Waits("failing", doors, executor="moody"), Waits("good", doors, executor="thread")
    async with serving(doors, *tools, executors=(executor, ThreadExecutor(1))) as service:
        executor.is_open = False
        await service.submit("failing", *names("f", 3))
        executor.failures += [RuntimeError("a bad day")] * 3
        executor.open()
        await until(lambda: not executor.failures)
        await service.succeed(*await service.submit("good", *names("g", 5)))
        assert doors.begun == names("g", 5)


async def test_after_a_failure_and_a_restart_jobs_are_run_again() -> None:
    doors, executor = Doors(), MoodyExecutor(1)
    async with serving(doors, Waits("a", doors), executors=(executor,), grace_seconds=0.05) as service:
        executor.is_open = False
        await service.submit("a", "lost")
        executor.failures.append(RuntimeError("a bad day"))
        executor.open()
        await until(lambda: not executor.failures)
        await service.engine.stop()
        await service.engine.start()
        await service.succeed(*await service.submit("a", *names("a", 3)))
        assert doors.begun == names("a", 3)


# --- places ---


async def test_what_was_abandoned_at_a_stop_does_not_count_after_a_restart() -> None:
    doors = Doors()
    executor = AsyncioExecutor(stop_seconds=0.05)
    tool = Deaf("deaf", doors, max_concurrency=1)
    async with serving(doors, tool, executors=(executor,), grace_seconds=0.05) as service:
        await service.submit("deaf", "abandoned")
        await service.has_begun("abandoned")
        await service.engine.stop()
        await service.engine.start()
        await service.submit("deaf", "next")
        await service.has_begun("next")
        assert service.engine.load().running == {"deaf": 1}


async def test_an_executor_that_fails_to_stop_does_not_keep_the_others_from_it() -> None:
    class Unstoppable(AsyncioExecutor):
        async def stop(self) -> None:
            await super().stop()
            raise RuntimeError("a bad day")

    doors = Doors()
    tools = WaitsAsync("other", doors), Waits("plain", doors)
    async with serving(doors, *tools, executors=(Unstoppable(),), grace_seconds=0.05) as service:
        await service.submit("plain", "p")
        await service.has_begun("p")
        with pytest.raises(RuntimeError, match="a bad day"):
            await service.engine.stop()
        assert service.engine.load().executors["thread"].running == 0
        assert service.engine.load().running == {"other": 0, "plain": 0}


class Runs:
    """Stands for `JobRunner`: each run ends when it may."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.permits: list[Permit] = []
        self.may_end = asyncio.Event()
        self.scheduler: Scheduler
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: LocalJob, permit: Permit, claim: object) -> None:
        self.begun.append(job.id)
        self.permits.append(permit)
        task = asyncio.create_task(self._run(permit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, permit: Permit) -> None:
        await self.may_end.wait()
        self.scheduler.release(permit)


@asynccontextmanager
async def scheduling(**options: Any) -> AsyncIterator[Runs]:
    """A scheduler without an engine."""
    executors, bound = assign_executors(bind_tools([Waits("a", Doors(), **options)]), built_in_executors(), (), {})
    semaphore = DistributedSemaphore(MemoryJobStore(), lease_seconds=10)
    runs = Runs()
    runs.scheduler = scheduler = Scheduler(bound, executors, semaphore)
    scheduler.connect(runs)  # type: ignore[arg-type]
    await scheduler.start()
    try:
        yield runs
    finally:
        await scheduler.stop()


def a_job(runs: Runs, job_id: str) -> LocalJob:
    return LocalJob(job_id, runs.scheduler.lane_of("a"), State.RESERVED)


async def test_a_permit_is_given_back_once() -> None:
    async with scheduling(max_concurrency=1) as runs:
        scheduler = runs.scheduler
        scheduler.enqueue(a_job(runs, "a"))
        [permit] = runs.permits
        scheduler.release(permit)
        scheduler.release(permit)
        assert scheduler.load().running == {"a": 0}
        scheduler.enqueue(a_job(runs, "b"))
        scheduler.enqueue(a_job(runs, "c"))
        assert scheduler.load().queued == {"a": 1}
        runs.may_end.set()
        assert await scheduler.drain(LONG_SECONDS)
        assert scheduler.load().running == {"a": 0}


async def test_a_job_that_is_run_again_beside_its_lost_run_gives_both_places_back() -> None:
    async with scheduling() as runs:
        for _ in range(2):
            runs.scheduler.enqueue(a_job(runs, "a"))
        assert runs.begun == ["a", "a"]
        assert runs.scheduler.load().running == {"a": 2}
        runs.may_end.set()
        await until(lambda: runs.scheduler.load().running == {"a": 0})
        assert await runs.scheduler.drain(LONG_SECONDS)


async def test_a_job_can_be_taken_out_of_the_queue_once() -> None:
    async with scheduling(max_concurrency=1) as runs:
        scheduler = runs.scheduler
        scheduler.enqueue(a_job(runs, "a"))
        waiting = a_job(runs, "b")
        scheduler.enqueue(waiting)
        assert scheduler.load().queued == {"a": 1}
        assert scheduler.remove(waiting)
        assert not scheduler.remove(waiting)
        runs.may_end.set()
        assert await scheduler.drain(LONG_SECONDS)
        assert runs.begun == ["a"]


async def test_tools_of_other_executors_have_their_turn_under_the_servers_bound() -> None:
    doors = Doors()
    async with serving(doors, Waits("slow", doors), WaitsAsync("busy", doors), max_concurrency=1) as service:
        [first] = await service.submit("busy", "busy")
        await service.has_begun("busy")
        [other] = await service.submit("slow", "other")
        doors.open_all()
        await service.jobs.wait(first.id, wait_seconds=LONG_SECONDS)
        # the client of the first asks again at once, before the one that waits has been handed over
        await service.submit("busy", "again")
        await service.number_begun(2)
        assert doors.begun == ["busy", "other"]
        await service.succeed(other)
