"""Many jobs that sleep: how fast they are accepted, what each costs, and whether the server stays awake."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.contestants import Contestant, Server, serving
from benchmarks.errors import ContestantError
from benchmarks.processes import rss_bytes, running
from benchmarks.results import Measurement, Row, percentile
from benchmarks.scenarios.base import Bench
from benchmarks.scenarios.health import Probe, probing
from benchmarks.settings import Settings

__all__ = ["ACCEPT_TOTAL", "MEMORY", "BurstScenario"]

ACCEPT_TOTAL = Row(key="burst.accept.total", title="all sleeping jobs accepted", unit="s", digits=2)
_ACCEPT_P50 = Row(key="burst.accept.p50", title="accepting a job, p50", unit="ms", digits=2)
_ACCEPT_P99 = Row(key="burst.accept.p99", title="accepting a job, p99", unit="ms", digits=2)
_WAITING = Row(key="burst.waiting", title="most jobs waiting at once", unit="jobs")
MEMORY = Row(key="burst.memory", title="memory per waiting job", unit="KB", digits=1)
_ARRIVED = Row(key="burst.arrived", title="results that arrived, of the sample", unit="%")

_SAMPLE_INTERVAL_SECONDS = 0.05
_WARM_JOBS = 20


class _Job(NamedTuple):
    """An accepted job, as `benchmarks.clients.submit` tells it; times of the monotonic clock."""

    accepted: float
    latency: float
    location: str
    token: str


@dataclass(kw_only=True)
class _Burst:
    """What the submitter said."""

    begin: float
    end: float
    jobs: list[_Job]
    failures: dict[str, int]

    def most_waiting(self, sleep_seconds: float) -> tuple[float, int]:
        """When most of the jobs were asleep at once, and how many."""
        changes = sorted(
            [(job.accepted, 1) for job in self.jobs] + [(job.accepted + sleep_seconds, -1) for job in self.jobs]
        )
        waiting, best, when = 0, 0, self.begin
        for moment, change in changes:
            waiting += change
            if waiting > best:
                best, when = waiting, moment
        return when, best


@dataclass
class _Memory:
    """The server's resident memory over time."""

    pid: int
    samples: list[tuple[float, int]] = field(default_factory=list)

    def sample(self) -> None:
        """Look once."""
        if (size := rss_bytes(self.pid)) is not None:
            self.samples.append((time.monotonic(), size))

    def at(self, moment: float) -> int | None:
        """What it was at the first look after a moment."""
        return next((size for when, size in self.samples if when >= moment), None)


