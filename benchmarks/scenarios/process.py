"""Echo jobs in worker processes, beside the same on threads and a bare pool without HTTP."""

import json
from collections.abc import Iterator

from benchmarks.contestants import MESSAGE, OURS, OURS_PROCESS, POOL, Contestant, serving
from benchmarks.errors import ContestantError
from benchmarks.load import LoadResult
from benchmarks.processes import run
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.services.sizes import WORKERS
from benchmarks.settings import Settings

__all__ = ["PROCESS_P50", "ProcessScenario"]

_CONNECTIONS = (1, 8)
_PLACES = {"sync": "on a thread", "process": "in a worker process"}
_SPARE_SECONDS = 60.0


def _row(tool: str, connections: int, what: str) -> Row:
    title = f"echo {_PLACES[tool]}, {connections} connection{'s' if connections > 1 else ''}"
    key = f"process.{tool}.{connections}.{what}"
    if what == "rate":
        return Row(key=key, title=title, unit="jobs/s")
    return Row(key=key, title=f"{title}, {what}", unit="ms", digits=2)


PROCESS_P50 = _row("process", 1, "p50")


class ProcessScenario:
    """Jobs per second and the time that one takes, where it has to go to another process and back."""

    name = "process"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant in (OURS, POOL)

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        loads = self._pool_loads(bench) if contestant is POOL else self._served_loads(bench)
        for tool, connections, result in loads:
            if result.failures or not result.requests:
                raise ContestantError(
                    f"{contestant.name}: echo {_PLACES[tool]} on {connections} connections: "
                    f"{result.failures} of {result.requests} requests failed"
                )
            yield Measurement(_row(tool, connections, "rate"), result.requests / result.seconds)
            yield Measurement(_row(tool, connections, "p50"), result.p50_ms)

    @staticmethod
    def _served_loads(bench: Bench) -> Iterator[tuple[str, int, LoadResult]]:
        seconds, cores, measure = bench.settings.control_seconds, bench.cores, bench.load.measure
        with serving(OURS_PROCESS, bench.pythons[OURS.name], cores) as server:
            for tool in _PLACES:
                if warmup := bench.settings.warmup_seconds:
                    measure(server, f"/{tool}", connections=max(_CONNECTIONS), seconds=warmup, cores=cores)
                for connections in _CONNECTIONS:
                    result = measure(server, f"/{tool}", connections=connections, seconds=seconds, cores=cores)
                    yield tool, connections, result

    @staticmethod
    def _pool_loads(bench: Bench) -> Iterator[tuple[str, int, LoadResult]]:
        seconds = bench.settings.control_seconds
        for connections in _CONNECTIONS:
            command = [bench.pythons[POOL.name], "-m", POOL.module, "--connections", str(connections)]
            command += ["--seconds", str(seconds), "--workers", str(WORKERS), "--message", MESSAGE]
            output = run(command, core=bench.cores.server, timeout_seconds=seconds + _SPARE_SECONDS)
            yield "process", connections, LoadResult(**json.loads(output))
