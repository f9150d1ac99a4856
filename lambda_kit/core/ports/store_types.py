"""What goes in and out of a `JobStore`."""

from collections.abc import Callable

import msgspec

from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.model.transitions import claim_job

__all__ = [
    "Change",
    "Claim",
    "ClaimRequest",
    "Created",
    "JobPage",
    "Lease",
    "OnChange",
    "Renewal",
]


class Created(msgspec.Struct, frozen=True, gc=False):
    """The answer of `JobStore.create`."""

    job: Job
    """The new job, or the one that was there."""
    is_new: bool


class ClaimRequest(msgspec.Struct, frozen=True, gc=False):
    """By whom a new job is claimed in the step that makes it."""

    worker_id: str
    lease_seconds: float
    claim_id: str | None = None
    """As for `JobStore.claim`."""

    def claimed(self, job: Job, now: float) -> Job:
        """The record of a pending job, claimed."""
        lease_seconds, claim_id = self.lease_seconds, self.claim_id
        return claim_job(job, worker_id=self.worker_id, lease_seconds=lease_seconds, now=now, claim_id=claim_id)


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A job that now belongs to the claimer, with the request to run."""

    job: Job
    request: Payload


class Lease(msgspec.Struct, frozen=True, gc=False):
    """What a worker holds while it runs a job."""

    job_id: str
    token: int


class Renewal(msgspec.Struct, frozen=True, gc=False):
    """The answer for one lease of `JobStore.renew`."""

    lease: Lease
    is_lost: bool
    """The token is not the current one, or the job is final: stop, nothing that you write will be kept."""
    cancel_requested: bool


class JobPage(msgspec.Struct, frozen=True, gc=False):
    """One page of `JobStore.list_jobs`."""

    jobs: list[Job]
    next_cursor: str | None
    """Where the next page starts. None: this was the last one."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """Something in a job is not as it was."""

    job_id: str | None
    """None: changes may have been missed (a connection was lost), look at everything again."""
    status: JobStatus | None = None
    """The job's status now, where the store knows it."""
    cancel_requested: bool = False
    """Whether the job's end has been asked for."""


OnChange = Callable[[Change], None]
"""Called after each change, on the event loop of the store. It must not block."""
