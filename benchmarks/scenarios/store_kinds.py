"""The stores that the scenarios compare, each in a place of its own that is gone afterwards."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contestants import OURS
from benchmarks.processes import run
from benchmarks.scenarios.base import Bench

__all__ = ["STORES", "ask_store", "place_of"]

STORES = {"memory": "in memory", "sqlite": "in SQLite", "redis": "in Redis", "postgres": "in PostgreSQL"}
"""Each kind of store, and where its jobs are, in words."""

_SECONDS = 120.0


def ask_store(bench: Bench, action: str, place: str, *arguments: str) -> str | None:
    """Have `benchmarks.clients.stores` do something with the store of a place; its answer.

    Raises:
        ContestantError: it failed.
    """
    command = [bench.pythons[OURS.name], "-m", "benchmarks.clients.stores", action, place, *arguments]
    answer: str | None = json.loads(run(command, core=bench.cores.load, timeout_seconds=_SECONDS))
    return answer


@contextmanager
def place_of(bench: Bench, kind: str) -> Iterator[str | None]:
    """Where a service may keep its jobs for the length of the block.

    None: its server isn't there, or does not let us in, which is noted.

    Raises:
        ContestantError: it is there, and does not work.
    """
    if kind == "memory":
        yield kind
    elif kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
            yield f"sqlite:{Path(folder) / 'jobs.db'}"
    else:
        place = f"{kind}:benchmarks_{os.getpid()}"
        if why := ask_store(bench, "check", place):
            note = f"jobs {STORES[kind]}: {why}"
            if note not in bench.notes:
                bench.notes.append(note)
            yield None
            return
        try:
            yield place
        finally:
            ask_store(bench, "forget", place)
