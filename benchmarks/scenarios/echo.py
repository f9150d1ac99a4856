"""Echo jobs, as many as go: sync and async tools, one connection and many."""

from collections.abc import Iterator

from benchmarks.contestants import Contestant, Server, serving
from benchmarks.errors import ContestantError
from benchmarks.load import LoadResult
from benchmarks.processes import cpu_seconds
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.settings import Settings

__all__ = ["EchoScenario", "cpu_key", "rate_key"]


def rate_key(tool: str, connections: int) -> str:
    """The key of the row with the jobs per second."""
    return f"echo.{tool}.{connections}.rate"


def cpu_key(tool: str, connections: int) -> str:
    """The key of the row with the server's processor time per job."""
    return f"echo.{tool}.{connections}.cpu"


class EchoScenario:
    """Jobs per second and the time that one takes."""

    name = "echo"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return bool(contestant.tools & {"sync", "async"})

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        settings = bench.settings
        with serving(contestant, bench.pythons[contestant.name], bench.cores) as server:
            for tool in ("sync", "async"):
                if tool not in contestant.tools:
                    continue
                for connections in settings.connections:
                    if settings.warmup_seconds:
                        _load(bench, server, contestant, tool, connections, settings.warmup_seconds)
                    used = cpu_seconds(server.pid)
                    result = _load(bench, server, contestant, tool, connections, settings.run_seconds)
                    yield from _measurements(tool, connections, result)
                    now = cpu_seconds(server.pid)
                    if used is not None and now is not None:
                        yield Measurement(_cpu_row(tool, connections), 1e6 * (now - used) / result.requests)


def _load(
    bench: Bench, server: Server, contestant: Contestant, tool: str, connections: int, seconds: int
) -> LoadResult:
    """Load one tool for a while, which it must stand without a failure."""
    path = f"/{tool}"
    result = bench.load.measure(server, path, connections=connections, seconds=seconds, cores=bench.cores)
    if result.failures or not result.requests:
        raise ContestantError(
            f"{contestant.name}: {tool} echo on {connections} connections: "
            f"{result.failures} of {result.requests} requests failed"
        )
    return result


def _label(tool: str, connections: int) -> str:
    return f"{tool} echo, {connections} connection{'s' if connections > 1 else ''}"


def _cpu_row(tool: str, connections: int) -> Row:
    title = f"{_label(tool, connections)}, processor time of the server per job"
    return Row(key=cpu_key(tool, connections), title=title, unit="µs")


def _measurements(tool: str, connections: int, result: LoadResult) -> Iterator[Measurement]:
    label = _label(tool, connections)
    rate = Row(key=rate_key(tool, connections), title=label, unit="jobs/s")
    yield Measurement(rate, result.requests / result.seconds)
    for share, value in (("p50", result.p50_ms), ("p99", result.p99_ms)):
        row = Row(key=f"echo.{tool}.{connections}.{share}", title=f"{label}, {share}", unit="ms", digits=2)
        yield Measurement(row, value)
