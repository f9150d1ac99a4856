"""All that is in a store, as it lies there: for tests of what must not be in it."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import redis

from tests.support.postgres_schema import database
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer

__all__ = ["Dump", "all_of_postgres", "all_of_redis", "dump_of"]

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


class Dump:
    """A store's URL, and all bytes that are in it."""

    def __init__(self, url: str, read: Callable[[], bytes]) -> None:
        self.url = url
        self.read = read


@contextlib.contextmanager
def dump_of(kind: str, folder: Path) -> Iterator[Dump]:
    """A store of its own: ``memory``, ``sqlite``, ``redis`` or ``postgres``."""
    if kind == "memory":
        yield Dump("memory://", lambda: b"")
    elif kind == "sqlite":
        files = folder.glob
        yield Dump(f"sqlite:///{folder}/jobs.db", lambda: b"".join(path.read_bytes() for path in files("jobs.db*")))
    elif kind == "redis":
        with RedisServer(folder) as server:
            yield Dump(server.url, lambda: _read_redis(server))
    else:
        with PostgresServer() as cluster:
            yield Dump(cluster.url, lambda: asyncio.run(_read_postgres(cluster.url)))


def _read_redis(server: RedisServer) -> bytes:
    with server.client as client:
        return all_of_redis(client).encode()


async def _read_postgres(url: str) -> bytes:
    async with database(url) as connection:
        return (await all_of_postgres(connection, "lambda_kit")).encode()
