"""What was measured: rows, one value per contestant and round, and what can be said about them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

__all__ = ["Measurement", "Results", "Row", "percentile"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    key: str
    title: str
    unit: str
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value in one round."""

    row: Row
    value: float


@dataclass
class Results:
    """All measurements of a run, in the order in which they came."""

    rows: dict[str, Row] = field(default_factory=dict)
    values: dict[str, dict[str, dict[int, float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    """By row, contestant and round."""

    problems: list[str] = field(default_factory=list)
    """Failures; a run with any has failed."""

    def add(self, contestant: str, round_number: int, measurements: Iterable[Measurement]) -> None:
        """Keep what a contestant did in a round."""
        for measurement in measurements:
            self.rows.setdefault(measurement.row.key, measurement.row)
            self.values[measurement.row.key][contestant][round_number] = measurement.value

    def of(self, key: str, contestant: str) -> list[float]:
        """All the values of a contestant in a row; empty when it has none."""
        return list(self.values.get(key, {}).get(contestant, {}).values())

    def median(self, key: str, contestant: str) -> float | None:
        """The middle one of the rounds."""
        found = self.of(key, contestant)
        return median(found) if found else None

    def ratio(self, key: str, contestant: str, other: str, *, other_key: str | None = None) -> float | None:
        """The median over the rounds of what `contestant` had by what `other` had in the same round.

        By round, since the machine may have been slower in one round than in another, for both.
        """
        mine = self.values.get(key, {}).get(contestant, {})
        theirs = self.values.get(other_key or key, {}).get(other, {})
        ratios = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return median(ratios) if ratios else None


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank); 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
