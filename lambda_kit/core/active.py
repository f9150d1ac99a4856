"""A job that was claimed by this process and has not ended."""

import asyncio
import threading
from typing import Any

from lambda_kit.core.events import NewEvent
from lambda_kit.core.job import Job
from lambda_kit.core.pump import EventPump
from lambda_kit.core.run import JobSpec, ToolRun
from lambda_kit.core.statistics import JobStatistics
from lambda_kit.core.store import Claim, JobStore, Lease
from lambda_kit.core.tool import BoundTool

__all__ = ["ActiveRun", "LiveRequest"]

_making_pump = threading.Lock()


class LiveRequest:
    """What is known of a job's request in the process that took it, and is never stored."""

    __slots__ = ("authorization", "transport", "value")

    def __init__(self, value: Any = None, authorization: str | None = None, transport: Any = None) -> None:
        self.value = value
        """The decoded request. None: decode it from the stored bytes."""
        self.authorization = authorization
        self.transport = transport
        """The `litestar.Request`, for tools that want it."""


class ActiveRun(ToolRun):
    """The run of a claimed job, with the lease under which its events and its end are written."""

    __slots__ = (
        "_authorization",
        "_claim",
        "_loop",
        "_statistics",
        "_store",
        "is_ending",
        "job",
        "lease",
        "pump",
        "timer",
    )

    def __init__(
        self, tool: BoundTool, claim: Claim, live: LiveRequest, store: JobStore, statistics: JobStatistics
    ) -> None:
        job = claim.job
        super().__init__(tool, None, self.emit, value=live.value, transport=live.transport)
        self.job: Job = job
        """The job as it was claimed."""
        self.lease = Lease(job.id, job.lease_token)
        self.pump: EventPump | None = None
        self.is_ending = False
        """Whether its end is being written: whoever sets it, writes it."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends it when its time is over."""
        self._claim = claim
        self._authorization = live.authorization
        self._store = store
        self._statistics = statistics
        self._loop = asyncio.get_running_loop()

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.lease.job_id

    def _make_spec(self) -> JobSpec:
        job = self.job
        return JobSpec(
            job_id=job.id,
            tool=job.tool,
            request=self._claim.request.content,
            request_info=job.request_info,
            authorization=self._authorization,
            attempt=job.attempt,
            deadline=job.deadline,
        )

    def emit(self, event: NewEvent) -> None:
        """Put an event into the job's log, soon. From any thread; in order."""
        with _making_pump:  # a tool may have threads of its own
            if self.pump is None:
                self.pump = EventPump(self._store, self.lease, self._loop, on_dropped=self._on_dropped)
        self.pump.put(event)

    def _on_dropped(self, count: int) -> None:
        self._statistics.events_dropped(self.job.tool, count)
