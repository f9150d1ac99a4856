"""Works on a store without a service: says whether it is there, fills it, removes what a service has left in it."""

import argparse
import asyncio
import json
import time

from benchmarks.contestants import ECHO_BODY
from benchmarks.services.ours import EchoAsync, server
from benchmarks.services.store_places import forget, store_at
from lambda_kit import ConfigurationError, MissingExtraError, UnavailableError
from lambda_kit.core.model.job import Job, Payload, new_job_id
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.worker_id import new_worker_id

__all__ = ["main"]

_AT_ONCE = 100
_LEASE_SECONDS = 3600.0  # nothing but the end of this process is to free its jobs


async def _why_not_there(place: str) -> str | None:
    """Why the store can't be opened. None: it can."""
    try:
        async with store_at(place):
            return None
    except (UnavailableError, ConfigurationError, MissingExtraError) as error:
        return str(error)


async def _fill(place: str, count: int) -> str:
    """Leave so many echo jobs that wait in a process which is gone: this one, soon. The id of the oldest."""
    tool = next(name for name, bound in server.tools.items() if isinstance(bound.tool, EchoAsync))
    worker_id, now = new_worker_id(), time.time()
    jobs = [
        Job(id=new_job_id(), tool=tool, requested_at=now - count + n, assigned_worker=worker_id) for n in range(count)
    ]
    async with store_at(place) as store:
        await store.heartbeat(worker_id, lease_seconds=_LEASE_SECONDS)
        # the stores keep jobs in the order in which they came: the oldest is the first
        await _create(store, jobs[:1])
        for start in range(1, count, _AT_ONCE):
            await _create(store, jobs[start : start + _AT_ONCE])
    return jobs[0].id


async def _create(store: JobStore, jobs: list[Job]) -> None:
    request = Payload(ECHO_BODY.encode(), "application/json")
    await asyncio.gather(*(store.create(job, request) for job in jobs))


def main() -> None:
    """Do what the command line says, and print the answer as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("check", "fill", "forget"))
    parser.add_argument("place")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    if args.action == "check":
        print(json.dumps(asyncio.run(_why_not_there(args.place))))
    elif args.action == "fill":
        print(json.dumps(asyncio.run(_fill(args.place, args.jobs))))
    else:
        print(json.dumps(asyncio.run(forget(args.place))))


if __name__ == "__main__":
    main()
