"""`PortStage`: an executor under test alone, called as the engine calls it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Job, Outcome
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.tools.run import JobSpec, ToolRun
from lambda_kit.core.tools.tool import BoundTool, LambdaTool
from lambda_kit.testing.executor_jobs import LONG_SECONDS, GatedJobs, StagedJob, in_time, until
from lambda_kit.testing.executor_tools import Order

__all__ = ["PortRun", "PortStage"]


class PortRun(ToolRun):
    """A claimed job, and what its run reported. Implements `Run`."""

    __slots__ = ("events",)

    def __init__(self, tool: BoundTool, spec: JobSpec) -> None:
        super().__init__(tool, spec, self.emit)
        self.events: list[NewEvent] = []

    def emit(self, event: NewEvent) -> None:
        """Note an event. From any thread."""
        self.events.append(event)


class PortStage(GatedJobs):
    """An executor alone, called as the engine calls it: ``async with PortStage(executor, tool) as stage``.

    Leaving the block stops the executor and ends all runs. Implements `ExecutorHost`.

    Args:
        executor: One that was not started.
        tool: What all jobs run.
    """

    observers: Sequence[JobObserver] = ()

    def __init__(self, executor: Executor, tool: LambdaTool) -> None:
        super().__init__()
        self._tool = replace(BoundTool.bind(tool), executor=executor.name)
        executor.check(self._tool)  # as a server does
        self.executor = executor
        self.tools = {self._tool.name: self._tool}
        self.grown = asyncio.Event()
        """Set when the executor said that its capacity has grown."""
        self._loop = asyncio.get_running_loop()
        self._calls: list[asyncio.Task[Outcome]] = []

    async def __aenter__(self) -> Self:
        await self.gate.open()
        try:
            await in_time(self.executor.start(self))
        except BaseException:
            await self.gate.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.let_all_go()
        try:
            await in_time(self.executor.stop())
        finally:
            await self.gate.close()
            if self._calls:
                await asyncio.wait(self._calls, timeout=LONG_SECONDS)
        assert all(call.done() for call in self._calls), "a run goes on, though its tool has ended"

    def capacity_changed(self) -> None:
        """The executor's capacity has grown."""
        assert asyncio.get_running_loop() is self._loop, "capacity_changed was not called on the event loop"
        self.grown.set()

    def new_run(self, job_id: str, *, authorization: str | None = None, **members: Any) -> tuple[StagedJob, PortRun]:
        """A job and its run, which is not begun. The members are those of `Order`, and of `Job`."""
        does = {name: members.pop(name) for name in Order.__struct_fields__ if name in members}
        job = self.new_job(job_id, does, None)
        record = Job(id=job_id, tool=self._tool.name, requested_at=0.0, **{"attempt": 1, "lease_token": 1, **members})
        return job, PortRun(self._tool, JobSpec(job=record, request=job.request, authorization=authorization))

    def begin(self, run: PortRun) -> "asyncio.Task[Outcome]":
        """Have the executor run it, in a task of its own."""
        call = asyncio.get_running_loop().create_task(self.executor.run(run))
        self._calls.append(call)
        return call

    async def running(self, job_id: str, **members: Any) -> "tuple[StagedJob, PortRun, asyncio.Task[Outcome]]":
        """A job whose run waits at the gate."""
        job, run = self.new_run(job_id, **members)
        call = self.begin(run)
        await job.has_come()
        return job, run, call

    async def runs_another(self, job_id: str = "another") -> None:
        """The executor still does its work: it runs one more job."""
        await until(lambda: self.executor.capacity != 0)
        job, run = self.new_run(job_id)
        job.let_go()
        assert await in_time(self.begin(run)) == job.result
