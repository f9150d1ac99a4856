"""Echo jobs, as many as go: sync and async tools, one connection and many."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import product

from benchmarks.contestants import Contestant, Server, serving
from benchmarks.errors import ContestantError
from benchmarks.load import LoadResult
from benchmarks.processes import cpu_seconds
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench

__all__ = ["EchoScenario", "cpu_key", "rate_key"]

_SLICE_SECONDS = 1  # the shortest that `wrk` knows


def rate_key(tool: str, connections: int) -> str:
    """The key of the row with the jobs per second."""
    return f"echo.{tool}.{connections}.rate"


def cpu_key(tool: str, connections: int) -> str:
    """The key of the row with the server's processor time per job."""
    return f"echo.{tool}.{connections}.cpu"


class EchoScenario:
    """Jobs per second and the time that one takes.

    The servers of all contestants run at once, and each load is given in slices of a second, by turns: what slows the
    machine down for a minute slows all of them down.
    """

    name = "echo"

    def suits(self, contestant: Contestant) -> bool:
        """See `SideBySide.suits`."""
        return bool(contestant.tools & {"sync", "async"})

    def measure_together(
        self, bench: Bench, contestants: Sequence[Contestant]
    ) -> Iterator[tuple[Contestant, int, Iterable[Measurement] | ContestantError]]:
        """See `SideBySide.measure_together`."""
        settings = bench.settings
        servers: dict[Contestant, Server] = {}
        with ExitStack() as stack:
            for contestant in contestants:
                try:
                    started = serving(contestant, bench.pythons[contestant.name], bench.cores)
                    servers[contestant] = stack.enter_context(started)
                except ContestantError as error:
                    yield contestant, 0, error
            for tool, connections in product(("sync", "async"), settings.connections):
                for number in range(-1 if settings.warmup_seconds else 0, settings.slices):
                    taking_part = [contestant for contestant in servers if tool in contestant.tools]
                    shift = max(number, 0) % max(1, len(taking_part))
                    for contestant in taking_part[shift:] + taking_part[:shift]:
                        try:
                            found = list(_slice(bench, servers[contestant], contestant, tool, connections))
                        except ContestantError as error:
                            del servers[contestant]
                            yield contestant, max(number, 0), error
                            continue
                        if number >= 0:  # else it was to warm up
                            yield contestant, number, found


def _slice(bench: Bench, server: Server, contestant: Contestant, tool: str, connections: int) -> Iterator[Measurement]:
    used = cpu_seconds(server.pid)
    result = _load(bench, server, contestant, tool, connections, _SLICE_SECONDS)
    now = cpu_seconds(server.pid)
    yield from _measurements(tool, connections, result)
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
