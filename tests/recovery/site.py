"""Where the tests of recovery play: a store, a journal of what was run, and services that share both."""

import contextlib
import signal
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.gate import Gate
from tests.support.postgres_schema import POSTGRES_URL, new_schema
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL
from tests.support.service_process import ServiceProcess

__all__ = ["NEVER_SECONDS", "STORES", "Entry", "Site", "site_on"]

FILE = Path(__file__).with_name("service.py")

NEVER_SECONDS = 1000.0
"""A lease that does not run out while a test runs: what goes on all the same did not wait for it."""

STORES = ("sqlite", "redis", "postgres")


class Entry(NamedTuple):
    """A line of the journal."""

    what: str
    """``start`` or ``end``."""
    job_id: str
    attempt: int
    process: int


class Site:
    """One store and one journal.

    Args:
        store: The environment variables that lead to the store.
        journal: The file to which tools write.
    """

    def __init__(self, store: dict[str, str], journal: Path) -> None:
        self.store = store
        self._journal = journal
        self._services = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the services."""
        self._services.__exit__(exc_type, exc, trace)

    def start(
        self,
        *args: str,
        gate: Gate | None = None,
        lease_seconds: float = NEVER_SECONDS,
        heartbeat_seconds: float = 0.3,
        exit_code: int | None = 0,
        ready_path: str = "/_healtz",
        machine: str = "",
        sink: str = "",
        mcp: bool = False,
    ) -> ServiceProcess:
        """Start one more service; it answers already.

        Args:
            args: For its command line.
            gate: Where its tools wait. None: they do not.
            lease_seconds: `JobSettings.lease_seconds`.
            heartbeat_seconds: `JobSettings.heartbeat_seconds`.
            exit_code: What it must end with. None: anything, since it is killed.
            ready_path: What must be answered.
            machine: The machine on which it seems to run. Empty: this one.
            sink: The URL to which its sink posts. Empty: it has none.
            mcp: Whether agents can call its tools.
        """
        env = {
            **self.environment,
            "RECOVERY_LEASE": str(lease_seconds),
            "RECOVERY_MACHINE": machine,
            "RECOVERY_HEARTBEAT": str(heartbeat_seconds),
            "RECOVERY_GATE": "0" if gate is None else str(gate.port),
            **({"RECOVERY_SINK": sink} if sink else {}),
            **({"RECOVERY_MCP": "1"} if mcp else {}),
        }
        process = ServiceProcess(FILE, args, env=env, exit_code=exit_code, ready_path=ready_path)
        return self._services.enter_context(process)

    def pause(self, service: ServiceProcess) -> None:
        """Stop a service for a while, as SIGSTOP does, but not while it holds the lock of an SQLite file.

        That lock is the file's own, and ends with the process or when it goes on: nobody can write until then.
        """
        while True:
            service.process.send_signal(signal.SIGSTOP)
            if self.can_be_written():
                return
            service.process.send_signal(signal.SIGCONT)

    def can_be_written(self) -> bool:
        """Whether no process holds the lock of an SQLite file for long; any other store: True."""
        path = self.store["RECOVERY_STORE"].partition("sqlite:///")[2]
        if not path:
            return True
        with contextlib.closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    @property
    def environment(self) -> dict[str, str]:
        """What leads a process here."""
        return {**self.store, "RECOVERY_JOURNAL": str(self._journal)}

    def entries(self, what: str | None = None) -> list[Entry]:
        """What tools have noted until now, in order."""
        if not self._journal.exists():
            return []
        lines = (line.split() for line in self._journal.read_text("ascii").splitlines())
        entries = [Entry(kind, job_id, int(attempt), int(process)) for kind, job_id, attempt, process in lines]
        return [entry for entry in entries if what in (None, entry.what)]

    def attempts(self, job_id: str) -> list[int]:
        """The attempts of a job that were begun."""
        return [entry.attempt for entry in self.entries("start") if entry.job_id == job_id]


@contextlib.contextmanager
def site_on(kind: str, folder: Path) -> Generator[Site]:
    """A site on the machine's server of that kind, or on a file; nothing is left behind."""
    with _store(kind, folder) as store, Site(store, folder / "journal") as site:
        yield site


@contextlib.contextmanager
def _store(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    if kind == "sqlite":
        yield {"RECOVERY_STORE": f"sqlite:///{folder / 'jobs.db'}"}
    elif kind == "redis":
        with new_prefix() as prefix:
            yield {"RECOVERY_STORE": REDIS_URL, "RECOVERY_PREFIX": prefix}
    else:
        with new_schema() as schema:
            yield {"RECOVERY_STORE": POSTGRES_URL, "RECOVERY_SCHEMA": schema}
