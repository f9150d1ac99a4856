"""Submits sleeping jobs with `Prefer: respond-async` and says when each was accepted.

Times are of the monotonic clock, which all processes of a machine share, so that others can line theirs up.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.clients.connection import Connection, post_bytes

__all__ = ["main"]

_ACCEPTED = (202, 204)


@dataclass
class _Burst:
    """What happened so far."""

    jobs: list[tuple[float, float, str, str]] = field(default_factory=list)
    """Accepted at, latency in seconds, location, token."""

    failures: Counter[str] = field(default_factory=Counter)


async def _worker(args: argparse.Namespace, numbers: Iterator[int], burst: _Burst) -> None:
    connection: Connection | None = None
    for number in numbers:
        token = f"job-{number}"
        data = post_bytes("/sleep", json.dumps({"seconds": args.sleep, "token": token}), "Prefer: respond-async")
        begin = time.monotonic()
        try:
            connection = connection or await Connection.open(args.port)
            reply = await connection.request(data)
        except OSError as error:
            burst.failures[repr(error)] += 1
            connection = None
            continue
        now = time.monotonic()
        if reply.status in _ACCEPTED and b"location" in reply.headers:
            burst.jobs.append((now, now - begin, reply.headers[b"location"].decode(), token))
        else:
            burst.failures[f"status {reply.status}"] += 1
    if connection is not None:
        connection.close()


async def _submit(args: argparse.Namespace) -> dict[str, Any]:
    burst = _Burst()
    numbers = iter(range(args.jobs))  # shared: whichever connection is free takes the next job
    begin = time.monotonic()
    try:
        async with asyncio.timeout(args.deadline):
            await asyncio.gather(*(_worker(args, numbers, burst) for _ in range(args.connections)))
    except TimeoutError:
        missing = args.jobs - len(burst.jobs) - burst.failures.total()
        burst.failures[f"not accepted within {args.deadline:g} s"] += missing
    return {"begin": begin, "end": time.monotonic(), "jobs": burst.jobs, "failures": burst.failures}


def main() -> None:
    """Submit the burst that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--sleep", type=float, required=True)
    parser.add_argument("--deadline", type=float, required=True)
    print(json.dumps(asyncio.run(_submit(parser.parse_args()))))


if __name__ == "__main__":
    main()
