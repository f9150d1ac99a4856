"""The `JobStore` port: the store holds the truth about every job.

An implementation owes what the docstrings here promise. `lambda_kit.testing.JobStoreContract` has a test for each.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import ClassVar, Self

from lambda_kit.core.model.events import EventPage, NewEvent
from lambda_kit.core.model.job import Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.outbox import Delivery, DeliveryPart, Dropped, DropReason, Outbox
from lambda_kit.core.ports.store_types import (
    Change,
    Claim,
    ClaimRequest,
    Created,
    JobPage,
    Lease,
    OnChange,
    Renewal,
)
from lambda_kit.core.ports.token_buckets import Taken, TokenBuckets

__all__ = [
    "Change",
    "Claim",
    "ClaimRequest",
    "Created",
    "Delivery",
    "DeliveryPart",
    "DropReason",
    "Dropped",
    "JobPage",
    "JobStore",
    "Lease",
    "OnChange",
    "Renewal",
    "Taken",
]


class JobStore(Outbox):
    """Keeps jobs, their events, and what is still to be delivered. Shared by all server processes that open it.

    `is_shared` says whether several processes can open the same store at once, `is_durable` whether jobs outlive them.

    Rules for every method:

    - A change is one atomic compare-and-set: of two callers that race, one wins, and the other's answer says so.
    - Only transitions that `transitions.check_transition` allows are made. Each appends one `EventKind.STATUS` event to
      the job's log, atomically with the change: record and log always agree.
    - A write that needs a lease carries its fencing token; with another than the current token it raises
      `LeaseLostError` and changes nothing.
    - Returned records are snapshots and never change.
    - Times are seconds since the epoch, by the store's clock (`now`), never by that of a worker's machine: the clocks
      of the machines that share a store need not agree.
    - Where the storage can't be reached, `UnavailableError` is raised, and the operation may be tried again.
    - A body that is larger than it can keep raises `PayloadTooLargeError`; nothing is changed.

    State in the class docstring after which call a job is safe, and from what. `lambda_kit.spi.JobStoreBase` does most
    of the rest over one atomic step.
    """

    is_shared: ClassVar[bool] = True

    is_durable: ClassVar[bool] = True
    """Whether jobs outlive the process: what waits when it stops is run by another one, or after the next start."""

    counts_shares: ClassVar[bool] = False
    """Whether `create` takes `max_of_share`, which `CallerLimits.max_unfinished` needs."""

    @abstractmethod
    async def start(self) -> None:
        """Open what is needed. Called before anything else, on the event loop that will use the store.

        Raises:
            UnavailableError: if the storage can't be reached now. Nothing is left open; `start` may be called again.
            ConfigurationError: if trying again would not help; says what to do. No password is in any text.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Release what `start` opened, and end the subscriptions. Safe to call twice."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def now(self) -> float:
        """The time by the store's clock, in seconds since the epoch: what leases and the times of a job go by."""
        return time.time()

    def another(self) -> "JobStore | None":
        """A second store of the same jobs, not started, to be used on another event loop. None: there can't be one.

        While the event loop of this one is blocked, leases and heartbeats are renewed through the other, on a thread.
        None too for a store that no other process uses: nobody takes its jobs.
        """
        return None

    async def caller_key(self) -> bytes:
        """The key of the hashes of callers (`Job.caller`): the same for all who share the store, and after a restart.

        The cursors that clients get are encrypted with it too. It is made once, at random, by whoever asks first, and
        is never changed; 1 to 64 bytes. Called after `start`.

        The default is the same for all stores: callers are told apart, but whoever can read the store can try guesses
        of a weak password on the hashes, and clients can read their cursors. Override it where something can be kept.
        (It is not asked for where there is an encryption key: the key of the hashes is derived from that.)
        """
        return b"lambda_kit"

    # --- the life of a job ---

    @abstractmethod
    async def create(
        self,
        job: Job,
        request: Payload,
        *,
        max_unfinished: int | None = None,
        claim: ClaimRequest | None = None,
        max_of_share: int | None = None,
    ) -> Created:
        """Keep a new job, unless there is one with its id, or with its `idempotency_key`.

        In that case nothing is written and the job that is there is returned. An expired job does not count.

        Args:
            job: The record of a pending job.
            request: What is to be run.
            max_unfinished: Refuse a new job if its tool has so many that are not final, in all processes.
            claim: Claim a new job in the same step: all is as if `claim` had been called at once. (Its record is
                made by `ClaimRequest.claimed`, its log begins with `events.first_events`.)
            max_of_share: Refuse a new job if so many jobs with its `share`, of all tools and in all processes, are not
                final. Passed only if the store `counts_shares`, for jobs that have a share.

        Raises:
            QueueFullError: if there are too many of its tool. Nothing was written.
            RateLimitedError: if there are too many of its share. Nothing was written.
        """

    @abstractmethod
    async def get(self, job_id: str) -> Job | None:
        """The job's record. None: there is none, or it has expired."""

    @abstractmethod
    async def find_by_key(self, idempotency_key: str) -> Job | None:
        """The record of the job with that `Job.idempotency_key`. None: there is none, or it has expired."""

    @abstractmethod
    async def get_result(self, job_id: str) -> Payload | None:
        """The result of a succeeded job. None for any other, and where there is no such job."""

    @abstractmethod
    async def claim(
        self, job_id: str, *, worker_id: str, lease_seconds: float, claim_id: str | None = None
    ) -> Claim | None:
        """Take a pending job: it becomes executing, `attempt` and `lease_token` grow by one.

        None if the job is not pending (any more) or not there: somebody else has it, or it was cancelled.

        Args:
            job_id: The job.
            worker_id: The worker that runs it from now on.
            lease_seconds: For how long, without renewal.
            claim_id: Stands for this claim. A claim that is made again with the same id, since its answer was lost, is
                answered as the first was while that one holds the job.
        """

    @abstractmethod
    async def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        """Extend leases; one answer for each, in order. A lease that has run out but was not yet taken is extended."""

    @abstractmethod
    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        """End an executing job: succeeded with its result, failed or error by the failure's kind, or cancelled.

        If a cancel was requested before, the job ends as cancelled whatever the outcome is: a late result never
        overwrites a cancel. The request's body need not be kept after this.

        Raises:
            LeaseLostError: if the token is not the job's current one, or the job has ended or is gone.
        """

    @abstractmethod
    async def release(self, lease: Lease, *, is_counted: bool = False) -> Job:
        """Hand an executing job back: it becomes pending again, still assigned to the same worker.

        If a cancel was requested, the job ends as cancelled instead.

        Args:
            lease: The caller's.
            is_counted: Whether this attempt counts: it was begun in earnest.

        Raises:
            LeaseLostError: as `finish`.
        """

    @abstractmethod
    async def request_cancel(self, job_id: str) -> Job | None:
        """Ask for a job's end. A pending one is cancelled at once; an executing one gets `cancel_requested`.

        A final job is returned as it is. None: there is no such job.
        """

    @abstractmethod
    async def reap(self, *, spares: Collection[str] = ()) -> list[Job]:
        """Take jobs from workers whose lease has run out, but not from those in `spares`; returns what changed.

        With attempts left a job becomes pending again, assigned to no worker (see `adopt`); with a cancel requested it
        becomes cancelled; else it ends as error (`FailureKind.WORKER_LOST`).
        """

    # --- workers: the processes that share the store ---

    @abstractmethod
    async def heartbeat(self, worker_id: str, *, lease_seconds: float) -> None:
        """Record that a worker lives. The pending jobs assigned to it are left to it for `lease_seconds`."""

    @abstractmethod
    async def workers(self) -> list[str]:
        """The ids of the workers that have sent a heartbeat, in any order. Their lease may have run out."""

    @abstractmethod
    async def expire_worker(self, worker_id: str) -> None:
        """Mark a worker dead: its leases expire immediately.

        Its executing jobs are for `reap`, its pending ones for `adopt`, and its slots (`acquire_slot`) are free. No
        error if the worker is not known.
        """

    @abstractmethod
    async def adopt(
        self,
        worker_id: str,
        *,
        tools: Collection[str],
        limit: int = 1000,
        spares_silent: bool = False,
        but_of: Collection[str] = (),
    ) -> list[Job]:
        """Assign pending jobs that no living worker has to `worker_id`, and return them.

        These are jobs without an `assigned_worker`, and jobs of workers whose lease (`heartbeat`) has run out or that
        never sent a heartbeat; never those of `worker_id` itself. Concurrent callers get different jobs. Oldest first.

        Args:
            worker_id: The worker that adopts.
            tools: Only jobs of these tools.
            limit: The maximum number of jobs.
            spares_silent: Leave the jobs of workers whose lease has run out: after an absence of the store they may
                not have been able to send a heartbeat.
            but_of: Leave the jobs of these principals (`Job.principal`): others have their turn. A store may look at
                the 20,000 oldest jobs only.
        """

    # --- looking around ---

    @abstractmethod
    async def list_jobs(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        principal: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        """Jobs, newest first. Pages follow each other without gaps or repeats while jobs come and go.

        Args:
            tool: Only this tool's jobs.
            statuses: Only jobs of these statuses. Empty: all.
            principal: Only jobs of this principal (`Job.principal`). None: of all, and those without one.
            limit: At most so many, 1 to 1000.
            cursor: `JobPage.next_cursor` of the page before.

        Raises:
            BadRequestError: if the cursor is not one of this store's.
        """

    @abstractmethod
    async def counts(self) -> dict[tuple[str, JobStatus], int]:
        """How many jobs there are, by tool and status. Absent: none."""

    @abstractmethod
    async def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        """The places of pending jobs among their tools' pending jobs, from 1. Absent: not pending, or not there."""

    # --- events ---

    @abstractmethod
    async def append_events(
        self, lease: Lease, events: Sequence[NewEvent], *, dropped: int = 0, batch: int | None = None
    ) -> int:
        """Append what a tool reported, in order; returns the number of the last event.

        Batches of one lease are numbered upwards, from 1. One that has been appended is not appended again: it was sent
        again since the answer was lost. (None: it is not numbered.)

        `events` is not empty. The log is bounded: where it is full the oldest events go. `dropped` events were lost
        before they came here: that many numbers are skipped ahead of the first one. The last `NewEvent.progress`
        becomes the job's.

        Raises:
            LeaseLostError: as `finish`.
        """

    @abstractmethod
    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        """Events with a number above `after`, oldest first, at most `limit`. None: there is no such job."""

    @abstractmethod
    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        """Call `on_change` after each change of any job, whoever made it; returns a function that unsubscribes.

        Only between `start` and `stop`, so that `start` can open the one connection that all subscribers share. Takes
        effect at once: a change made after this returns is reported. Changes of one job in quick succession may be
        reported as one. To miss nothing: subscribe first, then read. What a subscriber raises harms neither the others
        nor the store. `lambda_kit.spi.Subscriptions` does all of that for a store that knows of each change.
        """

    # --- slots for max_concurrency, across processes ---

    @abstractmethod
    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        """Take one of `limit` slots of that name, or renew the one that `holder` has. False: all are taken.

        A slot whose lease has run out is free. A `holder` that begins with a worker id and a space has its slot at most
        until that worker is expired.
        """

    @abstractmethod
    async def release_slot(self, name: str, holder: str) -> None:
        """Give a slot back. No error if `holder` has none."""

    # --- shares of callers ---

    async def take_token(self, bucket: bytes, *, rate_per_second: float, burst: int) -> Taken:
        """Take a token from a bucket, if it has one.

        A bucket holds `burst` tokens. A new one is full; `rate_per_second` tokens come in while it is not. Of any
        number of callers at once no more get one than there are. Whoever comes after `Taken.wait_seconds` gets one, if
        nobody else came meanwhile. Nothing is kept of a bucket that is full.

        The default counts in this process alone. A store that is shared overrides it, so that all processes count
        together, by the store's clock; `token_buckets.take` says what becomes of a bucket. It need not survive a crash.

        Args:
            bucket: Its name, 1 to 64 bytes.
            rate_per_second: More than 0. It may be another one than the last time.
            burst: At least 1. It may be another one than the last time.
        """
        return self._token_buckets.take(bucket, rate_per_second=rate_per_second, burst=burst, now=self.now())

    @cached_property
    def _token_buckets(self) -> TokenBuckets:
        return TokenBuckets()

    # --- retention ---

    @abstractmethod
    async def purge(self) -> int:
        """Forget jobs past their `expires_at`; returns how many. Jobs that are not final never expire.

        What a sink has not confirmed of such a job stays in the outbox, apart from the job's id (see `Outbox`). Workers
        whose lease (`heartbeat`) ran out more than an hour ago are forgotten too.
        """
