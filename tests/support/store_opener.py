"""Stores of every kind, on the machine's servers or in a folder."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from docs_src.json_store import JsonFilesJobStore
from lambda_kit import JobStore, MemoryJobStore, SqliteJobStore
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from tests.support.postgres_schema import POSTGRES_URL, new_schema
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL

__all__ = ["Opener", "opener"]

Opener = Callable[[], JobStore]


@contextlib.contextmanager
def opener(kind: str, directory: Path) -> Iterator[Opener]:
    """Makes stores of a kind; those of a kind that is shared share what they keep."""
    if kind == "redis":
        with new_prefix() as prefix:
            yield lambda: RedisJobStore(REDIS_URL, prefix=prefix)
    elif kind == "postgres":
        with new_schema() as schema:
            yield lambda: PostgresJobStore(POSTGRES_URL, schema=schema)
    elif kind == "sqlite":
        yield lambda: SqliteJobStore(directory / "jobs.db")
    elif kind == "json":
        yield lambda: JsonFilesJobStore(directory)
    else:
        yield MemoryJobStore
