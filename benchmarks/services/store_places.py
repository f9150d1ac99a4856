"""Where jobs are kept: one word that the scenarios, the service and the client of a store all understand."""

from typing import TYPE_CHECKING

from lambda_kit import MemoryJobStore, SqliteJobStore

if TYPE_CHECKING:
    from lambda_kit import JobStore

__all__ = ["POSTGRES_URL", "REDIS_URL", "forget", "store_at"]

REDIS_URL = "redis://127.0.0.1:6379/0"
POSTGRES_URL = "postgresql://postgres@127.0.0.1:5432/test"


def _split(place: str) -> tuple[str, str]:
    kind, _, name = place.partition(":")
    if kind not in ("memory", "sqlite", "redis", "postgres"):
        raise ValueError(f"{place!r}: must be memory, sqlite:FILE, redis:PREFIX or postgres:SCHEMA")
    return kind, name


def store_at(place: str) -> "JobStore":
    """The store of a place: `memory`, `sqlite:FILE`, `redis:PREFIX` or `postgres:SCHEMA`; not opened yet."""
    kind, name = _split(place)
    # a driver may be missing, and then only its own store is left out
    if kind == "redis":
        from lambda_kit.adapters.stores.redis import RedisJobStore  # noqa: PLC0415

        return RedisJobStore(REDIS_URL, prefix=name)
    if kind == "postgres":
        from lambda_kit.adapters.stores.postgres import PostgresJobStore  # noqa: PLC0415

        return PostgresJobStore(POSTGRES_URL, schema=name)
    return SqliteJobStore(name) if kind == "sqlite" else MemoryJobStore()


async def forget(place: str) -> None:
    """Remove all that a store has left on a server of others: its keys, its schema."""
    kind, name = _split(place)
    if kind == "redis":
        from redis.asyncio import Redis  # noqa: PLC0415

        async with Redis.from_url(REDIS_URL) as client:
            keys = [key async for key in client.scan_iter(f"{{{name}}}:*", count=1000)]
            for start in range(0, len(keys), 1000):
                await client.unlink(*keys[start : start + 1000])
    elif kind == "postgres":
        import asyncpg  # noqa: PLC0415

        connection = await asyncpg.connect(POSTGRES_URL)
        try:
            await connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
        finally:
            await connection.close()
