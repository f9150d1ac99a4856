"""`RedisJobStore`: jobs in Redis or Valkey, shared by the replicas of a service. Needs the extra ``redis``."""

from collections.abc import Sequence

import msgspec

from lambda_kit.adapters.stores.redis import scripts
from lambda_kit.adapters.stores.redis.jobs import SMALL_BYTES, Known, known_job, logged_event
from lambda_kit.adapters.stores.redis.outbox import RedisOutbox
from lambda_kit.core.model.events import EventPage
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Created, Lease, Renewal
from lambda_kit.core.ports.store_base import Decide

__all__ = ["RedisJobStore"]

_BATCH = 100


class RedisJobStore(RedisOutbox):
    """Keeps jobs in Redis 6 or later, or in Valkey, for any number of processes on any number of machines.

    **What is safe, and when.** When a call returns, its change was made by the Redis server: it outlives a kill -9 of
    this process and of all others. Whether it outlives the server is the server's own matter, by its configuration:

    - ``appendonly no`` (the default of many): a restart loses what came after the last snapshot, perhaps all.
    - ``appendonly yes`` with ``appendfsync everysec``: a power loss loses the last second; so may a crash of the
      server while its disk is slow.
    - ``appendonly yes`` with ``appendfsync always``: a change is on the disk when its call returns: nothing is lost.
    - A replica that takes over lacks what the primary had not yet sent: replication is asynchronous.

    Set ``maxmemory-policy noeviction``: with any other Redis drops jobs when its memory is full (a warning is logged at
    the start). With it a full Redis refuses new jobs and events (`StoreFullError`), while those there can start, end,
    be cancelled and be purged. A result that is much longer than its request is refused, too.

    **Retention.** A final job is gone from every answer at its `Job.expires_at`. `purge` removes it and its entries in
    the indexes, in batches of a hundred. What a sink has not confirmed gets an id of its own then, and is removed when
    it is confirmed, or overdue. Where nobody purges Redis itself drops the bodies and records a minute later.

    **Cluster.** All keys have one hash tag, ``{prefix}``, so that each step is atomic: one store is in one slot.

    **Large bodies.** Requests and results of 50 MB work; over Redis's own limit (``proto-max-bulk-len``, 512 MB) they
    are refused. Those of more than 64 KB go over connections of their own, so that short calls do not wait for them.

    **Connections.** `max_connections` for calls, which many callers share, one for the subscription, and up to four
    for large bodies while there are some. While Redis is away calls raise `UnavailableError` within about
    `timeout_seconds`, those with large bodies within a minute; they work again when it is back. Subscribers get a
    `Change` of no job then.

    **Time.** Leases, and the times of a job, go by the clock of the Redis server, which is asked at the start and with
    each heartbeat. The clocks of the other machines need not agree with it.

    Args:
        url: ``redis://user:password@host:6379/0``; ``rediss://`` for TLS, ``unix:///path`` for a socket. The query may
            have the options of redis-py, such as ``?ssl_ca_certs=/path``. It is never logged.
        prefix: What the keys begin with. Stores of one prefix in one Redis database are one store.
        max_connections: How many connections there are for calls.
        timeout_seconds: How long Redis may take for an answer.
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. For tests. None: the time of the Redis server.

    Raises:
        MissingExtraError: if redis-py is not installed.
        ConfigurationError: if the URL or the prefix is malformed.
    """

    def another(self) -> "RedisJobStore":
        return RedisJobStore(**self._arguments, max_connections=1)

    # --- the life of a job ---

    async def _change(self, job_id: str, decide: Decide[Known], *, size_bytes: int = 0) -> Known | None:
        return await self._jobs.change(job_id, decide)

    async def _insert(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None = None
    ) -> Created | None:
        made = await self._jobs.create(job, request, max_unfinished, max_of_share)
        return None if made is None else Created(made, is_new=made is job)

    async def _request(self, stored: Known) -> Payload | None:
        if stored.request is not None:
            return stored.request
        _, _, content_type, content = await self._run(scripts.READ_BODY, stored.job.id, "q", SMALL_BYTES)
        if content is None:
            content = await self._session.bulk(b"HGET", self._session.key("job", stored.job.id), b"q")
        if content is None or content_type is None:  # it has ended meanwhile
            return None
        return Payload(content, content_type.decode())

    async def _overdue(self, limit: int) -> list[str]:
        states = await self._run(scripts.OVERDUE, self._clock(), limit)
        overdue = [known for state in states if (known := known_job(state)) is not None]
        for known in overdue:
            self._jobs.remember(known)
        return [known.job.id for known in overdue]

    async def get_result(self, job_id: str) -> Payload | None:
        state, is_there, _, content = await self._run(scripts.READ_BODY, job_id, "b", SMALL_BYTES)
        job = self._unless_expired(known_job(state))
        if job is None or not is_there:
            return None
        if content is None:
            content = await self._session.bulk(b"HGET", self._session.key("job", job_id), b"b")
        return None if content is None else Payload(content, job.result_content_type or "")

    async def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        renewals: list[Renewal] = []
        for start in range(0, len(leases), _BATCH):
            batch = leases[start : start + _BATCH]
            names = [name for lease in batch for name in (lease.job_id, str(lease.token))]
            expiry, write_id = self._clock() + lease_seconds, self._session.new_write_id()
            answers = await self._run(scripts.RENEW, write_id, expiry, *names)
            for lease, (answer, write) in zip(batch, answers, strict=True):
                renewals.append(Renewal(lease, is_lost=answer == b"-", cancel_requested=answer == b"1"))
                known = self._jobs.known(lease.job_id)
                if known is not None and known.write == write.decode():
                    job = msgspec.structs.replace(known.job, lease_expires_at=expiry)
                    self._jobs.remember(msgspec.structs.replace(known, job=job, write=write_id))
        return renewals

    # --- events ---

    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        # as text: Lua writes numbers above 10^14 with an exponent
        answer = await self._run(scripts.READ_LOG, job_id, str(max(after, 0) + 1), limit)
        if answer is None:
            return None
        last_seq, expires_at, entries = answer
        if expires_at and float(expires_at) <= self._clock():
            return None
        return EventPage([logged_event(*entry) for entry in entries], int(last_seq), bool(expires_at))
