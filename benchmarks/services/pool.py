"""The upper bound of worker processes: `concurrent.futures.ProcessPoolExecutor`, with neither HTTP nor jobs.

Bytes go to a worker, are validated, and come back encoded, as often as it goes; prints the same line of JSON as
`clients/wrk.lua`.
"""

import argparse
import asyncio
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import uvloop

from benchmarks.clients.load import summary
from benchmarks.services.models import EchoRequest, EchoResult


def echo(body: bytes) -> bytes:
    """Echo a message, in a worker."""
    return EchoResult(echo=EchoRequest.model_validate_json(body).message).model_dump_json().encode()


async def _client(pool: ProcessPoolExecutor, body: bytes, expected: bytes, until: float, latencies: list[float]) -> int:
    loop, wrong = asyncio.get_running_loop(), 0
    while (begin := time.perf_counter()) < until:
        answer = await loop.run_in_executor(pool, echo, body)
        latencies.append(time.perf_counter() - begin)
        wrong += answer != expected
    return wrong


async def _load(args: argparse.Namespace) -> dict[str, float]:
    body = json.dumps({"message": args.message}).encode()
    expected = echo(body)
    # The same start method as lambda_kit's.
    with ProcessPoolExecutor(args.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        # Each worker is started by a job that finds no other one idle, and then needs a while to come up.
        await asyncio.gather(*(_client(pool, body, expected, time.perf_counter() + 1, []) for _ in range(args.workers)))
        latencies: list[float] = []
        begin = time.perf_counter()
        wrong = await asyncio.gather(
            *(_client(pool, body, expected, begin + args.seconds, latencies) for _ in range(args.connections))
        )
        return summary(latencies, time.perf_counter() - begin, sum(wrong))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, required=True, help="how many jobs are under way at once")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--message", required=True)
    print(json.dumps(uvloop.run(_load(parser.parse_args()))))
