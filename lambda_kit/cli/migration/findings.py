"""What a migration has to say about a file: errors, warnings and notes, each with its line."""

from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["Finding", "Findings", "Severity"]


class Severity(IntEnum):
    """How much a finding weighs."""

    NOTE = 0
    """Something is different from before, or is worth a look."""
    WARNING = 1
    """The migrated file may behave differently."""
    ERROR = 2
    """It can't be migrated; the file is left as it is."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One sentence about one line."""

    line: int
    severity: Severity
    text: str


@dataclass(slots=True)
class Findings:
    """All that was found, in the order of the lines."""

    _found: set[Finding] = field(default_factory=set)

    def error(self, line: int, text: str) -> None:
        """Say why something can't be migrated."""
        self._found.add(Finding(line, Severity.ERROR, text))

    def warning(self, line: int, text: str) -> None:
        """Say what may behave differently."""
        self._found.add(Finding(line, Severity.WARNING, text))

    def note(self, line: int, text: str) -> None:
        """Say what is worth a look."""
        self._found.add(Finding(line, Severity.NOTE, text))

    @property
    def has_errors(self) -> bool:
        """Whether something can't be migrated."""
        return any(finding.severity is Severity.ERROR for finding in self._found)

    def sorted(self) -> list[Finding]:
        """The findings by line."""
        return sorted(self._found)
