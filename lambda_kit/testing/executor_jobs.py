"""Jobs for executors under test, and the gate where their runs wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from lambda_kit.adapters.stores.memory import MemoryJobStore
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.events import EventKind
from lambda_kit.core.model.job import Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.store import Claim, ClaimRequest, Created
from lambda_kit.core.tools.results import encode_result
from lambda_kit.testing.executor_gate import Gate, Visit
from lambda_kit.testing.executor_tools import Order, result_of

__all__ = ["LONG_SECONDS", "GatedJobs", "HeldStore", "StagedJob", "in_time", "until"]

LONG_SECONDS = 60.0
"""What takes longer does not happen."""

T = TypeVar("T")


async def in_time(awaitable: Awaitable[T]) -> T:
    """Wait for what takes no long time; what bounds nothing would hang the test."""
    async with asyncio.timeout(LONG_SECONDS):
        return await awaitable


async def until(condition: Callable[[], object]) -> None:
    """Wait until something that another task, thread or process does has become true."""
    async with asyncio.timeout(LONG_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # a thread has no event that this loop could wait on


class StagedJob(Visit):
    """One job, and what became of it.

    Args:
        job_id: Its id.
        order: What its run does.
        jobs: Where it is submitted. None: it is run without an engine.
    """

    def __init__(self, job_id: str, order: Order, jobs: JobService | None = None) -> None:
        super().__init__()
        self.id = job_id
        self.request = msgspec.json.encode(order)
        self.result = encode_result(result_of(job_id, order), allows_none=False)
        """The outcome, if nothing comes between."""
        self._jobs = jobs

    async def has_come(self) -> None:
        """Wait until its run waits at the gate."""
        await asyncio.wait_for(self.is_here.wait(), LONG_SECONDS)

    async def has_gone(self) -> None:
        """Wait until its run has left the gate: it has ended, or its process was killed."""
        await asyncio.wait_for(self.is_gone.wait(), LONG_SECONDS)

    async def record(self) -> Job:
        """Its record now."""
        return await self._service.get(self.id)

    async def is_final(self) -> bool:
        """Whether its end is in the store."""
        return (await self.record()).status.is_final

    async def end(self) -> Outcome:
        """Wait until its end is in the store; returns how it ended."""
        ended = await self._service.wait(self.id, wait_seconds=LONG_SECONDS)
        assert ended.job.status.is_final, f"job {self.id} is {ended.job.status}"
        if ended.job.status is JobStatus.SUCCEEDED:
            assert ended.result is not None
        return ended.job.failure if ended.result is None else ended.result

    async def cancel(self) -> Job:
        """Ask for its end, as a client does."""
        async with asyncio.timeout(LONG_SECONDS):
            return await self._service.cancel(self.id)

    async def told(self) -> list[int | JobStatus]:
        """What its log tells, to its end: the changes of its status, and the numbers that its tool reported."""
        told: list[int | JobStatus] = []
        async with asyncio.timeout(LONG_SECONDS):
            async for event in self._service.events(self.id):
                assert event.kind is not EventKind.GAP, "events were dropped"
                told.append(event.status or msgspec.json.decode(event.body)["options"]["done"])
        return told

    @property
    def _service(self) -> JobService:
        assert self._jobs is not None, "this job has no server"
        return self._jobs


class HeldStore(MemoryJobStore):
    """A memory store in which a claim takes until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_claim = asyncio.Event()
        self.may_claim.set()
        self.claiming: list[str] = []
        """The ids of the jobs that were to be claimed, in order."""

    async def create(
        self,
        job: Job,
        request: Payload,
        *,
        max_unfinished: int | None = None,
        claim: ClaimRequest | None = None,
        max_of_share: int | None = None,
    ) -> Created:
        """Keep a new job; one that is claimed with it waits for `may_claim` first."""
        if claim is not None:
            self.claiming.append(job.id)
            await self.may_claim.wait()
        return await super().create(job, request, max_unfinished=max_unfinished, claim=claim, max_of_share=max_of_share)

    async def claim(
        self, job_id: str, *, worker_id: str, lease_seconds: float, claim_id: str | None = None
    ) -> Claim | None:
        """Take a job, after `may_claim`."""
        self.claiming.append(job_id)
        await self.may_claim.wait()
        return await super().claim(job_id, worker_id=worker_id, lease_seconds=lease_seconds, claim_id=claim_id)


class GatedJobs:
    """The gate, and the jobs that come there."""

    def __init__(self) -> None:
        self.jobs: dict[str, StagedJob] = {}
        """All jobs of the stage, by id."""
        self.gate = Gate(self.jobs.__getitem__)

    def let_all_go(self) -> None:
        """Let all go on that wait, also those that do not listen."""
        for job in self.jobs.values():
            job.let_go()

    def new_job(self, job_id: str, does: dict[str, Any], jobs: JobService | None) -> StagedJob:
        """A job that does so, as members of `Order` say."""
        job = self.jobs[job_id] = StagedJob(job_id, Order(port=self.gate.port, **does), jobs)
        return job
