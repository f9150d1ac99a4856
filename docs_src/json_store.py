"""A job store of your own: a directory of JSON files."""

import asyncio
import fcntl
import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

import msgspec

from lambda_kit import BadRequestError, ConfigurationError, Job, JobStatus, JobStore, LeaseLostError, UnavailableError
from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.model.events import Event, EventPage, NewEvent, first_events, report_event, status_event
from lambda_kit.core.model.job import Outcome, Payload
from lambda_kit.core.model.transitions import claim_job, end_job, holds_claim, reap_job, requeue_job
from lambda_kit.core.ports.store import (
    Change,
    Claim,
    ClaimRequest,
    Created,
    Delivery,
    JobPage,
    Lease,
    OnChange,
    Renewal,
)
from lambda_kit.core.ports.subscriptions import Subscriptions

P = ParamSpec("P")
T = TypeVar("T")


# --8<-- [start:entry]
class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is in one file: all that is known of one job. (msgspec writes bytes as base64.)"""

    number: int  # grows with each job; the file's name
    job: Job
    request: Payload | None = None  # kept until the job is final
    result: Payload | None = None
    events: tuple[Event, ...] = ()
    last_seq: int = 0
    batch: tuple[int, int] = (0, 0)  # lease token and number of the last batch of events
    to_tell: dict[str, int] = {}  # the sinks that are to be told of this job: the last event that each has confirmed


# --8<-- [end:entry]


# --8<-- [start:in-turn]
def in_turn(
    method: Callable[Concatenate["JsonFilesJobStore", P], T],
) -> Callable[Concatenate["JsonFilesJobStore", P], Coroutine[Any, Any, T]]:
    """Have a method called on the store's only thread: one call after the other, and the event loop never waits."""

    @functools.wraps(method)
    async def call(self: "JsonFilesJobStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._thread is None:
            raise UnavailableError("the job store is not open")
        try:
            todo = functools.partial(method, self, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._thread, todo)
        except OSError as error:
            raise UnavailableError(f"the job store in {self._directory} can't be used now: {error}") from error

    return call


# --8<-- [end:in-turn]


class JsonFilesJobStore(JobStore):
    """Keeps each job in a JSON file, for one process, on a system with `fcntl`.

    When a call returns, what it has changed is on the disk: it survives a kill -9 of the process, a crash of the
    machine, and a loss of power if the disk keeps what it has acknowledged. What was asked for and not yet answered is
    there or not, never in part. Leases, slots and who lives are in memory only: with the process they end anyway.

    All jobs are in memory too, and each change writes a file anew: for thousands of jobs, not for millions.

    Args:
        directory: Where the files are. It is made if it is not there.
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. For tests.
    """

    is_shared = False

    def __init__(
        self, directory: str | Path, *, event_log_size: int = 1000, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = Path(directory)
        self._event_log_size = event_log_size
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._lock_file: IO[str] | None = None
        self._subscriptions = Subscriptions()
        self._entries: dict[str, Entry] = {}  # in the order in which they were created
        self._alive_until: dict[str, float] = {}
        self._slots: dict[str, dict[str, float]] = {}
        self._sinks: set[str] = set()
        self._deliveries: dict[tuple[str, str], tuple[str, float]] = {}  # who tells a sink of a job, and until when

    # --8<-- [start:start]
    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "json store")
        try:
            await self._open()
        except BaseException:
            await self.stop()
            raise

    @in_turn
    def _open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock_file = (self._directory / "lock").open("w")
        fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: another process has it
        entries: list[Entry] = []
        for path in self._directory.glob("*.json"):
            try:
                entries.append(msgspec.json.decode(path.read_bytes(), type=Entry))
            except msgspec.DecodeError as error:
                raise ConfigurationError(f"{path} is damaged: restore it, or move it away ({error})") from None
        self._entries = {entry.job.id: entry for entry in sorted(entries, key=lambda entry: entry.number)}

    async def stop(self) -> None:
        self._subscriptions.end_all()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)  # once it has done what it was asked for
        if self._lock_file is not None:
            self._lock_file.close()

    # --8<-- [end:start]

    # --- the life of a job ---

    # --8<-- [start:create]
    @in_turn
    def create(
        self, job: Job, request: Payload, *, max_unfinished: int | None = None, claim: ClaimRequest | None = None
    ) -> Created:
        jobs = {other.id: other for other in self._jobs()}
        keys = {other.idempotency_key: other for other in jobs.values()}
        existing = jobs.get(job.id) or (job.idempotency_key and keys.get(job.idempotency_key))
        if existing:
            return Created(existing, is_new=False)
        unfinished = [other for other in jobs.values() if other.tool == job.tool and not other.status.is_final]
        if max_unfinished is not None and len(unfinished) >= max_unfinished:
            raise QueueFullError(f"tool '{job.tool}' has {max_unfinished} jobs waiting or running: come back later")
        number = max((entry.number for entry in self._entries.values()), default=0) + 1
        if claim is not None:  # in the same step
            job = claim.claimed(job, self._clock())
        log = tuple(first_events(job))
        to_tell = dict.fromkeys(self._sinks, 0)
        self._write(Entry(number=number, job=job, request=request, events=log, last_seq=len(log), to_tell=to_tell))
        self._tell(Change(job.id, job.status))
        return Created(job, is_new=True)

    # --8<-- [end:create]

    @in_turn
    def discard(self, job_id: str) -> None:
        entry = self._find(job_id)
        if entry is not None and entry.job.status is JobStatus.PENDING:
            self._forget(entry)
            self._tell(Change(job_id))

    @in_turn
    def get(self, job_id: str) -> Job | None:
        entry = self._find(job_id)
        return None if entry is None else entry.job

    @in_turn
    def find_by_key(self, idempotency_key: str) -> Job | None:
        return next((job for job in self._jobs() if job.idempotency_key == idempotency_key), None)

    @in_turn
    def get_result(self, job_id: str) -> Payload | None:
        entry = self._find(job_id)
        return None if entry is None else entry.result

    # --8<-- [start:claim]
    @in_turn
    def claim(self, job_id: str, *, worker_id: str, lease_seconds: float, claim_id: str | None = None) -> Claim | None:
        entry = self._find(job_id)
        if entry is None or entry.request is None:
            return None
        job, now = entry.job, self._clock()
        if job.status is JobStatus.PENDING:
            job = claim_job(job, worker_id=worker_id, lease_seconds=lease_seconds, now=now, claim_id=claim_id)
            return Claim(self._change(entry, job), entry.request)
        return Claim(job, entry.request) if claim_id is not None and holds_claim(job, worker_id, claim_id) else None

    @in_turn
    def finish(self, lease: Lease, outcome: Outcome) -> Job:
        entry = self._held(lease)
        job = end_job(entry.job, outcome, now=self._clock())
        is_result = job.status is JobStatus.SUCCEEDED and isinstance(outcome, Payload)
        return self._change(entry, job, result=outcome if is_result else None)

    # --8<-- [end:claim]

    @in_turn
    def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        renewals: list[Renewal] = []
        for lease in leases:
            try:
                job = self._held(lease).job
            except LeaseLostError:
                renewals.append(Renewal(lease, is_lost=True, cancel_requested=False))
            else:
                self._note(job, lease_expires_at=self._clock() + lease_seconds)
                renewals.append(Renewal(lease, is_lost=False, cancel_requested=job.cancel_requested))
        return renewals

    @in_turn
    def release(self, lease: Lease, *, is_counted: bool = False) -> Job:
        entry = self._held(lease)
        if entry.job.cancel_requested:
            return self._change(entry, end_job(entry.job, None, now=self._clock()))
        return self._change(
            entry, requeue_job(entry.job, is_counted=is_counted, assigned_worker=entry.job.assigned_worker)
        )

    @in_turn
    def request_cancel(self, job_id: str) -> Job | None:
        entry = self._find(job_id)
        if entry is None or entry.job.status.is_final or entry.job.cancel_requested:
            return None if entry is None else entry.job
        if entry.job.status is JobStatus.PENDING:
            return self._change(entry, end_job(entry.job, None, now=self._clock()))
        return self._change(entry, msgspec.structs.replace(entry.job, cancel_requested=True))

    @in_turn
    def reap(self) -> list[Job]:
        lost = [(entry, reap_job(entry.job, now=self._clock())) for entry in self._entries.values()]
        return [self._change(entry, job) for entry, job in lost if job is not None]

    # --- the processes that share the store: there is one at a time ---

    @in_turn
    def heartbeat(self, worker_id: str, *, lease_seconds: float) -> None:
        self._alive_until[worker_id] = self._clock() + lease_seconds

    @in_turn
    def workers(self) -> list[str]:
        return list(self._alive_until)

    @in_turn
    def expire_worker(self, worker_id: str) -> None:
        self._alive_until.pop(worker_id, None)
        for held in self._slots.values():
            for holder in [holder for holder in held if holder.startswith(f"{worker_id} ")]:
                del held[holder]
        for job in [
            job for job in self._jobs() if job.assigned_worker == worker_id and job.status is JobStatus.EXECUTING
        ]:
            self._note(job, lease_expires_at=self._clock())

    @in_turn
    def adopt(self, worker_id: str, *, tools: Collection[str], limit: int = 1000) -> list[Job]:
        living = {worker_id, *(other for other, until in self._alive_until.items() if until > self._clock())}
        waiting = [job for job in self._jobs() if job.status is JobStatus.PENDING and job.tool in tools]
        return [
            self._note(job, assigned_worker=worker_id)
            for job in [job for job in waiting if job.assigned_worker not in living][:limit]
        ]

    # --- looking around ---

    @in_turn
    def list_jobs(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
            raise BadRequestError(f"cursor {cursor[:80]!r} is not one that this service gave out")
        self._forget_expired()
        found = [
            entry
            for entry in reversed(self._entries.values())
            if (cursor is None or entry.number < int(cursor))
            and (tool is None or entry.job.tool == tool)
            and (not statuses or entry.job.status in statuses)
        ]
        return JobPage(
            [entry.job for entry in found[:limit]],
            next_cursor=str(found[limit - 1].number) if len(found) > limit else None,
        )

    @in_turn
    def counts(self) -> dict[tuple[str, JobStatus], int]:
        return dict(Counter((job.tool, job.status) for job in self._jobs()))

    @in_turn
    def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        places: Counter[str] = Counter()
        positions = {}
        for job in self._jobs():
            if job.status is JobStatus.PENDING:
                places[job.tool] += 1
                positions[job.id] = places[job.tool]
        return {job_id: positions[job_id] for job_id in job_ids if job_id in positions}

    # --- events ---

    # --8<-- [start:events]
    @in_turn
    def append_events(
        self, lease: Lease, events: Sequence[NewEvent], *, dropped: int = 0, batch: int | None = None
    ) -> int:
        entry = self._held(lease)
        this_batch = entry.batch if batch is None else (lease.token, batch)
        if batch is not None and this_batch <= entry.batch:
            return entry.last_seq  # it was sent again: its answer was lost
        first = entry.last_seq + dropped + 1
        log = [report_event(seq, event) for seq, event in enumerate(events, first)]
        progress = next((event.progress for event in reversed(events) if event.progress), entry.job.progress)
        self._change(
            entry,
            msgspec.structs.replace(entry.job, progress=progress),
            events=(*entry.events, *log)[-self._event_log_size :],
            last_seq=log[-1].seq,
            batch=this_batch,
        )
        return log[-1].seq

    # --8<-- [end:events]

    @in_turn
    def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        entry = self._find(job_id)
        if entry is None:
            return None
        events = [event for event in entry.events if event.seq > after][:limit]
        return EventPage(events, entry.last_seq, entry.job.status.is_final)

    # --8<-- [start:watch]
    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        return self._subscriptions.subscribe(on_change)

    def _tell(self, change: Change) -> None:
        self._loop.call_soon_threadsafe(self._subscriptions.publish, change)

    # --8<-- [end:watch]

    # --- slots ---

    @in_turn
    def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        now = self._clock()
        held = self._slots[name] = {h: until for h, until in self._slots.get(name, {}).items() if until > now}
        if holder not in held and len(held) >= limit:
            return False
        held[holder] = now + lease_seconds
        return True

    @in_turn
    def release_slot(self, name: str, holder: str) -> None:
        self._slots.get(name, {}).pop(holder, None)

    # --- the outbox ---

    @in_turn
    def register_sink(self, sink: str) -> None:
        self._sinks.add(sink)

    @in_turn
    def undelivered(
        self, sink: str, *, limit: int = 100, worker_id: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        now = self._clock()
        deliveries: list[Delivery] = []
        for job_id, entry in self._entries.items():
            confirmed = entry.to_tell.get(sink, entry.last_seq)
            is_waiting = sink in entry.to_tell and (confirmed < entry.last_seq or entry.job.status.is_final)
            if len(deliveries) == limit or not is_waiting:
                continue
            home = entry.job.home
            if worker_id is not None and home != worker_id:
                other, until = self._deliveries.get((sink, job_id), (worker_id, 0.0))
                if self._alive_until.get(home or "", 0.0) > now or (other != worker_id and until > now):
                    continue
                self._deliveries[sink, job_id] = (worker_id, now + lease_seconds)
            deliveries.append(Delivery(job_id, confirmed))
        return deliveries

    @in_turn
    def mark_delivered(self, sink: str, job_id: str, *, after_seq: int, is_complete: bool) -> None:
        entry = self._find(job_id)
        if entry is not None and sink in entry.to_tell:
            others = {name: seq for name, seq in entry.to_tell.items() if name != sink}
            told = {} if is_complete else {sink: max(after_seq, entry.to_tell[sink])}
            self._write(msgspec.structs.replace(entry, to_tell=others | told))

    # --- retention ---

    @in_turn
    def purge(self) -> int:
        long_ago = self._clock() - 3600.0
        self._alive_until = {worker_id: until for worker_id, until in self._alive_until.items() if until > long_ago}
        return self._forget_expired()

    # --- inside: on the thread ---

    # --8<-- [start:change]
    def _change(self, before: Entry, job: Job, **members: Any) -> Job:
        """Write what has become of a job, with the entry of its log if its status is another; and tell."""
        after = msgspec.structs.replace(before, job=job, **members)
        if job.status is not before.job.status:
            event = status_event(after.last_seq + 1, job.status, self._clock())
            events = (*after.events, event)[-self._event_log_size :]
            after = msgspec.structs.replace(after, events=events, last_seq=event.seq)
        if job.status.is_final:
            after = msgspec.structs.replace(after, request=None)
        self._write(after)
        self._tell(Change(job.id, job.status, job.cancel_requested))
        return job

    def _write(self, entry: Entry) -> None:
        path = self._directory / f"{entry.number:012}.json"
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(entry))
            file.flush()
            os.fsync(file.fileno())  # the bytes
        new.replace(path)  # all or nothing
        self._sync_directory()  # the name
        self._entries[entry.job.id] = entry  # only now: a write that failed has changed nothing

    # --8<-- [end:change]

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _note(self, job: Job, **members: Any) -> Job:
        """Change what need not outlive the process."""
        after = msgspec.structs.replace(job, **members)
        self._entries[job.id] = msgspec.structs.replace(self._entries[job.id], job=after)
        return after

    def _forget(self, entry: Entry) -> None:
        (self._directory / f"{entry.number:012}.json").unlink(missing_ok=True)
        self._sync_directory()
        del self._entries[entry.job.id]

    def _forget_expired(self) -> int:
        now = self._clock()
        expired = [e for e in self._entries.values() if e.job.expires_at is not None and e.job.expires_at <= now]
        for entry in expired:
            self._forget(entry)
        return len(expired)

    def _jobs(self) -> Iterator[Job]:
        self._forget_expired()
        return (entry.job for entry in self._entries.values())

    def _find(self, job_id: str) -> Entry | None:
        entry = self._entries.get(job_id)
        is_expired = entry is not None and entry.job.expires_at is not None and entry.job.expires_at <= self._clock()
        return None if is_expired else entry

    # --8<-- [start:held]
    def _held(self, lease: Lease) -> Entry:
        """The entry of a job whose current lease this is: each write of a running job asks."""
        entry = self._entries.get(lease.job_id)
        if entry is None or entry.job.status is not JobStatus.EXECUTING or entry.job.lease_token != lease.token:
            raise LeaseLostError(f"job '{lease.job_id}' is no longer held with token {lease.token}")
        return entry

    # --8<-- [end:held]
