"""All that is in a store, as it lies there: for tests of what must not be in it."""

from collections.abc import Callable
from typing import Any

import asyncpg
import redis

__all__ = ["all_of_postgres", "all_of_redis"]

_READERS: dict[Any, Callable[[Any, bytes], Any]] = {
    b"hash": lambda client, key: client.hgetall(key),
    b"string": lambda client, key: client.get(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    b"stream": lambda client, key: client.xrange(key),
}


def all_of_redis(client: "redis.Redis", pattern: str = "*") -> str:
    """The keys that match a pattern, with what they hold."""
    keys: list[bytes] = list(client.scan_iter(pattern, count=1000))
    return repr([(key, _READERS[client.type(key)](client, key)) for key in keys])


async def all_of_postgres(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> str:
    """The rows of all tables of a schema."""
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
    rows = [await connection.fetch(f"SELECT * FROM {schema}.{table['tablename']}") for table in tables]
    return repr([[dict(row) for row in found] for found in rows])
