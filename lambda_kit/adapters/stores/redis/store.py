"""`RedisJobStore`: jobs in Redis or Valkey, shared by the replicas of a service. Needs the extra ``redis``."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from lambda_kit.adapters.stores.redis import scripts
from lambda_kit.adapters.stores.redis.indexes import RedisIndexes
from lambda_kit.adapters.stores.redis.known import Known, encode_progress, known_job, logged_event, with_progress
from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.model.events import EventPage, NewEvent
from lambda_kit.core.model.job import Job, JobStatus, Outcome, Payload
from lambda_kit.core.model.transitions import claim_job, end_job, holds_claim, reap_job, requeue_job
from lambda_kit.core.ports.store import Change, Claim, ClaimRequest, Created, Lease, Renewal
from lambda_kit.core.ports.store_records import encode_job, holds_lease, lease_lost

__all__ = ["RedisJobStore"]

_SMALL_BYTES = 64 * 1024  # longer bodies are fetched by a call of their own
_GRACE_SECONDS = 60.0  # so that purge comes before Redis, which knows nothing of indexes
_LONGEST_MS = 10**15
_BATCH = 100


class RedisJobStore(RedisIndexes):
    """Keeps jobs in Redis 6 or later, or in Valkey, for any number of processes on any number of machines.

    **What is safe, and when.** When a call returns, its change was made by the Redis server: it outlives a kill -9 of
    this process and of all others. Whether it outlives the server is the server's own matter, by its configuration:

    - ``appendonly no`` (the default of many): a restart loses what came after the last snapshot, perhaps all.
    - ``appendonly yes`` with ``appendfsync everysec``: a power loss loses the last second; so may a crash of the
      server while its disk is slow.
    - ``appendonly yes`` with ``appendfsync always``: a change is on the disk when its call returns: nothing is lost.
    - A replica that takes over lacks what the primary had not yet sent: replication is asynchronous.

    Set ``maxmemory-policy noeviction``: with any other Redis drops jobs when its memory is full (a warning is logged at
    the start). With it a full Redis refuses new jobs (`UnavailableError`) while those there can still end.

    **Retention.** A final job is gone from every answer at its `Job.expires_at`. `purge` removes it and its entries in
    the indexes, in batches of a hundred. Where nobody purges Redis itself drops the bodies and records a minute later.

    **Cluster.** All keys have one hash tag, ``{prefix}``, so that each step is atomic: one store is in one slot.

    **Large bodies.** Requests and results of 50 MB work; over Redis's own limit (``proto-max-bulk-len``, 512 MB) they
    are refused. Those of more than 64 KB go over connections of their own, so that short calls do not wait for them.

    **Connections.** `max_connections` for calls, which many callers share, one for the subscription, and up to four
    for large bodies while there are some. While Redis is away calls raise `UnavailableError` within about
    `timeout_seconds`, those with large bodies within a minute; they work again when it is back. Subscribers are told
    then to look at everything.

    Args:
        url: ``redis://user:password@host:6379/0``; ``rediss://`` for TLS, ``unix:///path`` for a socket. The query may
            have the options of redis-py, such as ``?ssl_ca_certs=/path``. It is never logged.
        prefix: What the keys begin with. Stores of one prefix in one Redis database are one store.
        max_connections: How many connections there are for calls.
        timeout_seconds: How long Redis may take for an answer.
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. The clocks of those who share a store must nearly agree.

    Raises:
        MissingExtraError: if redis-py is not installed.
        ConfigurationError: if the URL or the prefix is malformed.
    """

    # --- the life of a job ---

    async def create(
        self, job: Job, request: Payload, *, max_unfinished: int | None = None, claim: ClaimRequest | None = None
    ) -> Created:
        if claim is not None:
            job = claim.claimed(job, self._clock())
        write_id = self._session.new_write_id()
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
            job.requested_at,
            "" if job.lease_expires_at is None else job.lease_expires_at,
            job.home or "",
            "" if job.started_at is None else job.started_at,
            blobs=(encode_job(job), request.content),
        )
        if answer[0] < 0:
            raise QueueFullError(f"tool '{job.tool}' has {max_unfinished} jobs waiting or running: come back later")
        if answer[0] == 0:
            existing = known_job(answer[1])
            assert existing is not None  # noqa: S101 - for the type checker: the script has just seen it
            return Created(existing.job, is_new=False)
        self._known[job.id] = Known(job, write_id, answer[1])
        self._session.publish(Change(job.id, job.status))
        return Created(job, is_new=True)

    async def discard(self, job_id: str) -> None:
        self._known.pop(job_id, None)
        if await self._session.write(scripts.DISCARD, job_id, self._session.new_write_id()):
            self._session.publish(Change(job_id))

    async def get_result(self, job_id: str) -> Payload | None:
        state, is_there, _, content = await self._run(scripts.READ_BODY, job_id, "b", _SMALL_BYTES)
        job = self._unless_expired(known_job(state))
        if job is None or not is_there:
            return None
        if content is None:
            content = await self._session.bulk(b"HGET", self._session.key("job", job_id), b"b")
        return None if content is None else Payload(content, job.result_content_type or "")

    async def claim(
        self, job_id: str, *, worker_id: str, lease_seconds: float, claim_id: str | None = None
    ) -> Claim | None:
        known = self._known.get(job_id)
        if known is None or known.job.status is not JobStatus.PENDING:
            known = await self._read(job_id)
        while known is not None and known.job.status is JobStatus.PENDING:
            now = self._clock()
            after = claim_job(known.job, worker_id=worker_id, lease_seconds=lease_seconds, now=now, claim_id=claim_id)
            made, known, body = await self._change(known, after, now, wants_request=True)
            if made is not None:
                return await self._claimed(made, *body)
        if known is None or claim_id is None or not holds_claim(known.job, worker_id, claim_id):
            return None
        _, _, content_type, content = await self._run(scripts.READ_BODY, job_id, "q", _SMALL_BYTES)
        return await self._claimed(known.job, content_type, content)

    async def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        renewals: list[Renewal] = []
        for start in range(0, len(leases), _BATCH):
            batch = leases[start : start + _BATCH]
            names = [name for lease in batch for name in (lease.job_id, str(lease.token))]
            answers = await self._run(scripts.RENEW, self._clock() + lease_seconds, *names)
            renewals += [
                Renewal(lease, is_lost=answer == b"-", cancel_requested=answer == b"1")
                for lease, answer in zip(batch, answers, strict=True)
            ]
        return renewals

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        return await self._give_up(lease, lambda job, now: end_job(job, outcome, now=now), outcome)

    async def release(self, lease: Lease, *, is_counted: bool = False) -> Job:
        def after(job: Job, now: float) -> Job:
            if job.cancel_requested:
                return end_job(job, None, now=now)
            return requeue_job(job, is_counted=is_counted, assigned_worker=job.assigned_worker)

        return await self._give_up(lease, after)

    async def request_cancel(self, job_id: str) -> Job | None:
        known = await self._read(job_id)
        while known is not None and not known.job.status.is_final and not known.job.cancel_requested:
            if known.job.status is JobStatus.PENDING:
                now = self._clock()
                made, known, _ = await self._change(known, end_job(known.job, None, now=now), now)
            else:
                made, known = await self._ask_to_cancel(known)
            if made is not None:
                return made
        return self._unless_expired(known)

    async def reap(self) -> list[Job]:
        reaped: list[Job] = []
        while True:
            now = self._clock()
            overdue = [known_job(state) for state in await self._run(scripts.OVERDUE, now, _BATCH)]
            changes = [
                self._change(known, after, now, is_overdue=True)
                for known in overdue
                if known is not None and (after := reap_job(known.job, now=now)) is not None
            ]
            made = [job for job, _, _ in await asyncio.gather(*changes) if job is not None]
            reaped += made
            if len(overdue) < _BATCH or not made:
                return reaped

    # --- events ---

    async def append_events(
        self, lease: Lease, events: Sequence[NewEvent], *, dropped: int = 0, batch: int | None = None
    ) -> int:
        progress = next((event.progress for event in reversed(events) if event.progress is not None), None)
        answer = await self._session.write(
            scripts.APPEND,
            lease.job_id,
            self._session.new_write_id(),
            str(lease.token),
            dropped,
            "" if batch is None else batch,
            self._event_log_size,
            "" if progress is None else encode_progress(progress),
            *(member for event in events for member in (event.timestamp, event.schema)),
            blobs=[event.body for event in events],
        )
        last: int = answer[0]
        if last < 0:
            raise lease_lost(lease)
        self._session.publish(Change(lease.job_id, JobStatus.EXECUTING, answer[1] == b"1"))
        return last

    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        answer = await self._run(scripts.READ_LOG, job_id, max(after, 0) + 1, limit)
        if answer is None:
            return None
        last_seq, expires_at, entries = answer
        if expires_at and float(expires_at) <= self._clock():
            return None
        return EventPage([logged_event(*entry) for entry in entries], int(last_seq), bool(expires_at))

    # --- inside ---

    async def _claimed(self, job: Job, content_type: bytes | None, content: bytes | None) -> Claim | None:
        if content is None:
            content = await self._session.bulk(b"HGET", self._session.key("job", job.id), b"q")
        if content is None or content_type is None:  # it has ended meanwhile
            return None
        return Claim(job, Payload(content, content_type.decode()))

    async def _give_up(self, lease: Lease, next_job: Callable[[Job, float], Job], outcome: Outcome = None) -> Job:
        """End or requeue a job that the caller holds."""
        known = self._known.get(lease.job_id)
        if known is None or not holds_lease(known.job, lease):
            known = await self._read(lease.job_id)
        while known is not None and holds_lease(known.job, lease):
            now = self._clock()
            after = next_job(known.job, now)
            made, known, _ = await self._change(known, after, now, outcome=outcome)
            if made is not None:
                return made
        raise lease_lost(lease)

    async def _ask_to_cancel(self, known: Known) -> tuple[Job | None, Known | None]:
        write_id = self._session.new_write_id()
        answer = await self._session.write(scripts.ASK_TO_CANCEL, known.job.id, write_id, known.write)
        now_known = known_job(answer[1]) if answer[0] >= 0 else None
        if answer[0] < 1 or now_known is None:
            return None, now_known
        if known.job.id in self._known:
            self._known[known.job.id] = now_known
        self._session.publish(Change(known.job.id, now_known.job.status, cancel_requested=True))
        return now_known.job, now_known

    async def _change(
        self,
        known: Known,
        after: Job,
        now: float,
        *,
        outcome: Outcome = None,
        is_overdue: bool = False,
        wants_request: bool = False,
    ) -> tuple[Job | None, Known | None, tuple[Any, Any]]:
        """Write a record if the one that it was made of is still there.

        Returns:
            The new record, or None and what is there now; then, if asked for, the request's type and short content.
        """
        write_id = self._session.new_write_id()
        blobs = [encode_job(after)]
        if after.status is JobStatus.SUCCEEDED and isinstance(outcome, Payload):
            blobs.append(outcome.content)
        answer = await self._session.write(
            scripts.CHANGE,
            after.id,
            write_id,
            known.write,
            known.lease_expires_at if is_overdue else "",
            now,
            self._event_log_size,
            after.status.value,
            after.assigned_worker or "",
            "" if after.lease_expires_at is None else after.lease_expires_at,
            "" if after.expires_at is None else after.expires_at,
            str(after.lease_token),
            after.home or "",
            "1" if after.cancel_requested else "0",
            min(int((after.ttl_seconds + _GRACE_SECONDS) * 1000), _LONGEST_MS),
            _SMALL_BYTES if wants_request else "",
            blobs=blobs,
        )
        if answer[0] < 1:
            self._known.pop(after.id, None)
            return None, known_job(answer[1]) if answer[0] == 0 else None, (None, None)
        after = with_progress(after, answer[1])
        if after.status.is_final:
            self._known.pop(after.id, None)
        else:
            self._known[after.id] = Known(after, write_id, known.number)
        self._session.publish(Change(after.id, after.status, after.cancel_requested))
        return after, None, (answer[2], answer[3]) if wants_request else (None, None)
