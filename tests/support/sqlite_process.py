"""A process that uses a job store in an SQLite file, for tests of several of them, and of one that is killed.

python sqlite_process.py {share|endless|open} PATH [NAME [SECONDS]]
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from lambda_kit import Job, LambdaKitError, SqliteJobStore
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease

CALLERS = 8
SHARED = "shared"
BODY = Payload(b"x" * 500, "application/json")


async def run_job(store: SqliteJobStore, job_id: str) -> None:
    await store.create(Job(id=job_id, tool="greet", requested_at=time.time()), BODY)
    claim = await store.claim(job_id, worker_id="w", lease_seconds=60)
    assert claim is not None
    await store.finish(Lease(job_id, claim.job.lease_token), BODY)


async def share(path: str, name: str, seconds: str) -> None:
    """Run jobs, race for those that wait, and append to the log of one that all share; then tell what was done."""
    told: dict[str, list[str]] = {"finished": [], "claimed": [], "reported": []}

    async def work(store: SqliteJobStore, caller: int) -> None:
        n = 0
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            n += 1
            mark = f"{name}-{caller}-{n}"
            await run_job(store, mark)
            told["finished"].append(mark)
            await store.append_events(Lease(SHARED, 1), [NewEvent("urn:x", mark.encode(), 0.0)])
            told["reported"].append(mark)
            if await store.claim(f"race-{n}", worker_id=name, lease_seconds=60) is not None:
                told["claimed"].append(f"race-{n}")

    async with SqliteJobStore(path, event_log_size=1_000_000) as store:
        await asyncio.gather(*(work(store, caller) for caller in range(CALLERS)))
    print(json.dumps(told), flush=True)


async def endless(path: str) -> None:
    """Run jobs, and tell of each that is acknowledged, until the process is killed."""

    async def work(store: SqliteJobStore, caller: int) -> None:
        n = 0
        while True:
            n += 1
            await run_job(store, f"job-{caller}-{n}")
            print(f"job-{caller}-{n}", flush=True)

    async with SqliteJobStore(path) as store:
        await asyncio.gather(*(work(store, caller) for caller in range(CALLERS)))


async def open_it(path: str) -> None:
    """Open the store, keep a job, and close it; tell of the error."""
    try:
        async with SqliteJobStore(path) as store:
            await store.create(Job(id=f"job-{time.monotonic_ns()}", tool="greet", requested_at=0.0), BODY)
    except LambdaKitError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    else:
        print("fine", flush=True)


if __name__ == "__main__":
    commands: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
        "share": share,
        "endless": endless,
        "open": open_it,
    }
    asyncio.run(commands[sys.argv[1]](*sys.argv[2:]))
