"""How long a cancel takes: of a coroutine, of a worker process that listens, and of one that has to be killed."""

from collections.abc import Iterator
from itertools import groupby

from benchmarks.clients.jobs import JobClient, run_bounded
from benchmarks.contestants import OURS, OURS_CONTROL, OURS_PROCESS, Contestant, serving
from benchmarks.results import Measurement, Row, percentile
from benchmarks.scenarios.base import Bench
from benchmarks.services.sizes import TICK_SECONDS
from benchmarks.settings import Settings

__all__ = ["CancelScenario"]

_KINDS = {
    "async": (OURS_CONTROL, "cancel of a running async job"),
    "listening": (OURS_PROCESS, f"cancel of a process job that looks every {1000 * TICK_SECONDS:g} ms"),
    "deaf": (OURS_PROCESS, "cancel of a deaf process job: 2 s of grace, then killed"),
}
_SLEEP_SECONDS = 600.0
_SPARE_SECONDS = 60.0
_DEAF_SECONDS = 10.0
"""For the grace time of one deaf job, the kill and the start of the next worker."""


class CancelScenario:
    """From the request to the answer that the job is cancelled, one job after the other."""

    name = "cancel"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        settings = bench.settings
        bound = _SPARE_SECONDS + _DEAF_SECONDS * settings.deaf_cancels
        for served, kinds in groupby(_KINDS, key=lambda kind: _KINDS[kind][0]):
            with serving(served, bench.pythons[contestant.name], bench.cores) as server:
                for kind in kinds:
                    jobs = settings.deaf_cancels if kind == "deaf" else settings.cancels
                    yield from _rows(
                        kind,
                        run_bounded(
                            f"cancel of {kind} jobs", _cancel(server.port, f"/cancel-{kind}", jobs), seconds=bound
                        ),
                    )


def _rows(kind: str, seconds: list[float]) -> Iterator[Measurement]:
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        row = Row(key=f"cancel.{kind}.{name}", title=f"{_KINDS[kind][1]}, {name}", unit="ms", digits=2)
        yield Measurement(row, 1000 * percentile(seconds, share))


async def _cancel(port: int, path: str, jobs: int) -> list[float]:
    client = await JobClient.open(port)
    try:
        request = {"seconds": _SLEEP_SECONDS}
        return [await client.cancel(await client.submit_running(path, request)) for _ in range(jobs)]
    finally:
        client.close()
