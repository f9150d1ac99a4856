"""Whether anything grows: with many finished jobs, with many tools, with many requests that wait."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from benchmarks.clients.jobs import JobClient, run_bounded
from benchmarks.contestants import OURS, OURS_GROWTH, Contestant, Server, serving
from benchmarks.errors import ContestantError
from benchmarks.processes import cpu_seconds, rss_bytes, running
from benchmarks.results import Measurement, Row, percentile
from benchmarks.scenarios.base import Bench
from benchmarks.scenarios.health import probing
from benchmarks.settings import Settings

__all__ = [
    "KEPT_CPU",
    "KEPT_RATE",
    "POLLS_CPU",
    "POLLS_RATE",
    "TOOLS_CPU",
    "TOOLS_RATE",
    "Growth",
    "GrowthScenario",
    "growths",
]

_CONNECTIONS = 32
_FEW_JOBS = 100
_FEW_TOOLS = 3
_FILL_SECONDS = 60.0
_OPEN_SECONDS = 60.0
_HOLD_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What is measured twice, with few and with many of something."""

    key: str
    title: str
    unit: str
    digits: int = 0
    is_difference: bool = False

    @property
    def few(self) -> Row:
        """The row of the few."""
        return Row(key=f"growth.{self.key}.few", title=f"{self.title}: few", unit=self.unit, digits=self.digits)

    @property
    def many(self) -> Row:
        """The row of the many."""
        return Row(key=f"growth.{self.key}.many", title=f"{self.title}: many", unit=self.unit, digits=self.digits)


_CPU = "… processor time of the server per job"

KEPT_RATE = Growth(key="kept.rate", title="finished jobs kept in memory: async echo", unit="jobs/s")
KEPT_CPU = Growth(key="kept.cpu", title=_CPU, unit="µs")
_KEPT_MEMORY = Growth(key="kept.memory", title="… resident memory", unit="MB", digits=1)
_KEPT_MORE = Growth(
    key="kept.more", title="… what it grows by while more are done", unit="MB", digits=1, is_difference=True
)
TOOLS_RATE = Growth(key="tools.rate", title="tools: async echo", unit="jobs/s")
TOOLS_CPU = Growth(key="tools.cpu", title=_CPU, unit="µs")
_TOOLS_MEMORY = Growth(key="tools.memory", title="… resident memory after the start", unit="MB", digits=1)
_TOOLS_START = Growth(key="tools.start", title="… service file to first answer", unit="s", digits=2)
POLLS_RATE = Growth(key="polls.rate", title="long polls that wait: async echo", unit="jobs/s")
POLLS_CPU = Growth(key="polls.cpu", title=_CPU, unit="µs")
_POLLS_MEMORY = Growth(key="polls.memory", title="… resident memory", unit="MB", digits=1)
_POLLS_P50 = Growth(key="polls.health.p50", title="… health, p50", unit="ms", digits=2)
_POLLS_P99 = Growth(key="polls.health.p99", title="… health, p99", unit="ms", digits=2)


def growths(settings: Settings) -> list[tuple[Growth, str, str]]:
    """All of them, with how many the few and the many are."""
    kept = (f"{_FEW_JOBS:,}", f"{settings.kept_jobs:,}")
    tools = (f"{_FEW_TOOLS}", f"{settings.tools:,}")
    polls = ("0", f"{settings.polls:,}")
    return [
        *((growth, *kept) for growth in (KEPT_RATE, KEPT_CPU, _KEPT_MEMORY, _KEPT_MORE)),
        *((growth, *tools) for growth in (TOOLS_RATE, TOOLS_CPU, _TOOLS_MEMORY, _TOOLS_START)),
        *((growth, *polls) for growth in (POLLS_RATE, POLLS_CPU, _POLLS_MEMORY, _POLLS_P50, _POLLS_P99)),
    ]


class _Load(NamedTuple):
    """What became of echo jobs."""

    jobs: int
    rate: float
    cpu_us: float | None
    """The processor time of the server for each. None: the system does not tell."""


class GrowthScenario:
    """A server with few of everything beside one with many of one thing; whichever is not asked is idle."""

    name = "growth"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        settings = bench.settings
        with _serving(bench, kept=_FEW_JOBS) as few:
            yield from _start(_TOOLS_MEMORY.few, _TOOLS_START.few, few)
            with _serving(bench, kept=_FEW_JOBS, tools=settings.tools) as many:
                yield from _start(_TOOLS_MEMORY.many, _TOOLS_START.many, many)
                yield from _rates(bench, TOOLS_RATE, TOOLS_CPU, few, many)
            with _serving(bench, kept=settings.kept_jobs) as many:
                yield from _kept(bench, few, many)
            yield from _polls(bench, few)


@contextmanager
def _serving(bench: Bench, *, kept: int, tools: int = _FEW_TOOLS) -> Iterator[Server]:
    arguments = ("--kept", str(kept), "--tools", str(tools))
    with serving(OURS_GROWTH, bench.pythons[OURS.name], bench.cores, arguments=arguments) as server:
        yield server


def _start(memory: Row, start: Row, server: Server) -> Iterator[Measurement]:
    yield from _memory(memory, server)
    yield Measurement(start, server.first_answer_seconds)


