"""Echo jobs with each of the stores: what it costs that they outlive their process."""

from collections.abc import Iterator

from benchmarks.contestants import OURS, OURS_STORES, Contestant, serving
from benchmarks.errors import ContestantError
from benchmarks.processes import cpu_seconds
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.scenarios.store_kinds import STORES, place_of
from benchmarks.settings import Settings

__all__ = ["StoresScenario", "store_cpu_key", "store_rate_key"]

_CONNECTIONS = (1, 32)


def store_rate_key(kind: str, connections: int) -> str:
    """The row of the jobs per second with a store."""
    return f"stores.{kind}.{connections}.rate"


def store_cpu_key(kind: str, connections: int) -> str:
    """The row of the processor time per job with a store."""
    return f"stores.{kind}.{connections}.cpu"


def _rows(kind: str, connections: int) -> tuple[Row, Row, Row]:
    title = f"async echo, jobs {STORES[kind]}, {connections} connection{'s' if connections > 1 else ''}"
    rate = Row(key=store_rate_key(kind, connections), title=title, unit="jobs/s")
    cpu_title = f"{title}, processor time of the server per job"
    cpu = Row(key=store_cpu_key(kind, connections), title=cpu_title, unit="µs")
    return rate, Row(key=f"stores.{kind}.{connections}.p50", title=f"{title}, p50", unit="ms", digits=2), cpu


class StoresScenario:
    """Jobs per second and the time that one takes, by where its record is kept."""

    name = "stores"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        for kind in STORES:
            with place_of(bench, kind) as place:
                if place is not None:
                    yield from self._measure(bench, contestant, kind, place)

    @staticmethod
    def _measure(bench: Bench, contestant: Contestant, kind: str, place: str) -> Iterator[Measurement]:
        seconds, cores, load = bench.settings.control_seconds, bench.cores, bench.load.measure
        with serving(OURS_STORES, bench.pythons[contestant.name], cores, arguments=("--kept-in", place)) as server:
            if warmup := bench.settings.warmup_seconds:
                load(server, "/async", connections=max(_CONNECTIONS), seconds=warmup, cores=cores)
            for connections in _CONNECTIONS:
                used = cpu_seconds(server.pid)
                result = load(server, "/async", connections=connections, seconds=seconds, cores=cores)
                if result.failures or not result.requests:
                    raise ContestantError(
                        f"jobs {STORES[kind]} on {connections} connections: {result.failures} of {result.requests} "
                        "requests failed"
                    )
                now = cpu_seconds(server.pid)
                rate, p50, cpu = _rows(kind, connections)
                yield Measurement(rate, result.requests / result.seconds)
                yield Measurement(p50, result.p50_ms)
                if used is not None and now is not None:
                    yield Measurement(cpu, 1e6 * (now - used) / result.requests)
