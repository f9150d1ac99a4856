"""Schemas for tests in the PostgreSQL of the machine."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg

from tests.support.missing_service import missing_service

__all__ = ["POSTGRES_URL", "database", "empty", "new_schema"]

POSTGRES_URL = os.environ.get("LAMBDA_KIT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
"""A database in which the user may make schemas."""

_TABLES = ("jobs", "events", "sinks", "outbox", "retired", "workers", "slots", "buckets")


@contextlib.asynccontextmanager
async def database(url: str = POSTGRES_URL) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection; without a server there the test is skipped."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError) as error:
        missing_service(f"PostgreSQL at {POSTGRES_URL} (or $LAMBDA_KIT_TEST_POSTGRES): {error}")
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def new_schema() -> Iterator[str]:
    """The name of a schema that is not there, which is dropped afterwards."""
    name = f"lambda_kit_test_{uuid.uuid4().hex[:12]}"

    async def drop() -> None:
        async with database() as connection:
            await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    asyncio.run(drop())  # says that the server is missing
    try:
        yield name
    finally:
        asyncio.run(drop())


async def empty(schema: str) -> None:
    """Delete what is in a store's tables, if they are there: quicker than to make them anew for each test."""
    async with database() as connection:
        if await connection.fetchval("SELECT true FROM pg_namespace WHERE nspname = $1", schema):
            await connection.execute("".join(f"DELETE FROM {schema}.{table};" for table in _TABLES))