def _memory(row: Row, server: Server) -> Iterator[Measurement]:
    if (size := rss_bytes(server.pid)) is not None:
        yield Measurement(row, size / 2**20)


def _rates(bench: Bench, rate: Growth, cpu: Growth, few: Server, many: Server) -> Iterator[Measurement]:
    """What drifts must not meet only one side: in two halves, A B B A."""
    for server in (few, many):
        if bench.settings.warmup_seconds:
            _load(bench, server, bench.settings.warmup_seconds)
    seconds = max(1, bench.settings.control_seconds // 2)
    loads: dict[int, list[_Load]] = {few.pid: [], many.pid: []}
    for server in (few, many, many, few):
        loads[server.pid].append(_load(bench, server, seconds))
    yield from _mean(rate.few, cpu.few, loads[few.pid])
    yield from _mean(rate.many, cpu.many, loads[many.pid])


def _mean(rate: Row, cpu: Row, loads: list[_Load]) -> Iterator[Measurement]:
    yield Measurement(rate, mean(load.rate for load in loads))
    costs = [load.cpu_us for load in loads if load.cpu_us is not None]
    if costs:
        yield Measurement(cpu, mean(costs))


def _kept(bench: Bench, few: Server, many: Server) -> Iterator[Measurement]:
    done, until = 0, time.monotonic() + _FILL_SECONDS
    while done < bench.settings.kept_jobs:
        if time.monotonic() > until:
            raise ContestantError(f"only {done:,} of {bench.settings.kept_jobs:,} jobs in {_FILL_SECONDS:g} s")
        done += _load(bench, many, max(1, bench.settings.control_seconds)).jobs
    servers = ((_KEPT_MEMORY.few, _KEPT_MORE.few, few), (_KEPT_MEMORY.many, _KEPT_MORE.many, many))
    before = {}
    for row, _, server in servers:
        before[server.pid] = rss_bytes(server.pid)
        yield from _memory(row, server)
    yield from _rates(bench, KEPT_RATE, KEPT_CPU, few, many)
    for _, row, server in servers:
        size, now = before[server.pid], rss_bytes(server.pid)
        if size is not None and now is not None:
            yield Measurement(row, (now - size) / 2**20)


def _polls(bench: Bench, server: Server) -> Iterator[Measurement]:
    yield from _healthy(bench, server, _POLLS_P50.few, _POLLS_P99.few)
    yield from _memory(_POLLS_MEMORY.few, server)
    seconds = max(1, bench.settings.control_seconds // 2)
    without = [_load(bench, server, seconds)]
    location = run_bounded("a job that is held", _hold(server), seconds=30)
    with _polling(server, location, bench):
        yield from _memory(_POLLS_MEMORY.many, server)
        yield from _mean(POLLS_RATE.many, POLLS_CPU.many, [_load(bench, server, seconds) for _ in range(2)])
        yield from _healthy(bench, server, _POLLS_P50.many, _POLLS_P99.many)
    without.append(_load(bench, server, seconds))
    yield from _mean(POLLS_RATE.few, POLLS_CPU.few, without)


def _healthy(bench: Bench, server: Server, p50: Row, p99: Row) -> Iterator[Measurement]:
    with probing(server, bench.cores) as probe:
        time.sleep(bench.settings.control_seconds)
    if probe.failures:
        raise ContestantError(f"{probe.failures} health requests failed")
    latencies = [1000 * latency for _, latency in probe.samples]
    yield Measurement(p50, percentile(latencies, 0.5))
    yield Measurement(p99, percentile(latencies, 0.99))


async def _hold(server: Server) -> str:
    client = await JobClient.open(server.port)
    try:
        return await client.submit("/hold", {"seconds": _HOLD_SECONDS})
    finally:
        client.close()


@contextmanager
def _polling(server: Server, location: str, bench: Bench) -> Iterator[None]:
    """Requests that wait for the job, from before the block to its end; none may be answered or lost meanwhile."""
    settings, cores = bench.settings, bench.cores
    command = [sys.executable, "-m", "benchmarks.clients.polls", "--port", str(server.port), "--location", location]
    command += ["--polls", str(settings.polls)]
    pipe = subprocess.PIPE
    with running(command, core=cores.load, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or "{}")
        if said.get("open") != settings.polls:
            raise ContestantError(f"of {settings.polls:,} long polls {said.get('open', 0):,} wait")
        yield
        try:
            out, _ = process.communicate(timeout=_OPEN_SECONDS)
        except subprocess.TimeoutExpired:
            raise ContestantError("the long polls do not end") from None
        if ended := json.loads(out)["ended"]:
            raise ContestantError(f"{ended:,} of {settings.polls:,} long polls ended before the job")


def _load(bench: Bench, server: Server, seconds: int) -> _Load:
    """Echo jobs for a while."""
    used = cpu_seconds(server.pid)
    result = bench.load.measure(server, "/async", connections=_CONNECTIONS, seconds=seconds, cores=bench.cores)
    now = cpu_seconds(server.pid)
    if result.failures or not result.requests:
        raise ContestantError(f"async echo: {result.failures} of {result.requests} requests failed")
    cpu_us = None if used is None or now is None else 1e6 * (now - used) / result.requests
    return _Load(result.requests, result.requests / result.seconds, cpu_us)
