"""The shape of a scenario."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from benchmarks.contestants import Contestant
from benchmarks.errors import ContestantError
from benchmarks.load import Load
from benchmarks.processes import Cores
from benchmarks.results import Measurement
from benchmarks.settings import Settings

__all__ = ["Bench", "Scenario", "SideBySide"]


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


@runtime_checkable
class SideBySide(Protocol):
    """Something to measure of all contestants at once, by turns of its own: a machine's pace changes by the minute."""

    name: str

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        ...

    def measure_together(
        self, bench: Bench, contestants: Sequence[Contestant]
    ) -> Iterator[tuple[Contestant, int, Iterable[Measurement] | ContestantError]]:
        """What each contestant did in each of its turns, which are counted from 0; or why it takes part no longer."""
        ...


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
