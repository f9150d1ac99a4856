"""The goals for speed and whether a run meets them."""

from dataclasses import dataclass
from typing import Protocol

from benchmarks.contestants import BARE, ORIGINAL, OURS
from benchmarks.results import Results
from benchmarks.scenarios.burst import ACCEPT_TOTAL, MEMORY
from benchmarks.scenarios.echo import rate_key
from benchmarks.scenarios.limits import ACCEPTED, LIMITED, REFUSED, UNLIMITED
from benchmarks.scenarios.process import PROCESS_P50
from benchmarks.scenarios.recovery import recovery_key
from benchmarks.scenarios.startup import FIRST_ANSWER
from benchmarks.scenarios.store_kinds import STORES
from benchmarks.scenarios.stores import store_rate_key
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
    """So many times what another contestant does, or what we do ourselves in another row."""

    title: str
    row: str
    other: str
    other_row: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    def judge(self, results: Results) -> tuple[str, bool | None]:
        """See `Goal.judge`."""
        ratio = results.ratio(self.row, OURS.name, self.other, other_key=self.other_row)
        if ratio is None:
            return "not measured", None
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


def goals(settings: Settings) -> list[Goal]:
    """All of them; the echo goals for each number of connections that was measured."""
    found: list[Goal] = []
    for tool, times in (("sync", 7), ("async", 12)):
        for connections in settings.connections:
            row = rate_key(tool, connections)
            where = f"{tool} echo, {connections} connection{'s' if connections > 1 else ''}"
            found.append(
                RatioGoal(title=f"{where}: ≥ {times} times original", row=row, other=ORIGINAL.name, at_least=times)
            )
            found.append(RatioGoal(title=f"{where}: ≥ 0.85 times bare", row=row, other=BARE.name, at_least=0.85))
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
    for kind, share, words in (("sqlite", 1 / 2, "0.5"), ("redis", 1 / 3, "1/3"), ("postgres", 1 / 3, "1/3")):
        found += [
            RatioGoal(
                title=f"async echo, jobs {STORES[kind]}, 32 connections: ≥ {words} times in memory",
                row=store_rate_key(kind, 32),
                other=OURS.name,
                other_row=store_rate_key("memory", 32),
                at_least=share,
            ),
            LimitGoal(
                title=f"{settings.left_jobs:,} jobs of a dead process {STORES[kind]}: first result in < 5 s",
                row=recovery_key(kind),
                at_most=5.0,
            ),
        ]
    return found