class BurstScenario:
    """Accept all the jobs with `Prefer: respond-async` while another process asks for the health."""

    name = "burst"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.burst_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return "sleep" in contestant.tools

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        settings, cores = bench.settings, bench.cores
        with serving(contestant, bench.pythons[contestant.name], cores) as server:
            self._warm_up(server, bench)
            memory = _Memory(server.pid)
            memory.sample()
            with probing(server, cores) as probe:
                burst = _submit(server, bench, jobs=settings.jobs, sleep=settings.sleep_seconds, memory=memory)
                last_due = max((job.accepted for job in burst.jobs), default=burst.end) + settings.sleep_seconds
                while time.monotonic() < last_due:
                    time.sleep(_SAMPLE_INTERVAL_SECONDS)
                    memory.sample()
                time.sleep(_SAMPLE_INTERVAL_SECONDS)
            yield from self._accepted(burst, memory, settings)
            yield from self._healthy(burst, probe)
            step = max(1, len(burst.jobs) // settings.sample_size)
            sample = burst.jobs[::step][: settings.sample_size]
            arrived = _count_arrived(server, sample, settings)
            yield Measurement(_ARRIVED, 100 * arrived / len(sample) if sample else 0.0)
        failures = [f"{count} of {what}" for what, count in burst.failures.items()]
        failures += [f"{probe.failures} health requests failed"] if probe.failures else []
        failures += [f"{len(sample) - arrived} of {len(sample)} results missing"] if arrived < len(sample) else []
        if failures:
            raise ContestantError(f"{contestant.name}: burst of {settings.jobs} jobs: {', '.join(failures)}")

    @staticmethod
    def _warm_up(server: Server, bench: Bench) -> None:
        """A few jobs first: code paths and allocators must not count as memory of the waiting jobs."""
        burst = _submit(server, bench, jobs=_WARM_JOBS, sleep=0.0, memory=_Memory(server.pid))
        if burst.failures or _count_arrived(server, burst.jobs, bench.settings, slept=0.0) < _WARM_JOBS:
            raise ContestantError(f"sleeping jobs do not work: {burst.failures or 'no results'}")

    @staticmethod
    def _accepted(burst: _Burst, memory: _Memory, settings: Settings) -> Iterator[Measurement]:
        latencies = [1000 * job.latency for job in burst.jobs]
        yield Measurement(ACCEPT_TOTAL, burst.end - burst.begin)
        yield Measurement(_ACCEPT_P50, percentile(latencies, 0.5))
        yield Measurement(_ACCEPT_P99, percentile(latencies, 0.99))
        moment, waiting = burst.most_waiting(settings.sleep_seconds)
        yield Measurement(_WAITING, waiting)
        size = memory.at(moment)
        if waiting and size is not None:
            yield Measurement(MEMORY, (size - memory.samples[0][1]) / waiting / 1024)

    @staticmethod
    def _healthy(burst: _Burst, probe: Probe) -> Iterator[Measurement]:
        # A request that began before the burst ended counts as during it, however long it took.
        during = [1000 * latency for begin, latency in probe.samples if burst.begin <= begin <= burst.end]
        after = [1000 * latency for begin, latency in probe.samples if begin > burst.end]
        for key, title, values in (
            ("accepting", "health while accepting", during),
            ("waiting", "health while the rest sleep and end", after),
        ):
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                row = Row(key=f"burst.health.{key}.{name}", title=f"{title}, {name}", unit="ms", digits=2)
                if values:
                    yield Measurement(row, percentile(values, share))


def _submit(server: Server, bench: Bench, *, jobs: int, sleep: float, memory: _Memory) -> _Burst:
    """Submit jobs from a process of its own, looking at the server's memory meanwhile."""
    settings = bench.settings
    command = [sys.executable, "-m", "benchmarks.clients.submit", "--port", str(server.port)]
    command += ["--jobs", str(jobs), "--connections", str(settings.submit_connections)]
    command += ["--sleep", str(sleep), "--deadline", str(settings.deadline_seconds)]
    end = time.monotonic() + settings.deadline_seconds + 30
    # Behind the probe on their common core: the probe is to see the server's delays, not the submitter's.
    with running(command, core=bench.cores.load, niceness=10, stdout=subprocess.PIPE) as process:
        out: bytes | None = None
        while out is None:
            try:
                out, _ = process.communicate(timeout=_SAMPLE_INTERVAL_SECONDS)
            except subprocess.TimeoutExpired:
                memory.sample()
                if time.monotonic() > end:
                    raise ContestantError("the submitter of jobs does not end") from None
    if process.returncode != 0:
        raise ContestantError(f"the submitter of jobs ended with exit code {process.returncode}")
    answer = json.loads(out)
    answer["jobs"] = [_Job(*job) for job in answer["jobs"]]
    return _Burst(**answer)


def _count_arrived(server: Server, jobs: list[_Job], settings: Settings, *, slept: float | None = None) -> int:
    """Fetch the results of these jobs, waiting for them within the deadline; how many were right."""
    deadline = time.monotonic() + settings.deadline_seconds
    expected = settings.sleep_seconds if slept is None else slept
    arrived = 0
    for job in jobs:
        path = urlsplit(job.location).path
        status, _, body = server.request("GET", path)
        while status in (202, 204) and time.monotonic() < deadline:
            time.sleep(0.05)
            status, _, body = server.request("GET", path)
        arrived += status == 200 and json.loads(body) == {"slept": expected, "token": job.token}
    return arrived
