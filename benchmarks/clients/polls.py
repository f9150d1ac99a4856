"""Keeps long polls of one running job open, one on each connection, until its stdin is closed.

Says how many are open, once all are, and at the end how many were answered or lost meanwhile, which none should be.
"""

import argparse
import asyncio
import json
import sys

from benchmarks.clients.connection import Connection, Reply, bare_bytes

__all__ = ["main"]

_AT_ONCE = 100
_ASK_SECONDS = 3600  # longer than any scenario


async def _open(port: int, location: str, count: int) -> list[asyncio.Task[Reply]]:
    data = bare_bytes("GET", location, f"Prefer: wait={_ASK_SECONDS}")
    polls: list[asyncio.Task[Reply]] = []
    while len(polls) < count:
        some = min(_AT_ONCE, count - len(polls))
        connections = await asyncio.gather(*(Connection.open(port) for _ in range(some)))
        polls += [asyncio.create_task(connection.request(data)) for connection in connections]
    return polls


async def _poll(args: argparse.Namespace) -> dict[str, int]:
    polls = await _open(args.port, args.location, args.polls)
    # A request is on its way until the server has read it: when it answers another one, it has read those before.
    probe = await Connection.open(args.port)
    for _ in range(2):
        await probe.request(bare_bytes("GET", "/_healtz"))
    probe.close()
    ended = sum(poll.done() for poll in polls)
    print(json.dumps({"open": len(polls) - ended}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    ended = sum(poll.done() for poll in polls)
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    return {"ended": ended}


def main() -> None:
    """Keep the polls open that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--location", required=True, help="where the result of the job will be")
    parser.add_argument("--polls", type=int, required=True)
    print(json.dumps(asyncio.run(_poll(parser.parse_args()))))


if __name__ == "__main__":
    main()
