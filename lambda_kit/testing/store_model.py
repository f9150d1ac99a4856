"""`ModelStore`: what a job store does, in its simplest form, for comparison."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from lambda_kit.core.model.job import Failure, FailureKind, Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.store import Lease

__all__ = ["ModelJob", "ModelStore"]


@dataclass
class ModelJob:
    """One job of the model."""

    tool: str
    key: str | None
    max_attempts: int
    ttl_seconds: float
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    token: int = 0
    lease_expires_at: float = 0.0
    cancel_requested: bool = False
    expires_at: float | None = None
    last_seq: int = 0
    log: list[tuple[int, JobStatus | None]] = field(default_factory=list)

    def become(self, status: JobStatus) -> None:
        """Change the status, and log it."""
        self.status = status
        self.last_seq += 1
        self.log.append((self.last_seq, status))


class ModelStore:
    """Jobs in a dict, in the order in which they were made.

    Args:
        clock: Gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: dict[str, ModelJob] = {}

    def jobs(self) -> dict[str, ModelJob]:
        """The jobs that have not expired, oldest first."""
        now = self._clock()
        expired = [i for i, job in self._jobs.items() if job.expires_at is not None and job.expires_at <= now]
        for job_id in expired:
            del self._jobs[job_id]
        return self._jobs

    def create(self, job: Job) -> tuple[str, bool]:
        """The id of the job that is there then, and whether it is new."""
        jobs = self.jobs()
        if job.id in jobs:
            return job.id, False
        if job.idempotency_key is not None:
            for job_id, other in jobs.items():
                if other.key == job.idempotency_key:
                    return job_id, False
        model = ModelJob(job.tool, job.idempotency_key, job.max_attempts, job.ttl_seconds)
        model.become(JobStatus.PENDING)
        jobs[job.id] = model
        return job.id, True

    def claim(self, job_id: str) -> bool:
        """Whether the job could be claimed."""
        job = self.jobs().get(job_id)
        if job is None or job.status is not JobStatus.PENDING:
            return False
        job.become(JobStatus.EXECUTING)
        job.attempt += 1
        job.token += 1
        job.lease_expires_at = self._clock() + 10.0
        return True

    def held(self, lease: Lease) -> ModelJob | None:
        """The job, if the lease is its current one."""
        job = self.jobs().get(lease.job_id)
        is_held = job is not None and job.status is JobStatus.EXECUTING and job.token == lease.token
        return job if is_held else None

    def end(self, job: ModelJob, outcome: Outcome) -> None:
        """End a job."""
        if isinstance(outcome, Failure):
            job.become(outcome.kind.status)
        else:
            job.become(JobStatus.SUCCEEDED if isinstance(outcome, Payload) else JobStatus.CANCELLED)
        job.expires_at = self._clock() + job.ttl_seconds

    def release(self, job: ModelJob) -> None:
        """Hand a job back."""
        if job.cancel_requested:
            self.end(job, None)
        else:
            job.become(JobStatus.PENDING)
            job.attempt -= 1

    def report(self, job: ModelJob, count: int, dropped: int) -> int:
        """Append events; the number of the last."""
        job.last_seq += dropped
        for _ in range(count):
            job.last_seq += 1
            job.log.append((job.last_seq, None))
        return job.last_seq

    def request_cancel(self, job_id: str) -> JobStatus | None:
        """The status then; None where there is no such job."""
        job = self.jobs().get(job_id)
        if job is None:
            return None
        if job.status is JobStatus.PENDING:
            self.end(job, None)
        elif job.status is JobStatus.EXECUTING:
            job.cancel_requested = True
        return job.status

    def reap(self) -> dict[str, JobStatus]:
        """The jobs that changed, and their status."""
        changed: dict[str, JobStatus] = {}
        for job_id, job in self.jobs().items():
            if job.status is not JobStatus.EXECUTING or job.lease_expires_at > self._clock():
                continue
            if job.cancel_requested:
                self.end(job, None)
            elif job.attempt < job.max_attempts:
                job.become(JobStatus.PENDING)
            else:
                self.end(job, Failure(FailureKind.WORKER_LOST, "worker-lost", ""))
            changed[job_id] = job.status
        return changed

    def counts(self) -> dict[tuple[str, JobStatus], int]:
        """How many jobs there are, by tool and status."""
        return dict(Counter((job.tool, job.status) for job in self.jobs().values()))
