"""Makes jobs of requests: admission, validation, creation."""

import logging
import time
from collections.abc import Callable, Sequence

from lambda_kit.core.active import LiveRequest
from lambda_kit.core.delivery import SinkDispatcher
from lambda_kit.core.errors import BadRequestError, JobConflictError, QueueFullError, UnavailableError
from lambda_kit.core.executor import ExecutorStats
from lambda_kit.core.job import Job, new_job_id
from lambda_kit.core.runner import JobRunner
from lambda_kit.core.scheduler import Scheduler
from lambda_kit.core.statistics import JobStatistics
from lambda_kit.core.store import Created, JobStore
from lambda_kit.core.submission import Submission, digest_of, scoped_key
from lambda_kit.core.tool import BoundTool
from lambda_kit.core.waiting import Waiter, Waiters

__all__ = ["Intake", "max_unfinished"]

logger = logging.getLogger("lambda_kit.service")

_ESTIMATE_SECONDS = 0.2
"""For so long an estimate of when there will be room is good: where most are refused, it must cost little."""

_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 600.0


class Intake:
    """Makes a job of each request that is admitted, and hands it to the scheduler.

    Args:
        store: Keeps the jobs.
        runner: Is told what is known of a request beside its job.
        scheduler: Has the jobs run.
        waiters: Those who wait for the end of a job here.
        dispatchers: Tell the sinks.
        statistics: Counts.
        max_unfinished: How many jobs of all tools may be unfinished in this process. None: no bound.
        accepts_jobs: Whether new jobs are taken now.
    """

    def __init__(
        self,
        store: JobStore,
        runner: JobRunner,
        scheduler: Scheduler,
        waiters: Waiters,
        dispatchers: Sequence[SinkDispatcher],
        statistics: JobStatistics,
        *,
        max_unfinished: int | None,
        accepts_jobs: Callable[[], bool],
    ) -> None:
        self._store = store
        self._runner = runner
        self._scheduler = scheduler
        self._waiters = waiters
        self._dispatchers = dispatchers
        self._statistics = statistics
        self._max_unfinished = max_unfinished
        self._accepts_jobs = accepts_jobs
        self._estimates: dict[str, tuple[float, float | None, float]] = {}
        self._arriving = 0

    async def submit(self, submission: Submission, waiter: Waiter | None) -> Job:
        """Make a job of a request and have it run; or attach to the job that this request made before.

        Args:
            submission: The request.
            waiter: Is to be told of the job's end. The caller removes it.

        Returns:
            The new job, or the known one with this id or key.

        Raises:
            RequestValidationError: if the body does not fit the tool's request model.
            BadRequestError: if it asks for more time than its tool has.
            JobConflictError: if the id or key belongs to another tool or body.
            QueueFullError: if there is no room for it. No job was made.
            UnavailableError: if no jobs are taken now, or the store is away.
        """
        tool = submission.tool
        digest = digest_of(submission.body)
        key = None
        known = None
        if submission.job_id is not None:
            known = await self._store.get(submission.job_id)
        elif submission.idempotency_key is not None:
            key = scoped_key(submission.idempotency_key, tool.name, submission.authorization)
            known = await self._store.find_by_key(key)
        if known is not None:  # whether or not the body fits, or jobs are taken now
            return await self._attached(known, tool, digest, waiter)
        value = submission.value
        if value is None:
            value = tool.decode(submission.body.content)
        job = _new_job(submission, digest, key)
        created = await self._create(job, submission, waiter)
        if not created.is_new:
            return await self._attached(created.job, tool, digest, waiter)
        self._runner.live[job.id] = LiveRequest(value, submission.authorization, submission.transport)
        for dispatcher in self._dispatchers:
            dispatcher.remember(job.id, submission.authorization)
        try:
            self._check_accepts()  # the end may have begun meanwhile, and nobody would wait for this job
            await self._scheduler.submit(job.id, tool.name)
        except BaseException as error:
            await self._discard(job.id, waiter)
            if isinstance(error, QueueFullError):
                self._statistics.rejected(tool.name)
            raise
        self._statistics.submitted(tool.name)
        return job

    async def _create(self, job: Job, submission: Submission, waiter: Waiter | None) -> Created:
        """Create a job if there is room for it. Of the end of a new one the waiter is told."""
        self._check_accepts()
        tool = submission.tool
        # Before there is a job: it may be cancelled before `create` returns. And before it can run: the result of a
        # quick one could be evicted from a small store.
        if waiter is not None:
            self._waiters.add(job.id, waiter)
        self._arriving += 1
        is_new = False
        try:
            created = await self._store.create(job, submission.body, max_unfinished=self._admit(tool))
            is_new = created.is_new
        except QueueFullError as error:
            self._statistics.rejected(tool.name)
            raise QueueFullError(str(error), self._free_in_seconds(tool)) from None
        finally:
            self._arriving -= 1
            if waiter is not None and not is_new:
                self._waiters.remove(job.id, waiter)
        return created

    def _check_accepts(self) -> None:
        if not self._accepts_jobs():
            raise UnavailableError("the service is not taking jobs now")

    def _admit(self, tool: BoundTool) -> int | None:
        """Refuse one more job if the server has too many; returns how many the tool may have."""
        limit = self._max_unfinished
        if limit is not None and self._scheduler.job_count + self._arriving > limit:
            raise QueueFullError(f"the service has {limit} jobs waiting or running: come back later")
        if tool.options.max_queue is None:
            return None
        return max_unfinished(tool, self._scheduler.executor_of(tool.name).stats())

    def _free_in_seconds(self, tool: BoundTool) -> float:
        """When one of a tool's jobs will probably have ended, by how long the last ones took."""
        now = time.time()
        mean = self._statistics.mean_seconds(tool.name)
        estimated_at, used_mean, seconds = self._estimates.get(tool.name, (0.0, None, 0.0))
        if not 0.0 <= now - estimated_at < _ESTIMATE_SECONDS or _is_other(mean, used_mean):
            seconds = self._estimate(tool, mean, now)
            self._estimates[tool.name] = (now, mean, seconds)
        return seconds

    def _estimate(self, tool: BoundTool, mean: float | None, now: float) -> float:
        ran = [now - (run.job.started_at or now) for run in self._runner.active.values() if run.tool is tool]
        if mean is None:  # none has ended yet: those that run need at least as long as they have run
            mean = max(ran, default=_MIN_RETRY_SECONDS)
        soonest = min((mean - seconds for seconds in ran if seconds < mean), default=mean / max(1, len(ran)))
        return min(max(soonest, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)

    async def _discard(self, job_id: str, waiter: Waiter | None) -> None:
        self._runner.live.pop(job_id, None)
        for dispatcher in self._dispatchers:
            dispatcher.forget(job_id)
        if waiter is not None:
            self._waiters.remove(job_id, waiter)
        try:
            await self._store.discard(job_id)
        except UnavailableError as error:  # what kept it from being handed over is what the caller must know
            logger.warning("job %s was not handed over and stays pending: the store is away (%s)", job_id, error)

    async def _attached(self, known: Job, tool: BoundTool, digest: bytes, waiter: Waiter | None) -> Job:
        if known.tool != tool.name:
            raise JobConflictError(
                f"job '{known.id}' belongs to tool '{known.tool}', not '{tool.name}': choose another id"
            )
        if known.request_digest != digest:
            raise JobConflictError(
                f"job '{known.id}' was made with another body: choose another id for another request"
            )
        if waiter is None:
            return known
        self._waiters.add(known.id, waiter)  # first add, then read: an end in between is not missed
        return await self._store.get(known.id) or known


def _is_other(mean: float | None, before: float | None) -> bool:
    """Whether jobs take notably longer or shorter than before."""
    return mean != before if mean is None or before is None else abs(mean - before) > before / 10


def max_unfinished(tool: BoundTool, stats: ExecutorStats) -> int | None:
    """How many of a tool's jobs may be unfinished: those that run at once, and `ToolOptions.max_queue`. None: any."""
    options = tool.options
    if options.max_queue is None:
        return None
    at_once = [size for size in (options.max_concurrency, stats.capacity) if size is not None]
    return options.max_queue + min(at_once, default=0)


def _new_job(submission: Submission, digest: bytes, key: str | None) -> Job:
    tool = submission.tool
    execution = tool.options.execution
    return Job(
        id=submission.job_id or new_job_id(),
        tool=tool.name,
        requested_at=time.time(),
        request_content_type=submission.body.content_type,
        request_digest=digest,
        idempotency_key=key,
        request_info=submission.request_info,
        traceparent=submission.traceparent,
        ttl_seconds=3600.0 if execution.job_cache_ttl is None else execution.job_cache_ttl,
        keep_finished=10_000 if execution.job_cache_size is None else execution.job_cache_size,
        max_attempts=tool.options.max_attempts,
        time_limit_seconds=_time_limit(submission),
    )


def _time_limit(submission: Submission) -> float | None:
    asked, allowed = submission.time_limit_seconds, submission.tool.options.time_limit_seconds
    if asked is None:
        return allowed
    if allowed is not None and asked > allowed:
        raise BadRequestError(
            f"a time limit of {asked:g} s: tool '{submission.tool.name}' allows at most {allowed:g} s"
        )
    return asked
