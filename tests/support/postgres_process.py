"""Makes and finishes jobs in a PostgreSQL store until it is killed; says on stdout which were acknowledged.

Run as ``python -m tests.support.postgres_process URL SCHEMA NAME``.
"""

import asyncio
import sys

from lambda_kit import Job
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease


async def write(store: PostgresJobStore, name: str) -> None:
    number = 0
    while True:
        number += 1
        job_id = f"{name}-{number}"
        await store.create(Job(id=job_id, tool="greet", requested_at=0.0), Payload(b"{}", "application/json"))
        print("created", job_id, flush=True)
        claim = await store.claim(job_id, worker_id=name, lease_seconds=10)
        assert claim is not None
        await store.finish(Lease(job_id, claim.job.lease_token), Payload(job_id.encode(), "text/plain"))
        print("finished", job_id, flush=True)


async def main(url: str, schema: str, name: str) -> None:
    async with PostgresJobStore(url, schema=schema) as store:
        await asyncio.gather(*(write(store, f"{name}-{n}") for n in range(8)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
