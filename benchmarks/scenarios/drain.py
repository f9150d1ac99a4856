"""How fast a service ends once its work is done: a deployment waits for it."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

from benchmarks.clients.jobs import JobClient, run_bounded
from benchmarks.contestants import OURS, OURS_CONTROL, OURS_PROCESS, Contestant, Server, serving
from benchmarks.errors import ContestantError
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.services.sizes import WORKERS
from benchmarks.settings import Settings

__all__ = ["DrainScenario"]

_JOBS = 50
_JOB_SECONDS = 1.0
_WAIT_SECONDS = 20.0
_SECONDS = 60.0

_TITLE = f"SIGTERM with {_JOBS} async jobs running, results fetched at once: from the last job's end to the exit"
_EXITS = (
    (OURS_CONTROL, Row(key="drain.exit", title=_TITLE, unit="ms")),
    (OURS_PROCESS, Row(key="drain.exit.process", title=f"the same with {WORKERS} idle worker processes", unit="ms")),
)


class DrainScenario:
    """From the end of the last job to the end of the process, all results fetched meanwhile."""

    name = "drain"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        for served, row in _EXITS:
            with serving(served, bench.pythons[contestant.name], bench.cores, is_ended=True) as server:
                seconds = run_bounded("draining", _drain(server), seconds=_SECONDS)
                code = server.process.wait()
            if code != 0:
                raise ContestantError(f"exit code {code} after a drain")
            yield Measurement(row, 1000 * seconds)


async def _drain(server: Server) -> float:
    clients = [await JobClient.open(server.port) for _ in range(_JOBS)]
    try:
        locations = [await client.submit("/drain", {"seconds": _JOB_SECONDS}) for client in clients]
        ending = asyncio.create_task(_ended_at(server.pid))
        server.process.send_signal(signal.SIGTERM)
        waits = [
            client.result(location, wait_seconds=_WAIT_SECONDS)
            for client, location in zip(clients, locations, strict=True)
        ]
        results = await asyncio.gather(*waits)
        last: float = max(result["ended_at"] for result in results)
        return await ending - last
    finally:
        for client in clients:
            client.close()


async def _ended_at(pid: int) -> float:
    """Wait for the end of a process; when it was, by the monotonic clock."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(pid)
    try:
        # Its descriptor becomes readable at that moment: no polling.
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
        return time.monotonic()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
