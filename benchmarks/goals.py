"""The goals for speed and whether a run meets them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from benchmarks.contestants import BARE, FASTMCP, ORIGINAL, OURS
from benchmarks.results import Results
from benchmarks.scenarios.burst import ACCEPT_TOTAL, MEMORY
from benchmarks.scenarios.callers import caller_cpu_key, caller_rate_key
from benchmarks.scenarios.echo import cpu_key, rate_key
from benchmarks.scenarios.growth import KEPT_CPU, KEPT_RATE, POLLS_CPU, POLLS_RATE, TOOLS_CPU, TOOLS_RATE
from benchmarks.scenarios.limits import ACCEPTED, LIMITED, REFUSED, UNLIMITED
from benchmarks.scenarios.mcp import MCP_CONNECTIONS, MCP_LOADS, mcp_cpu_key
from benchmarks.scenarios.process import PROCESS_P50
from benchmarks.scenarios.recovery import recovery_key
from benchmarks.scenarios.startup import FIRST_ANSWER
from benchmarks.scenarios.store_kinds import STORES
from benchmarks.scenarios.stores import store_cpu_key, store_rate_key
from benchmarks.settings import Settings

__all__ = ["Goal", "goals"]


class Goal(Protocol):
    """Something that lambda_kit promises about its speed."""

    @property
    def title(self) -> str:
        """The promise, for people to read."""
        ...

    def judge(self, results: Results) -> tuple[str, bool | None]:
        """What was measured, for people to read, and whether that meets the goal; `None`: not measured."""
        ...


@dataclass(frozen=True, kw_only=True)
class RatioGoal:
    """So many times what another contestant does, or what we do ourselves in another row.

    Of a cost, such as processor time, it is so many times less: the other's by ours.
    """

    title: str
    row: str
    other: str
    other_row: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    is_cost: bool = False

    def judge(self, results: Results) -> tuple[str, bool | None]:
        """See `Goal.judge`."""
        ratio = results.ratio(self.row, OURS.name, self.other, other_key=self.other_row)
        if ratio is None or (self.is_cost and not ratio):
            return "not measured", None
        ratio = 1 / ratio if self.is_cost else ratio
        met = (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)
        return f"{ratio:.2f}", met


@dataclass(frozen=True, kw_only=True)
class LimitGoal:
    """At most so much."""

    title: str
    row: str
    at_most: float

    def judge(self, results: Results) -> tuple[str, bool | None]:
        """See `Goal.judge`."""
        value = results.median(self.row, OURS.name)
        if value is None:
            return "not measured", None
        return f"{value:.2f} {results.rows[self.row].unit}", value <= self.at_most


_ECHO = (
    ("async", 32, ORIGINAL, 12.0),
    ("async", 32, BARE, 1.0),
    ("async", 1, BARE, 0.9),
    ("sync", 32, ORIGINAL, 7.5),
    ("sync", 32, BARE, 1.1),
    ("sync", 1, BARE, 0.9),
)
"""Tool, connections, beside whom, and how many times as fast."""

_COST = ", by processor time per job"


def _echo_goals(settings: Settings) -> Iterator[Goal]:
    """Each twice: by jobs per second, and by the processor time of the server, which other load distorts less."""
    for tool, connections, other, times in _ECHO:
        if connections in settings.connections:
            where = f"{tool} echo, {connections} connection{'s' if connections > 1 else ''}"
            title = f"{where}: ≥ {times:g} times {other.name}"
            yield RatioGoal(title=title, row=rate_key(tool, connections), other=other.name, at_least=times)
            row = cpu_key(tool, connections)
            yield RatioGoal(title=title + _COST, row=row, other=other.name, at_least=times, is_cost=True)


def _store_goals(settings: Settings) -> Iterator[Goal]:
    for kind in STORES:
        if kind == "memory":
            continue
        title = f"async echo, jobs {STORES[kind]}, 32 connections: ≥ 0.6 times in memory"
        for key, is_cost in ((store_rate_key, False), (store_cpu_key, True)):
            yield RatioGoal(
                title=title + (_COST if is_cost else ""),
                row=key(kind, 32),
                other=OURS.name,
                other_row=key("memory", 32),
                at_least=0.6,
                is_cost=is_cost,
            )
        yield LimitGoal(
            title=f"{settings.left_jobs:,} jobs of a dead process {STORES[kind]}: first result in < 5 s",
            row=recovery_key(kind),
            at_most=5.0,
        )


def _growth_goals(settings: Settings) -> Iterator[Goal]:
    for rate, cpu, what in (
        (KEPT_RATE, KEPT_CPU, f"{settings.kept_jobs:,} finished jobs kept"),
        (TOOLS_RATE, TOOLS_CPU, f"{settings.tools} tools"),
        (POLLS_RATE, POLLS_CPU, f"{settings.polls:,} long polls that wait"),
    ):
        for growth, is_cost in ((rate, False), (cpu, True)):
            yield RatioGoal(
                title=f"async echo with {what}: ≥ 0.9 times with few{_COST if is_cost else ''}",
                row=growth.many.key,
                other=OURS.name,
                other_row=growth.few.key,
                at_least=0.9,
                is_cost=is_cost,
            )


def _caller_goals(settings: Settings) -> Iterator[Goal]:
    for connections in settings.connections:
        for way, what in (("key", "an API key"), ("token", "a token verified before"), ("limited", "caller limits")):
            where = f"{connections} connection{'s' if connections > 1 else ''}"
            for key, is_cost in ((caller_rate_key, False), (caller_cpu_key, True)):
                yield RatioGoal(
                    title=f"async echo with {what}, {where}: ≥ 0.9 times anonymous{_COST if is_cost else ''}",
                    row=key(way, connections),
                    other=OURS.name,
                    other_row=key("anonymous", connections),
                    at_least=0.9,
                    is_cost=is_cost,
                )


def _mcp_goals() -> Iterator[Goal]:
    for load in MCP_LOADS:
        times = 3.0 if load.has_token else 4.0
        for connections in MCP_CONNECTIONS:
            where = f"{connections} connection{'s' if connections > 1 else ''}"
            yield RatioGoal(
                title=f"{load.title}, {where}: ≥ {times:g} times fastmcp{_COST}",
                row=mcp_cpu_key(load, connections),
                other=FASTMCP.name,
                at_least=times,
                is_cost=True,
            )


def goals(settings: Settings) -> list[Goal]:
    """All of them; the echo goals for the numbers of connections that were measured."""
    found: list[Goal] = [*_echo_goals(settings)]
    jobs = f"{settings.jobs:,} sleeping jobs"
    found += [
        LimitGoal(title=f"{jobs}: accepted in < 1 s", row=ACCEPT_TOTAL.key, at_most=1.0),
        LimitGoal(title=f"{jobs}: ≤ 20 KB each", row=MEMORY.key, at_most=20.0),
        RatioGoal(
            title="service file to first answer: ≤ 1 times original",
            row=FIRST_ANSWER.key,
            other=ORIGINAL.name,
            at_most=1.0,
        ),
        LimitGoal(title="echo in a worker process, 1 connection: p50 ≤ 3 ms", row=PROCESS_P50.key, at_most=3.0),
        RatioGoal(
            title="refusing jobs: ≥ 1 times as fast as doing them",
            row=REFUSED.key,
            other=OURS.name,
            other_row=ACCEPTED.key,
            at_least=1.0,
        ),
        RatioGoal(
            title="async echo with a time limit: ≥ 0.95 times without",
            row=LIMITED.key,
            other=OURS.name,
            other_row=UNLIMITED.key,
            at_least=0.95,
        ),
    ]
    return [*found, *_caller_goals(settings), *_store_goals(settings), *_growth_goals(settings), *_mcp_goals()]
