"""How long it takes to import the package, and from starting the service file to its first answer."""

import select
import subprocess
import time
from collections.abc import Iterator

from benchmarks.contestants import Contestant, serving
from benchmarks.errors import ContestantError
from benchmarks.processes import running
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.settings import Settings

__all__ = ["BARE_PYTHON", "FIRST_ANSWER", "IMPORT", "IMPORT_NAMES", "IVCAP_SERVICE", "StartupScenario"]

BARE_PYTHON = Row(key="startup.python", title="python starting, importing nothing", unit="s", digits=3)
IVCAP_SERVICE = Row(key="startup.ivcap_service", title="… and importing ivcap_service", unit="s", digits=3)
IMPORT = Row(key="startup.import", title="… and importing the package", unit="s", digits=3)
IMPORT_NAMES = Row(key="startup.names", title="… and importing what a service file needs of it", unit="s", digits=3)
FIRST_ANSWER = Row(key="startup.first_answer", title="service file to first answer", unit="s", digits=3)

_IMPORT_TIMEOUT_SECONDS = 60.0


class StartupScenario:
    """Times of processes that are started anew, on one core."""

    name = "startup"

    def __init__(self) -> None:
        self._warm: set[str] = set()

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return bool(contestant.tools)

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        python = bench.pythons[contestant.name]
        statements = {BARE_PYTHON: "pass", IMPORT: f"import {contestant.package}"}
        statements[IMPORT_NAMES] = f"from {contestant.package} import {contestant.names}"
        if "sleep" in contestant.tools:
            statements[IVCAP_SERVICE] = "import ivcap_service"
        if contestant.name not in self._warm:
            # Once for nothing: bytecode and the file cache must be there for everyone alike.
            for statement in statements.values():
                self._time(bench, python, statement)
            with serving(contestant, python, bench.cores):
                self._warm.add(contestant.name)
        for row in (BARE_PYTHON, IVCAP_SERVICE, IMPORT, IMPORT_NAMES):
            if row in statements:
                yield Measurement(row, self._time(bench, python, statements[row]))
        with serving(contestant, python, bench.cores) as server:
            yield Measurement(FIRST_ANSWER, server.first_answer_seconds)

    @staticmethod
    def _time(bench: Bench, python: str, statement: str) -> float:
        # To the line that follows the import: ending the interpreter takes long with some packages.
        code = f"{statement}\nprint('done', flush=True)"
        begin = time.perf_counter()
        with running([python, "-c", code], core=bench.cores.server, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            is_read = select.select([process.stdout], [], [], _IMPORT_TIMEOUT_SECONDS)[0]
            seconds = time.perf_counter() - begin
            if not is_read or process.stdout.readline().strip() != b"done":
                raise ContestantError(f"`{statement}` fails with {python}")
        return seconds
