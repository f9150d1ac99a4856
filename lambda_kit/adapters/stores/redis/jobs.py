"""How `RedisJobStore` changes one job: compare-and-set of its hash, by the id of the last write."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lambda_kit.adapters.stores.redis import scripts
from lambda_kit.adapters.stores.remembered import RememberedJobs
from lambda_kit.core.model.events import STATUS_SCHEMA, Event, EventKind, first_events
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.store import Change
from lambda_kit.core.ports.store_base import Step, StoredJob, log_of
from lambda_kit.core.ports.store_records import decode_job, encode_job, is_expired, share_full

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.redis.session import RedisSession

__all__ = ["SMALL_BYTES", "STATE", "Known", "RedisJobs", "known_job", "logged_event"]

SMALL_BYTES = 64 * 1024
"""Longer bodies are fetched by a call of their own."""
STATE = (b"r", b"v", b"n", b"tb", b"le", b"seq", b"bt", b"bn")
"""The members of a job's hash that `known_job` takes."""
_GRACE_SECONDS = 60.0  # so that purge comes before Redis, which knows nothing of indexes
_LONGEST_MS = 10**15
_HAS_NO_ROOM, _IS_SHARE_FULL = -2, -3


class Known(StoredJob, gc=False):
    """A job that was in the store. It is replaced, never changed."""

    write: str
    """The id of the write that made it what it is: while that is the last one, it is still so."""
    number: int
    """The job's number by creation."""
    request: Payload | None = None
    """Where the write that made this version has read it: a claim with a short request."""


def known_job(state: Sequence[Any]) -> Known | None:
    """What an answer of the scripts' ``state`` says. None: there is no such job."""
    record, write, number, assigned_worker, lease_expires_at, last_seq, batch_token, batch = state
    if record is None:
        return None
    job = decode_job(record)
    worker_id = assigned_worker.decode() or None
    expiry = float(lease_expires_at) if lease_expires_at else None
    if (job.assigned_worker, job.lease_expires_at) != (worker_id, expiry):
        job = msgspec.structs.replace(job, assigned_worker=worker_id, lease_expires_at=expiry)
    return Known(job, int(last_seq), (int(batch_token), int(batch)), write.decode(), int(number))


def logged_event(entry_id: bytes, members: Sequence[bytes]) -> Event:
    """The event of an entry of a job's stream."""
    values = dict(zip(members[::2], members[1::2], strict=True))
    seq, timestamp = int(entry_id.partition(b"-")[0]), float(values[b"t"])
    status = values.get(b"st")
    if status is not None:
        return Event(seq, EventKind.STATUS, STATUS_SCHEMA, timestamp, status=JobStatus(status.decode()))
    return Event(seq, EventKind.REPORT, values[b"s"].decode(), timestamp, values[b"b"])


class RedisJobs(RememberedJobs[Known]):
    """The hashes of single jobs.

    Args:
        session: The connections.
        clock: Gives the time in seconds since the epoch.
        event_log_size: How many events are kept of each job.
    """

    def __init__(self, session: "RedisSession", clock: Callable[[], float], event_log_size: int) -> None:
        super().__init__(clock)
        self._session = session
        self._event_log_size = event_log_size

    async def create(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None
    ) -> Job | None:
        """Make a hash; returns the new record, or the one that is there. None: the tool has too many jobs.

        Raises:
            RateLimitedError: if its share has too many.
        """
        write_id = self._session.new_write_id()
        log = first_events(job)
        answer = await self._session.write(
            scripts.CREATE,
            job.id,
            write_id,
            self._clock(),
            "" if max_unfinished is None else max_unfinished,
            self._event_log_size,
            job.tool,
            job.idempotency_key or "",
            job.status.value,
            job.assigned_worker or "",
            str(job.lease_token),
            request.content_type,
            _number(job.lease_expires_at),
            job.home or "",
            len(log),
            job.principal or "",
            _share(job),
            "" if max_of_share is None or job.share is None else max_of_share,
            *_entries(log),
            blobs=(encode_job(job), request.content),
        )
        if max_of_share is not None and answer[0] == _IS_SHARE_FULL:
            raise share_full(max_of_share)
        if answer[0] < 0:
            return None
        if answer[0] == 0:
            existing = known_job(answer[1])
            assert existing is not None  # noqa: S101 - for the type checker: the script has just seen it
            return existing.job
        self.remember(Known(job, len(log), (0, 0), write_id, answer[1]))
        self._session.publish(Change(job.id, job.status))
        return job

    async def _fetch(self, job_id: str) -> Known | None:
        known = known_job(await self._session.command(b"HMGET", self._session.key("job", job_id), *STATE))
        return None if known is None or is_expired(known.job, self._clock()) else known

    async def _write(self, known: Known, step: Step, now: float) -> Known | None:
        write_id = self._session.new_write_id()
        job = step.job
        is_claim = job.status is JobStatus.EXECUTING and known.job.status is JobStatus.PENDING
        log = log_of(known, step, now)
        last_seq = log[-1].seq if log else known.last_seq + step.dropped
        batch = step.batch or known.batch
        log = log[-self._event_log_size :]
        answer = await self._session.write(
            scripts.CHANGE,
            job.id,
            write_id,
            known.write,
            self._event_log_size,
            job.status.value,
            job.assigned_worker or "",
            _number(job.lease_expires_at),
            _number(job.expires_at),
            str(job.lease_token),
            "1" if job.cancel_requested else "0",
            _lasting(job.ttl_seconds),
            SMALL_BYTES if is_claim else "",
            last_seq,
            *batch,
            "1" if step.is_quiet else "0",
            "0" if step.result is None else "1",
            _lasting(max(job.ttl_seconds, job.delivery_seconds)),
            _number(job.deliver_until),
            _share(job),
            *_entries(log),
            blobs=(
                encode_job(job),
                b"" if step.result is None else step.result.content,
                *(event.body for event in log if event.status is None),
            ),
        )
        if answer[0] < 1:
            self.forget(job.id)
            if answer[0] == _HAS_NO_ROOM:
                raise self._session.full()
            return None
        after = Known(job, last_seq, batch, write_id, known.number)
        self.remember(after)
        if not step.is_quiet:
            self._session.publish(Change(job.id, job.status, job.cancel_requested))
        if is_claim and answer[2] is not None:
            return msgspec.structs.replace(after, request=Payload(answer[2], answer[1].decode()))
        return after


def _lasting(seconds: float) -> int:
    """After how many milliseconds Redis itself drops a job that is to be kept for so long."""
    return min(int((seconds + _GRACE_SECONDS) * 1000), _LONGEST_MS)


def _share(job: Job) -> str:
    return "" if job.share is None else job.share.hex()


def _number(value: float | None) -> str | float:
    return "" if value is None else value


def _entries(log: Sequence[Event]) -> list[str | float]:
    """Entries of a log as the scripts' ``append`` takes them, without the bodies."""
    return [part for event in log for part in (event.seq, event.timestamp, event.schema, event.status or "")]
