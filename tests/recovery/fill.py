"""Fills a store with jobs that wait in this process, says so, and waits to be killed. As `service.py` by environment.

python fill.py COUNT
"""

import asyncio
import sys
import time

from lambda_kit import Job
from lambda_kit.core.model.job import Payload
from lambda_kit.core.runtime.worker_id import new_worker_id
from tests.recovery.service import the_store

CALLERS = 32


async def main(count: int) -> None:
    worker_id = new_worker_id()
    numbers = iter(range(count))
    async with the_store() as store:
        await store.heartbeat(worker_id, lease_seconds=1000.0)

        async def create() -> None:
            for n in numbers:
                job = Job(id=f"waits-{n}", tool="free", requested_at=time.time(), assigned_worker=worker_id)
                await store.create(job, Payload(b'{"text": "waits"}', "application/json"))

        await asyncio.gather(*(create() for _ in range(CALLERS)))
        print("filled", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
