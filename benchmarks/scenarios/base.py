"""The shape of a scenario."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.contestants import Contestant
from benchmarks.load import Load
from benchmarks.processes import Cores
from benchmarks.results import Measurement
from benchmarks.settings import Settings

__all__ = ["Bench", "Scenario"]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every scenario works with."""

    settings: Settings
    cores: Cores
    load: Load
    pythons: dict[str, str]
    """The interpreter of each contestant, by its name."""
    load_average: float
    """How busy the machine was just before, over one minute."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and why: no failures."""


class Scenario(Protocol):
    """Something to measure of one contestant at a time; the runner interleaves the contestants in rounds."""

    name: str

    def rounds(self, settings: Settings) -> int:
        """How often each contestant has its turn."""
        ...

    def suits(self, contestant: Contestant) -> bool:
        """Whether the contestant can take part."""
        ...

    def measure(self, bench: Bench, contestant: Contestant) -> Iterable[Measurement]:
        """One turn of one contestant.

        Raises:
            ContestantError: it failed; what was measured before is kept.
        """
        ...
