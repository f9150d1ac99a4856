"""What it costs to know who asks: an API key, a token that was verified before, and limits for each caller."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from benchmarks.contestants import OURS, OURS_CALLERS, Contestant, Server, serving
from benchmarks.errors import ContestantError
from benchmarks.processes import cpu_seconds
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.settings import Settings

__all__ = ["WAYS", "CallersScenario", "caller_cpu_key", "caller_rate_key"]

WAYS = {
    "anonymous": "by anybody",
    "key": "by API key",
    "token": "by a token verified before",
    "limited": "by API key, with caller limits",
}
"""How the callers of each server are known."""


def caller_rate_key(way: str, connections: int) -> str:
    """The key of the row with the jobs per second."""
    return f"callers.{way}.{connections}.rate"


def caller_cpu_key(way: str, connections: int) -> str:
    """The key of the row with the server's processor time per job."""
    return f"callers.{way}.{connections}.cpu"


class CallersScenario:
    """Async echoes by callers who are known and by those who are not, of servers side by side."""

    name = "callers"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        seconds = max(1, bench.settings.control_seconds // 2)
        with ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            python = bench.pythons[contestant.name]
            servers = {way: opened.enter_context(_serving(bench, python, way, folder)) for way in WAYS}
            for connections in bench.settings.connections:
                if bench.settings.warmup_seconds:
                    for server in servers.values():
                        _load(bench, server, connections, bench.settings.warmup_seconds)
                # what is compared is almost the same, so slices: A B C D D C B A, where whatever drifts meets all
                jobs: dict[str, int] = defaultdict(int)
                took: dict[str, float] = defaultdict(float)
                used: dict[str, float] = defaultdict(float)
                for way in (*WAYS, *reversed(WAYS)) * 2:
                    server = servers[way]
                    before = cpu_seconds(server.pid) or 0.0
                    requests, lasted = _load(bench, server, connections, seconds)
                    jobs[way] += requests
                    took[way] += lasted
                    used[way] += (cpu_seconds(server.pid) or 0.0) - before
                for way in WAYS:
                    yield Measurement(_row(way, connections), jobs[way] / took[way])
                    if used[way]:
                        yield Measurement(_cpu_row(way, connections), 1e6 * used[way] / jobs[way])


def _serving(bench: Bench, python: str, way: str, folder: Path) -> AbstractContextManager[Server]:
    path = folder / way
    return serving(
        OURS_CALLERS,
        python,
        bench.cores,
        arguments=["--callers", way, "--fields", str(path)],
        fields=lambda: json.loads(path.read_text()),
    )


def _load(bench: Bench, server: Server, connections: int, seconds: int) -> tuple[int, float]:
    """How many jobs were done, and in how many seconds."""
    result = bench.load.measure(server, "/async", connections=connections, seconds=seconds, cores=bench.cores)
    if result.failures or not result.requests:
        raise ContestantError(f"POST /async: {result.failures} of {result.requests} requests failed")
    return result.requests, result.seconds


def _title(way: str, connections: int) -> str:
    return f"async echo {WAYS[way]}, {connections} connection{'s' if connections > 1 else ''}"


def _row(way: str, connections: int) -> Row:
    return Row(key=caller_rate_key(way, connections), title=_title(way, connections), unit="jobs/s")


def _cpu_row(way: str, connections: int) -> Row:
    title = f"{_title(way, connections)}, processor time of the server per job"
    return Row(key=caller_cpu_key(way, connections), title=title, unit="µs", digits=1)
