"""Submits, awaits and cancels single jobs, in the process of the benchmark itself."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from benchmarks.clients.connection import Connection, Reply, bare_bytes, post_bytes
from benchmarks.errors import ContestantError

__all__ = ["JobClient", "run_bounded"]

_POLL_SECONDS = 0.002
_T = TypeVar("_T")


class JobClient:
    """Talks about jobs on one connection, one request at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, port: int) -> "JobClient":
        """Connect to a server of this machine."""
        return cls(await Connection.open(port))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def submit(self, path: str, request: dict[str, Any]) -> str:
        """Submit a job without waiting for it; where its result will be.

        Raises:
            ContestantError: it was not accepted.
        """
        reply = await self._connection.request(post_bytes(path, json.dumps(request), "Prefer: respond-async"))
        if reply.status != 204:
            raise ContestantError(f"POST {path} answered {reply.status} {reply.body[:300]!r}")
        return reply.headers[b"location"].decode()

    async def submit_running(self, path: str, request: dict[str, Any]) -> str:
        """The same, and wait until its tool has reported progress."""
        location = await self.submit(path, request)
        while "progress" not in (record := json.loads((await self._get(_of_job(location) + "/status")).body)):
            if "finished-at" in record:
                raise ContestantError(f"a job of {path} ended by itself: {record}")
            await asyncio.sleep(_POLL_SECONDS)
        return location

    async def result(self, location: str, *, wait_seconds: float) -> Any:
        """Wait for a job's result; the JSON that it is.

        Raises:
            ContestantError: there was none.
        """
        reply = await self._get(location, f"Prefer: wait={wait_seconds:g}")
        return json.loads(reply.body)

    async def cancel(self, location: str) -> float:
        """Cancel a running job, asking again while it winds down; seconds until the answer that it is cancelled.

        Raises:
            ContestantError: it was not cancelled.
        """
        loop = asyncio.get_running_loop()
        path = _of_job(location)
        begin = loop.time()
        while (reply := await self._connection.request(bare_bytes("DELETE", path))).status == 202:
            pass  # each of these answers waits a little for the end, so this does not spin
        seconds = loop.time() - begin
        if reply.status != 200 or json.loads(reply.body)["status"] != "cancelled":
            raise ContestantError(f"DELETE {path} answered {reply.status} {reply.body[:300]!r}")
        return seconds

    async def _get(self, path: str, *headers: str) -> Reply:
        reply = await self._connection.request(bare_bytes("GET", path, *headers))
        if reply.status != 200:
            raise ContestantError(f"GET {path} answered {reply.status} {reply.body[:300]!r}")
        return reply


def _of_job(location: str) -> str:
    """From where the tool has it to where all jobs are."""
    return "/jobs/" + location.rpartition("/")[2]


def run_bounded(what: str, work: Coroutine[Any, Any, _T], *, seconds: float) -> _T:
    """Run a client to its end on an event loop of its own.

    Raises:
        ContestantError: it took longer than `seconds`, or lost its connection.
    """

    async def bounded() -> _T:
        async with asyncio.timeout(seconds):
            return await work

    try:
        return asyncio.run(bounded())
    except TimeoutError:
        raise ContestantError(f"{what}: not done after {seconds:g} s") from None
    except (OSError, asyncio.IncompleteReadError) as error:
        raise ContestantError(f"{what}: {error!r}") from error
