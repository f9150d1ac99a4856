"""Remembers, in memory only, the authorizations that deliveries carry."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.retry import Outage

__all__ = ["DeliveryAuthorizations"]

logger = logging.getLogger("lambda_kit.delivery")

_JobKey = tuple[str, float]
"""A job's id, and when it was requested: its id may be that of an earlier one, which has expired."""

_MOST_BYTES = 64 * 2**20
"""What is remembered in all: a sink may be away for a day, with new jobs all the while."""
_ENTRY_BYTES = 300
"""What a job takes beside the text of its authorization."""


class _Shared:
    """An authorization, which many jobs of one caller have."""

    __slots__ = ("jobs", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.jobs = 0
        """How many jobs have it."""


class DeliveryAuthorizations:
    """The authorizations of the jobs that are still to be delivered to a sink, in bounded memory: the oldest go first.

    Args:
        store: Knows which jobs are gone.
        outage: What is known of its absence.
        unseal: Gives the authorization that is kept with a job, where this process does not remember it.
    """

    def __init__(self, store: JobStore, outage: Outage, unseal: Callable[[Job], str | None]) -> None:
        self._store = store
        self._outage = outage
        self._unseal = unseal
        self._by_job: dict[_JobKey, _Shared] = {}
        self._shared: dict[str, _Shared] = {}
        self._size_bytes = 0
        self._dropped = 0

    @property
    def job_ids(self) -> set[str]:
        """The jobs whose authorizations are remembered."""
        return {job_id for job_id, _ in self._by_job}

    def remember(self, job: Job, authorization: str | None) -> None:
        """Keep the authorization of a job, if it has one."""
        if authorization is None:
            return
        key = _key(job)
        self._pop(key)
        shared = self._shared.get(authorization)
        if shared is None:
            shared = self._shared[authorization] = _Shared(authorization)
            self._size_bytes += len(authorization)
        shared.jobs += 1
        self._by_job[key] = shared
        self._size_bytes += _ENTRY_BYTES
        while self._size_bytes > _MOST_BYTES and len(self._by_job) > 1:
            self._drop_oldest()

    def forget(self, job: Job) -> None:
        """Drop it. No error if there is none."""
        self._pop(_key(job))

    def remembered(self, job: Job | None) -> str | None:
        """What is remembered of a job. None: nothing."""
        shared = None if job is None else self._by_job.get(_key(job))
        return None if shared is None else shared.text

    def of(self, job: Job) -> str | None:
        """The authorization of a job. None: it has none, or it is not known."""
        authorization = self.remembered(job)
        if authorization is None and (authorization := self._unseal(job)) is not None:
            self.remember(job, authorization)
        return authorization

    async def sweep(self, *, every_seconds: float, keep_seconds: float) -> None:
        """Drop those of jobs that nobody delivers here any more, until it is cancelled.

        Args:
            every_seconds: How often to look.
            keep_seconds: For how long to keep that of a job which is gone for clients: it may wait for the sink.
        """
        missing: dict[_JobKey, float] = {}
        while True:
            await asyncio.sleep(every_seconds)
            now = self._store.now()
            still = {key: missing.get(key, now) for key in list(self._by_job) if await self._is_gone(key)}
            for key, since in still.items():
                if key in missing and now - since >= keep_seconds:  # it may be remembered before it is made
                    self._pop(key)
            missing = still

    def _pop(self, key: _JobKey) -> None:
        shared = self._by_job.pop(key, None)
        if shared is None:
            return
        self._size_bytes -= _ENTRY_BYTES
        shared.jobs -= 1
        if not shared.jobs:
            del self._shared[shared.text]
            self._size_bytes -= len(shared.text)

    def _drop_oldest(self) -> None:
        self._pop(next(iter(self._by_job)))
        self._dropped += 1
        if self._dropped & (self._dropped - 1) == 0:  # the first, the second, the fourth, ...
            logger.warning(
                "too many deliveries wait: the authorizations of %d jobs are no longer in memory, and are sent only if "
                "the store has them encrypted",
                self._dropped,
            )

    async def _is_gone(self, key: _JobKey) -> bool:
        """Whether a job is gone for clients."""
        job = await self._outage.until_over("the outbox", partial(self._store.get, key[0]), away=Exception)
        return job is None or _key(job) != key


def _key(job: Job) -> _JobKey:
    return job.id, job.requested_at
