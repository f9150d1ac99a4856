"""`JobService`: the only door to the jobs, for every kind of caller."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from typing import Any

from lambda_kit.core.errors import JobNotFoundError, ToolNotFoundError, UnavailableError
from lambda_kit.core.jobs import audit
from lambda_kit.core.jobs.awaited_deliveries import AwaitedDelivery
from lambda_kit.core.jobs.engine import JobEngine
from lambda_kit.core.jobs.event_reader import EventReader
from lambda_kit.core.jobs.job_table import State
from lambda_kit.core.jobs.submission import Submission
from lambda_kit.core.jobs.waiting import Waiter, WaitResult, read_end
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.ports.store import JobPage
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["JobService"]

logger = logging.getLogger("lambda_kit.service")

_CANCEL_SECONDS = 30.0
_MOST_CANCELS = 10_000


class JobService:
    """Submits, finds, awaits, lists and cancels jobs. Adapters use nothing else of the engine or the store.

    Use it on the event loop of the server, while that runs.

    Args:
        engine: Has the jobs.
        principal: For whom it acts: only the jobs of this principal exist for it. None: no access control, it sees
            every job.
        address: Of the client for which it acts, as for `acting_for`.
        fetches: As for `acting_for`.
    """

    def __init__(
        self,
        engine: JobEngine,
        principal: Principal | None = None,
        address: str | None = None,
        *,
        fetches: bool = True,
    ) -> None:
        self._engine = engine
        self._principal = principal
        self._address = address
        self._fetches = fetches
        self._only = None if principal is None or principal.sees_all else principal.id

    def acting_for(
        self, principal: Principal | None, *, address: str | None = None, fetches: bool = True
    ) -> "JobService":
        """The same door for one principal. None: no access control; whoever knows a job's id may read it.

        Args:
            principal: Who asks.
            address: The client's IP address, for the audit log and `CallerLimits.by_address`. Empty: it has none. None:
                it is not known, or who asks is no client, but the service's own code.
            fetches: Whether a result that is told to it counts as fetched: a stop does not wait for that any longer.
        """
        limits = self._engine.caller_limits
        if principal is None and (limits is None or not limits.by_address):
            address = None  # nobody looks at it
        if principal is self._principal and address == self._address and fetches is self._fetches:
            return self
        return JobService(self._engine, principal, address, fetches=fetches)

    @property
    def limits_callers(self) -> bool:
        """Whether one caller may ask for so much only (`CallerLimits`)."""
        return self._engine.caller_limits is not None

    @property
    def tools(self) -> Mapping[str, BoundTool]:
        """The tools that are served, by name."""
        return self._engine.tools

    @property
    def accepts_jobs(self) -> bool:
        """Whether new jobs are taken: the service has started, and does not drain."""
        return self._engine.admission.is_open

    @property
    def outlives_process(self) -> bool:
        """Whether jobs live on when this process ends."""
        return self._engine.store.is_durable

    def runs_only_here(self, tool: BoundTool) -> bool:
        """Whether jobs of a tool never leave this process: their requests need not be read from the stored bytes."""
        return self._engine.runs_only_here(tool)

    # --- submitting ---

    async def submit(self, tool: str, body: Payload, **more: Any) -> Job:
        """Make a job of a request and have it run; or attach to the job that this request made before.

        Args:
            tool: The tool's name.
            body: JSON bytes and their media type.
            more: Further members of `Submission`: `job_id`, `given_id`, `idempotency_key`, `authorization`,
                `request_info`, `traceparent`, `tracestate`, `time_limit_seconds`, `value`, `transport`,
                `must_be_new`, `call`, `refusal`.

        Returns:
            The new job, or the known one with this id or key.

        Raises:
            ToolNotFoundError: if there is no such tool.
            RequestValidationError: if the body does not fit the tool's request model.
            BadRequestError: if it asks for more time than its tool has.
            PermissionDeniedError: if the principal may not run the tool.
            JobConflictError: if the id or key belongs to another tool, body or caller.
            QueueFullError: if there is no room for it. No job was made.
            RateLimitedError: if the caller has used up its share (`CallerLimits`). No job was made.
            UnavailableError: if the service does not take jobs, or the store is away.
        """
        self._engine.check_open()
        return await self._engine.submitter.submit(self._submission(tool, body, more), None)

    async def submit_and_wait(self, tool: str, body: Payload, *, wait_seconds: float, **more: Any) -> WaitResult:
        """As `submit`, and wait for the job's end, at most so many seconds. With 0, do not wait."""
        engine = self._engine
        engine.check_open()
        waiter = Waiter()
        job = await engine.submitter.submit(self._submission(tool, body, more), waiter)
        try:
            return await self._result_of(job, waiter, wait_seconds)
        finally:
            engine.waiters.remove(job.id, waiter)

    def _submission(self, tool: str, body: Payload, more: dict[str, Any]) -> Submission:
        bound = self._engine.tools.get(tool)
        if bound is None:
            raise ToolNotFoundError(f"{tool!r} is not served here; the tools are {', '.join(self._engine.tools)}")
        return Submission(tool=bound, body=body, principal=self._principal, address=self._address, **more)

    def expect_delivery(self, job_id: str) -> AwaitedDelivery:
        """To wait until all sinks have confirmed the end of a job. To be called before it is submitted.

        Args:
            job_id: The bare id that the job is going to have.
        """
        return self._engine.awaited_deliveries.expect(job_id)

    async def undelivered(self) -> list[str]:
        """The ids of jobs of which sinks have not confirmed everything, among those that this process delivers.

        Left out are those whose credentials a sink does not accept: nobody should wait for them.

        Raises:
            UnavailableError: if the service has not started, or the store is away.
        """
        self._engine.check_open()
        return await self._engine.undelivered()

    @property
    def dropped_ends(self) -> int:
        """How many ends were given up by sinks and will never be delivered, since the server was made."""
        return self._engine.dropped_ends

    # --- finding ---

    async def get(self, job_id: str) -> Job:
        """The record of a job.

        Raises:
            JobNotFoundError: if there is none, it has expired, or it is another principal's.
            UnavailableError: if the service has not started, or the store is away.
        """
        job = await self._find(job_id)
        self._note_reading(job)
        return job

    async def _find(self, job_id: str) -> Job:
        self._engine.check_open()
        job = await self._engine.store.get(job_id)
        if job is None or not self._may_see(job):
            raise JobNotFoundError(job_id)
        return job

    async def list(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        """Jobs, newest first. Pages follow each other without gaps or repeats while jobs come and go.

        Args:
            tool: Only this tool's jobs.
            statuses: Only jobs of these statuses. Empty: all.
            limit: The maximum number of jobs, 1 to 1000.
            cursor: `JobPage.next_cursor` of the page before.

        Raises:
            BadRequestError: if the cursor is not one of this service's.
            UnavailableError: if the service has not started, or the store is away.
        """
        engine = self._engine
        engine.check_open()
        page = await engine.store.list_jobs(
            tool=tool,
            statuses=statuses,
            principal=self._only,
            limit=limit,
            cursor=None if cursor is None else engine.cursors.unseal(cursor),
        )
        if self._only is None:
            audit.listed(self._principal, self._address, tool)
        return JobPage(page.jobs, None if page.next_cursor is None else engine.cursors.seal(page.next_cursor))

    async def queue_positions(self, jobs: Iterable[Job]) -> dict[str, int]:
        """The places of the pending ones among their tools' pending jobs, by id, from 1. Absent: not pending."""
        pending = [job.id for job in jobs if job.status is JobStatus.PENDING]
        return await self._engine.store.queue_positions(pending) if pending else {}

    # --- waiting ---

    async def wait(
        self, job_id: str, *, wait_seconds: float, tool: str | None = None, known: Job | None = None
    ) -> WaitResult:
        """Wait for a job's end, wherever it runs; at most so many seconds. With 0, look and return.

        Args:
            job_id: The bare id.
            wait_seconds: For how long.
            tool: Know only this tool's jobs. None: any tool's.
            known: Its record from a wait before, with which this one begins if the store is away.

        Raises:
            JobNotFoundError: if there is no such job, it has expired, or it is another principal's.
            UnavailableError: if the service has not started, or the store is away.
        """
        waiter = Waiter()
        self._engine.waiters.add(job_id, waiter)  # first add, then read: an end in between is not missed
        try:
            try:
                job = await self._find(job_id)
            except UnavailableError:
                if known is None:
                    raise
                job = known
                waiter.look_again_soon()
            if tool is not None and job.tool != tool:
                raise JobNotFoundError(job_id)
            if known is None:
                self._note_reading(job)
            return await self._result_of(job, waiter, wait_seconds)
        finally:
            self._engine.waiters.remove(job_id, waiter)

    async def _result_of(self, job: Job, waiter: Waiter, wait_seconds: float) -> WaitResult:
        if job.status.is_final:
            ended = await read_end(self._engine.store, job)
            if ended is None:
                raise JobNotFoundError(job.id)
            result = ended
        elif wait_seconds <= 0:
            return WaitResult(job, None)
        else:
            result = await waiter.wait(job, wait_seconds, self._look)
            # thousands may have waited for this moment
            if (turn := self._engine.turns.take(len(self._engine.waiters))) is not None:
                await turn
        if self._fetches and result.job.status.is_final:
            self._engine.fetched_results.fetched(job.id)
        return result

    async def _look(self, job_id: str) -> WaitResult | None:
        store = self._engine.store
        job = await store.get(job_id)
        if job is None:
            return None
        return await read_end(store, job) if job.status.is_final else WaitResult(job, None)

    def subscribe_many(self, job_ids: Iterable[str], on_change: Callable[[str], None]) -> Callable[[], None]:
        """Call a function with the id of each of these jobs whenever it has changed; returns a function that ends that.

        It is called on the event loop and must not block. Changes in quick succession may be reported as one. To miss
        nothing: subscribe first, then `get`. Ownership is not checked here; only the id is reported.
        """
        return self._engine.followers.subscribe(job_ids, on_change)

    # --- events ---

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """The events of a job: everything so far, then live, to the job's last one.

        Events that are no longer in the log are one event of the kind `EventKind.GAP`. Over an outage of the store it
        goes on, for a minute; then it ends early, and can be called again with the last number.

        Args:
            job_id: The bare id.
            after: Begin behind the event of this number.

        Raises:
            JobNotFoundError: as `get`.
            UnavailableError: as `get`.
        """
        reader = self.event_reader(await self.get(job_id), after=after)
        with reader.following():
            while not reader.is_over:
                for event in await reader.next_batch(60.0):
                    yield event

    def event_reader(self, job: Job, *, after: int = 0) -> EventReader:
        """As `events`, in batches, for those who have something to do while nothing happens.

        Args:
            job: What `get` has returned.
            after: Begin behind the event of this number.
        """
        return EventReader(self._engine.store, self._engine.followers, job.id, after)

    def request_turn(self) -> "asyncio.Future[None] | None":
        """For a door with hundreds of requests at once: each waits for this first. None: go on now."""
        return self._engine.request_turns.take()

    def stream_turn(self) -> "asyncio.Future[None] | None":
        """For who has much to send to one client: wait for this before each piece of it. None: go on now."""
        return self._engine.stream_turns.take()

    # --- cancelling ---

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end. A pending job is cancelled at once; a running one when its tool has stopped.

        Returns:
            The record now: look at its status.

        Raises:
            JobNotFoundError: if there is no such job, or it is another principal's.
            UnavailableError: if the service has not started, or the store is away.
        """
        engine = self._engine
        engine.check_open()
        local = engine.table.get(job_id)
        if local is not None and local.state is State.RESERVED:  # see to it that its tool is not called
            if self._only is None:
                local.is_unwanted = True
            await local.until_made()
        if self._only is not None:
            await self._find(job_id)
        job = await engine.store.request_cancel(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        if not job.status.is_final:
            engine.begin_cancel(job_id)
        if job.cancel_requested or job.status is JobStatus.CANCELLED:
            audit.acted("cancelled", self._principal, self._address, job)
        return job

    def cancel_soon(self, job_id: str, *, is_meant: Callable[[Job], bool] | None = None) -> None:
        """Ask for a job's end without waiting for an answer: for callers that are being ended themselves.

        It is tried for half a minute while the store is away. No effect where there is no such job, nor where thousands
        of such calls are under way: they are dropped, with a warning.

        Args:
            job_id: The bare id.
            is_meant: Looks at the record first: False leaves the job as it is. None: any job of this id is meant.
        """
        if len(self._engine.background) >= _MOST_CANCELS:
            logger.warning("job %s is not cancelled: too many cancels are under way", job_id)
            return
        self._engine.background.spawn(self._cancel_patiently(job_id, is_meant))

    async def _cancel_patiently(self, job_id: str, is_meant: Callable[[Job], bool] | None) -> None:
        async def cancel() -> None:
            if is_meant is None or is_meant(await self._find(job_id)):
                await self.cancel(job_id)

        try:
            await self._engine.outage.until_over(f"job {job_id}: its cancel", cancel, for_seconds=_CANCEL_SECONDS)
        except (JobNotFoundError, UnavailableError):
            return

    def _may_see(self, job: Job) -> bool:
        return self._only is None or job.principal == self._only

    def _note_reading(self, job: Job) -> None:
        if self._principal is not None and job.principal != self._principal.id:
            audit.acted("read-by-admin", self._principal, self._address, job)
