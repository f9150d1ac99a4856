"""The run of a claimed job, with the lease under which its events and its end are written."""

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lambda_kit.core.jobs.event_buffer import EventBuffer, EventBuffers
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.ports.store import Claim, Lease
from lambda_kit.core.tools.failure import single_error
from lambda_kit.core.tools.run import JobSpec, ToolRun

if TYPE_CHECKING:
    from lambda_kit.core.jobs.job_table import LocalJob

__all__ = ["RunningJob"]

_making_buffer = threading.Lock()


class RunningJob(ToolRun):
    """The run of a claimed job in this process. Implements `Run`.

    Args:
        local: The job, as this process knows it.
        claim: What the store gave.
        authorization: The ``Authorization`` that came with the request.
        buffers: Makes the `EventBuffer`, at the first event.
        observers: Those with a `JobObserver.around_run`.
    """

    __slots__ = ("_buffers", "buffer", "is_ending", "is_left_to_others", "lease", "raised", "timer")

    def __init__(
        self,
        local: "LocalJob",
        claim: Claim,
        authorization: str | None,
        buffers: EventBuffers,
        observers: Sequence[JobObserver],
    ) -> None:
        spec = JobSpec(job=claim.job, request=claim.request.content, authorization=authorization)
        super().__init__(
            local.lane.tool, spec, self.emit, value=local.value, transport=local.transport, observers=observers
        )
        self.lease = Lease(claim.job.id, claim.job.lease_token)
        self.buffer: EventBuffer | None = None
        self.is_ending = False
        """True once its end is being written. Only the code that set it may write it."""
        self.raised: BaseException | None = None
        """What the tool has raised, for callers in this process; let go of once it has ended."""
        self.is_left_to_others = False
        """Whether, if it is cancelled, another process is to run the job again: this one stops."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends it when its time is over."""
        self._buffers = buffers

    def close(self) -> None:
        """Let go of all that belongs to the run: it has ended."""
        super().close()
        self.raised = None  # its traceback holds this run
        self.buffer = None  # its task has this run in its context variables

    def _outcome_of(self, error: BaseException) -> Outcome:
        if not self.is_ending:
            self.raised = single_error(error)
        return super()._outcome_of(error)

    def emit(self, event: NewEvent) -> None:
        """Put an event into the job's log, soon. From any thread; in order."""
        with _making_buffer:  # a tool may have threads of its own
            if self.buffer is None:
                self.buffer = self._buffers.new(self.job, self.lease)
        self.buffer.put(event)
