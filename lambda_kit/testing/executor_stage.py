"""`Stage`: an executor under test in a server, behind the real engine."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from lambda_kit.adapters.stores.memory import MemoryJobStore
from lambda_kit.adapters.stores.sqlite import SqliteJobStore
from lambda_kit.core.jobs.settings import JobSettings
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.service_info import Service
from lambda_kit.core.tools.tool import LambdaTool
from lambda_kit.server import ToolServer
from lambda_kit.testing.executor_jobs import LONG_SECONDS, GatedJobs, StagedJob, in_time
from lambda_kit.testing.executor_tools import Order

__all__ = ["Stage"]

_SERVICE = Service(name="Stage", contact={"name": "Stage", "email": "stage@example.com"})

_PATIENT_SECONDS = 10.0
"""What listens when it is cancelled has ended by then."""


class _Tally(JobObserver):
    """Counts runs."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most_at_once = 0
        self._running: set[str] = set()

    def started(self, job: Job) -> None:
        self.begun.append(job.id)
        self._running.add(job.id)
        self.most_at_once = max(self.most_at_once, len(self._running))

    def ended(self, job: Job) -> None:
        self._running.discard(job.id)


class Stage(GatedJobs):
    """An executor at work in a server, without HTTP: ``async with Stage(executor, tool) as stage``.

    Leaving the block stops the server and ends all runs.

    Args:
        executor: One that was not started.
        tool: What all jobs run. Its options are made to name the executor.
        store: Where the jobs are. None: a `MemoryJobStore`.
        shared_file: Use a `SqliteJobStore` with this file, and two servers, as on two machines: one takes the jobs, the
            other one has the executor and runs them.
        observers: Of the server with the executor.
        cancel_seconds: For how long a job may clean up before it is killed.
        max_concurrency: How many jobs of all tools run at once. None: as many as the executor runs.
    """

    def __init__(
        self,
        executor: Executor,
        tool: LambdaTool,
        *,
        store: JobStore | None = None,
        shared_file: Path | None = None,
        observers: Sequence[JobObserver] = (),
        cancel_seconds: float = _PATIENT_SECONDS,
        max_concurrency: int | None = None,
    ) -> None:
        super().__init__()
        self.executor = executor
        self.tool = tool.name
        settings = JobSettings(
            heartbeat_seconds=0.2,
            lease_seconds=2 * LONG_SECONDS,  # a busy machine is no reason to lose one
            grace_seconds=0.0,
            cancel_seconds=cancel_seconds,
            max_concurrency=max_concurrency,
        )
        self._tally = _Tally()
        taker: ToolServer | None = None
        if shared_file is not None:
            store = SqliteJobStore(shared_file)
            its_own = SqliteJobStore(shared_file)
            taker = ToolServer(_SERVICE, [type(tool)()], store=its_own, settings=settings, roles="accept")
        tool.options = replace(tool.options, executor=executor.name)
        self.server = ToolServer(
            _SERVICE,
            [tool],
            store=MemoryJobStore() if store is None else store,
            executor=executor,
            observers=[self._tally, *observers],
            settings=settings,
            roles="both" if taker is None else "run",
        )
        """The server that runs the jobs."""
        self._taker = self.server if taker is None else taker
        self.jobs_door = self._taker.jobs
        """Where jobs are submitted."""
        self._opened = contextlib.AsyncExitStack()

    @property
    def begun(self) -> list[str]:
        """The ids of the jobs that were given to the executor, in order."""
        return self._tally.begun

    @property
    def most_at_once(self) -> int:
        """How many jobs the executor had at once, at most."""
        return self._tally.most_at_once

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opened:
            await self.gate.open()
            opened.push_async_callback(self.gate.close)
            for server in dict.fromkeys((self.server, self._taker)):
                await opened.enter_async_context(_at_work(server))
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self.let_all_go()
        await self._opened.aclose()
        if error is None:
            assert all(len(job.hellos) <= 1 for job in self.jobs.values()), "a job was run twice"

    def job(self, job_id: str, **does: Any) -> StagedJob:
        """A job that is not submitted. What it does are members of `Order`."""
        return self.new_job(job_id, does, self.jobs_door)

    async def submit(self, job_id: str, **members: Any) -> StagedJob:
        """Make a job, and submit it. The members are those of `Order`, and arguments of `JobService.submit`."""
        does = {name: members.pop(name) for name in Order.__struct_fields__ if name in members}
        job = self.job(job_id, **does)
        await self.hand_in(job, **members)
        return job

    async def hand_in(self, job: StagedJob, **members: Any) -> None:
        """Submit a job, with arguments of `JobService.submit`."""
        members.setdefault("authorization", f"Bearer {job.id}")
        members.setdefault("request_info", RequestInfo(method="POST", url=f"http://test/{job.id}"))
        request = Payload(job.request, "application/json")
        await in_time(self.jobs_door.submit(self.tool, request, job_id=job.id, **members))

    async def running(self, count: int, **members: Any) -> list[StagedJob]:
        """So many jobs that wait at the gate."""
        jobs = [await self.submit(f"running-{n}", **members) for n in range(count)]
        for job in jobs:
            await job.has_come()
        return jobs

    async def runs_another(self, job_id: str = "another") -> None:
        """The executor still does its work: it runs one more job."""
        job = self.job(job_id)
        job.let_go()
        await self.hand_in(job)
        assert await job.end() == job.result


@contextlib.asynccontextmanager
async def _at_work(server: ToolServer) -> AsyncIterator[None]:
    await in_time(server.__aenter__())
    try:
        yield
    finally:
        await in_time(server.__aexit__())
