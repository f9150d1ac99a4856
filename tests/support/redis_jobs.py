"""Jobs in a `RedisJobStore`, and key prefixes, for its tests."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from lambda_kit import Job
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease
from tests.support.redis_server import forget_redis_keys, need_redis

__all__ = ["REQUEST", "RESULT", "a_job", "claim", "claimed", "new_prefix"]

REQUEST = Payload(b"{}", "application/json")
RESULT = Payload(b"1", "application/json")


@contextmanager
def new_prefix() -> Iterator[str]:
    """A key prefix that nobody else has, on the machine's Redis; its keys go when it is left."""
    need_redis()
    prefix = f"test-{uuid.uuid4()}"
    yield prefix
    forget_redis_keys(prefix)


def a_job(job_id: str = "job-1", **members: object) -> Job:
    """A job that waits."""
    return Job(**{"id": job_id, "tool": "greet", "requested_at": 0.0, **members})  # type: ignore[arg-type]


async def claimed(store: RedisJobStore, job_id: str = "job-1", **members: object) -> Lease:
    """A new job in the store, executing."""
    await store.create(a_job(job_id, **members), REQUEST)
    return await claim(store, job_id)


async def claim(store: RedisJobStore, job_id: str = "job-1") -> Lease:
    """Take a job that waits."""
    claim = await store.claim(job_id, worker_id="w", lease_seconds=60)
    assert claim is not None
    return Lease(job_id, claim.job.lease_token)
