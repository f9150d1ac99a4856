"""A job that was claimed by this process and has not ended."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from lambda_kit.core.jobs.event_buffer import EventPump
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Claim, Created, JobStore, Lease
from lambda_kit.core.runtime.retry import Outage
from lambda_kit.core.tools.run import JobSpec, ToolRun
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["ActiveRun", "Creation", "LiveRequest"]

_making_pump = threading.Lock()


class Creation:
    """A job that is to be made by its run, in the one step that claims it too.

    Args:
        job: The pending record.
        request: What is to be run.
        max_unfinished: As for `JobStore.create`.
        on_new: Called when the job is there, before anything can be told of it.
        on_doubt: Called when it is not known whether it is there.
    """

    __slots__ = ("answer", "is_unwanted", "job", "max_unfinished", "on_doubt", "on_new", "request")

    def __init__(
        self,
        job: Job,
        request: Payload,
        max_unfinished: int | None,
        *,
        on_new: Callable[[], None],
        on_doubt: Callable[[], None],
    ) -> None:
        self.job = job
        self.request = request
        self.max_unfinished = max_unfinished
        self.on_new = on_new
        self.on_doubt = on_doubt
        self.answer: asyncio.Future[Created] = asyncio.get_running_loop().create_future()
        """What the store has answered, for who made the request."""
        self.is_unwanted = False
        """Whether the job's end was asked for before it was there."""

    def settle(self, answer: Created | Exception) -> None:
        """Tell who made the request."""
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class LiveRequest:
    """What is known of a job's request in the process that took it, and is never stored."""

    __slots__ = ("authorization", "creation", "transport", "value")

    def __init__(
        self,
        value: Any = None,
        authorization: str | None = None,
        transport: Any = None,
        creation: Creation | None = None,
    ) -> None:
        self.value = value
        """The decoded request. None: decode it from the stored bytes."""
        self.authorization = authorization
        self.transport = transport
        """The `litestar.Request`, for tools that want it."""
        self.creation = creation
        """How the job is made. None: it is there already."""


class ActiveRun(ToolRun):
    """The run of a claimed job, with the lease under which its events and its end are written."""

    __slots__ = (
        "_authorization",
        "_claim",
        "_loop",
        "_outage",
        "_statistics",
        "_store",
        "is_ending",
        "is_left_to_others",
        "job",
        "lease",
        "pump",
        "timer",
    )

    def __init__(
        self,
        tool: BoundTool,
        claim: Claim,
        live: LiveRequest,
        store: JobStore,
        statistics: JobStatistics,
        outage: Outage,
    ) -> None:
        job = claim.job
        super().__init__(tool, None, self.emit, value=live.value, transport=live.transport)
        self.job: Job = job
        """The job as it was claimed."""
        self.lease = Lease(job.id, job.lease_token)
        self.pump: EventPump | None = None
        self.is_ending = False
        """Whether its end is being written: whoever sets it, writes it."""
        self.is_left_to_others = False
        """Whether, if it is cancelled, another process is to run the job again: this one stops."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends it when its time is over."""
        self._claim = claim
        self._authorization = live.authorization
        self._store = store
        self._statistics = statistics
        self._outage = outage
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
                self.pump = EventPump(
                    self._store, self.lease, self._loop, outage=self._outage, on_dropped=self._on_dropped
                )
        self.pump.put(event)

    def _on_dropped(self, count: int) -> None:
        self._statistics.events_dropped(self.job.tool, count)
