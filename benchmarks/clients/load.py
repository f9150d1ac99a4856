"""A load generator for where `wrk` is missing; prints the same line of JSON as `wrk.lua`.

It is slower than the faster contestants, so it understates them; the results say when it was used.
"""

import argparse
import asyncio
import json
import time

from benchmarks.clients.connection import Connection, post_bytes

__all__ = ["main", "summary"]


async def _worker(port: int, data: bytes, status: int, expected: bytes, until: float, latencies: list[float]) -> int:
    wrong = 0
    connection = await Connection.open(port)
    try:
        while (begin := time.perf_counter()) < until:
            reply = await connection.request(data)
            latencies.append(time.perf_counter() - begin)
            wrong += reply.status != status or reply.body != expected
    except ConnectionError:
        wrong += 1
    finally:
        connection.close()
    return wrong


async def _load(args: argparse.Namespace) -> dict[str, float]:
    data, expected = post_bytes(args.path, args.body, *args.fields), args.expected.encode()
    latencies: list[float] = []
    begin = time.perf_counter()
    until = begin + args.seconds
    async with asyncio.timeout(args.seconds + 30):
        wrong = await asyncio.gather(
            *(_worker(args.port, data, args.status, expected, until, latencies) for _ in range(args.connections))
        )
    return summary(latencies, time.perf_counter() - begin, sum(wrong))


def summary(latencies: list[float], seconds: float, failures: int) -> dict[str, float]:
    """What a generator prints: latencies in seconds, of so many seconds in all."""
    latencies.sort()

    def at(share: float) -> float:
        return 1000 * latencies[int(share * (len(latencies) - 1))] if latencies else 0.0

    return {
        "requests": len(latencies),
        "seconds": seconds,
        "failures": failures,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
    }


def main() -> None:
    """Run the load that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--body", required=True)
    parser.add_argument("--expected", required=True, help="the body of every answer")
    parser.add_argument("--status", type=int, default=200, help="and its status")
    parser.add_argument("--fields", nargs="*", default=[], help="header fields, such as 'Name: value'")
    print(json.dumps(asyncio.run(_load(parser.parse_args()))))


if __name__ == "__main__":
    main()
