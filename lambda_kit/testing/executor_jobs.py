"""Jobs without a store, for executors under test: real tools, real runs, and a `JobHost` that notes what happens."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import msgspec

from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.ports.executor import Executor, Invoke
from lambda_kit.core.tools.results import encode_result
from lambda_kit.core.tools.run import JobSpec, ToolRun
from lambda_kit.core.tools.tool import BoundTool, LambdaTool
from lambda_kit.testing.executor_gate import Gate, Visit
from lambda_kit.testing.executor_tools import Order, result_of

__all__ = ["LONG_SECONDS", "Stage", "StagedJob", "StagedRun", "until"]

LONG_SECONDS = 20.0
"""What takes longer does not happen."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until something that another task, thread or process does has become true."""
    async with asyncio.timeout(LONG_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # a thread has no event that this loop could wait on


class StagedJob(Visit):
    """One job, and what became of it."""

    def __init__(self, job_id: str, order: Order, members: dict[str, Any]) -> None:
        super().__init__()
        self.id = job_id
        self.result = encode_result(result_of(job_id, order), allows_none=False)
        """The outcome, if nothing comes between."""
        self.spec = JobSpec(
            job_id=job_id,
            request=msgspec.json.encode(order),
            **{
                "tool": "",
                "request_info": RequestInfo(method="POST", url=f"http://test/{job_id}"),
                "authorization": f"Bearer {job_id}",
                **members,
            },
        )
        self.events: list[NewEvent] = []
        self.outcomes: list[Outcome] = []
        """What was recorded as its end: one entry, in the end."""
        self.events_at_end = 0
        """How many events had come when its end was recorded."""
        self.is_ended = asyncio.Event()

    async def has_come(self) -> None:
        """Wait until its run waits at the gate."""
        await asyncio.wait_for(self.is_here.wait(), LONG_SECONDS)

    async def has_gone(self) -> None:
        """Wait until its run has left the gate: it has ended, or its process was killed."""
        await asyncio.wait_for(self.is_gone.wait(), LONG_SECONDS)

    async def end(self) -> Outcome:
        """Wait until its end is recorded; returns what was."""
        await asyncio.wait_for(self.is_ended.wait(), LONG_SECONDS)
        (outcome,) = self.outcomes
        return outcome


class StagedRun(ToolRun):
    """A claimed job."""

    __slots__ = ("_job",)

    def __init__(self, tool: BoundTool, job: StagedJob) -> None:
        super().__init__(tool, job.spec, self.emit)
        self._job = job

    def emit(self, event: NewEvent) -> None:
        """Note an event. From any thread."""
        self._job.events.append(event)


class Stage:
    """An executor at work, with its jobs and their gate: ``async with Stage(executor, tool) as stage``.

    Leaving the block stops the executor and ends all runs. Implements `JobHost`.

    Args:
        executor: One that was not started.
        tool: What all jobs run.
    """

    def __init__(self, executor: Executor, tool: LambdaTool) -> None:
        bound = replace(BoundTool.bind(tool), executor=executor.name)
        executor.check(bound)  # as a server does
        self.executor = executor
        self.tools = {bound.name: bound}
        self.jobs: dict[str, StagedJob] = {}
        self.begun: list[str] = []
        """The ids of the jobs that the executor wanted to be run, in order."""
        self.may_claim = asyncio.Event()
        """While it is not set, jobs are being claimed."""
        self.may_claim.set()
        self.is_gone = False
        """Whether no job can be claimed."""
        self.open_runs = 0
        """How many jobs are being claimed or run."""
        self.most_at_once = 0
        """Of those that were run."""
        self.room = asyncio.Event()
        """Set when the executor says that it has room, and has."""
        self.mistakes: list[BaseException] = []
        """What came out of the executor's `Invoke`."""
        self._tool = bound
        self._loop = asyncio.get_running_loop()
        self._running = 0
        self._gate = Gate(self.jobs.__getitem__)

    async def __aenter__(self) -> Self:
        await self._gate.open()
        try:
            async with asyncio.timeout(LONG_SECONDS):
                await self.executor.start(self)
        except BaseException:
            await self._gate.close()
            raise
        return self

    async def __aexit__(self, _type: object, error: BaseException | None, _traceback: TracebackType | None) -> None:
        self.may_claim.set()
        try:
            async with asyncio.timeout(LONG_SECONDS):
                await self.executor.stop()
        finally:
            await self._gate.close()
        await until(lambda: self.open_runs == 0)
        if error is None:
            assert self.mistakes == []
            assert all(len(job.outcomes) <= 1 and len(job.hellos) <= 1 for job in self.jobs.values())

    def job(self, job_id: str, **members: Any) -> StagedJob:
        """A job that is not submitted; what it does and how it looks are members of `Order` and of `JobSpec`."""
        does = {name: members.pop(name) for name in Order.__struct_fields__ if name in members}
        order = Order(port=self._gate.port, **does)
        job = self.jobs[job_id] = StagedJob(job_id, order, {"tool": self._tool.name, **members})
        return job

    async def submit(self, job_id: str, **members: Any) -> StagedJob:
        """Make a job, and hand it to the executor."""
        job = self.job(job_id, **members)
        await self.hand_over(job)
        return job

    async def hand_over(self, job: StagedJob) -> None:
        """Hand a job to the executor."""
        async with asyncio.timeout(LONG_SECONDS):  # it returns at once; what bounds nothing would hang the test
            await self.executor.submit(job.id, job.spec.tool)

    async def running(self, count: int, **members: Any) -> list[StagedJob]:
        """So many jobs that wait at the gate."""
        jobs = [await self.submit(f"running-{n}", **members) for n in range(count)]
        for job in jobs:
            await job.has_come()
        return jobs

    async def until_room(self) -> None:
        """Wait until the executor has room, of which it must have told if it had none."""
        if not self.executor.has_room():
            self.room.clear()
            await asyncio.wait_for(self.room.wait(), LONG_SECONDS)

    async def runs_another(self, job_id: str = "another") -> None:
        """The executor still does its work: it runs one more job."""
        job = self.job(job_id)
        job.let_go()
        await self.hand_over(job)
        assert await job.end() == job.result

    # --- what the executor calls ---

    def has_room(self) -> None:
        """Note that the executor has room again."""
        try:
            assert asyncio.get_running_loop() is self._loop, "has_room was not called on the event loop"
            if self.executor.has_room():
                self.room.set()
        except (AssertionError, RuntimeError) as error:
            self.mistakes.append(error)

    def run(self, job_id: str, invoke: Invoke) -> Coroutine[Any, Any, None]:
        """Claim a job, have it run, and note what came of it."""
        self.begun.append(job_id)
        return self._run(self.jobs[job_id], invoke)

    async def _run(self, job: StagedJob, invoke: Invoke) -> None:
        self.open_runs += 1
        try:
            await self.may_claim.wait()
            if not self.is_gone:
                await self._run_claimed(job, invoke)
        finally:
            self.open_runs -= 1
            job.is_ended.set()

    async def _run_claimed(self, job: StagedJob, invoke: Invoke) -> None:
        outcome: Outcome = None
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            outcome = await invoke(StagedRun(self._tool, job))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the executor's mistake
            self.mistakes.append(error)
        finally:
            self._running -= 1
            job.outcomes.append(outcome)
            job.events_at_end = len(job.events)
