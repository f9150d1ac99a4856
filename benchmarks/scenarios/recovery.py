"""How soon a service goes on with the jobs that a dead one has left in the store."""

import json
import time
from collections.abc import Iterator

from benchmarks.contestants import MESSAGE, OURS, OURS_STORES, Contestant, Started, starting
from benchmarks.errors import ContestantError
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.scenarios.store_kinds import STORES, ask_store, place_of
from benchmarks.settings import Settings

__all__ = ["RecoveryScenario", "recovery_key"]

_PATH = "/async"
_SECONDS = 60.0
_POLL_SECONDS = 0.005


def recovery_key(kind: str) -> str:
    """The row of the time to the first result from a store."""
    return f"recovery.{kind}"


class RecoveryScenario:
    """From starting the service file to the result of the oldest of many jobs whose process is gone."""

    name = "recovery"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`. Filling the stores takes longer than what is measured."""
        del settings
        return 1

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        jobs = bench.settings.left_jobs
        for kind in STORES:
            if kind == "memory":
                continue
            with place_of(bench, kind) as place:
                if place is None:
                    continue
                oldest = ask_store(bench, "fill", place, "--jobs", str(jobs))
                python, arguments = bench.pythons[contestant.name], ("--kept-in", place)
                with starting(OURS_STORES, python, bench.cores, arguments=arguments) as started:
                    seconds = _first_result(started, f"{_PATH}/jobs/{oldest}")
            title = f"{jobs:,} jobs of a dead process {STORES[kind]}: service file to the first result"
            yield Measurement(Row(key=recovery_key(kind), title=title, unit="s", digits=2), seconds)


def _first_result(started: Started, path: str) -> float:
    """Seconds from the start of the process until a result is there."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        status, _, body = started.request("GET", path, headers={"Prefer": "wait=5"})
        seconds = time.perf_counter() - started.at
        if status == 200 and json.loads(body) == {"echo": MESSAGE}:
            return seconds
        if status not in (202, 204, 503):
            raise ContestantError(f"GET {path} answered {status} {body[:300]!r}")
        time.sleep(_POLL_SECONDS)
    raise ContestantError(f"GET {path}: no result after {_SECONDS:g} s")
