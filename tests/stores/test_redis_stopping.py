"""A store in Redis that is stopped, or whose start is given up, while it is connecting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from lambda_kit.adapters.stores.redis import RedisJobStore
from tests.support.redis_server import RedisServer

TURNS = 24
"""From the first byte of a connection until the subscription stands the event loop turns fewer times than this."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Relay:
    """Stands between a store and its server, on the store's own event loop, and sees when one of them speaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self.was_used = asyncio.Event()

    def cut(self) -> None:
        """End all connections."""
        self.was_used.clear()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, there_writer]
        await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.was_used.set()
                writer.write(data)
        writer.close()


@asynccontextmanager
async def relay_to(server: RedisServer) -> AsyncIterator[tuple[Relay, str]]:
    """A relay, and the URL of the store behind it."""
    relay = Relay(server.port)
    async with await asyncio.start_server(relay.serve, "127.0.0.1", 0) as listener:
        yield relay, f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0"
        relay.cut()


async def test_a_store_can_be_stopped_at_each_moment_of_its_way_back_to_redis(server: RedisServer) -> None:
    async with relay_to(server) as (relay, url):
        for turns in range(TURNS):
            store = RedisJobStore(url)
            await store.start()
            relay.cut()
            await relay.was_used.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(60):
                await store.stop()


async def test_the_start_of_a_store_can_be_given_up_at_each_moment(server: RedisServer) -> None:
    async with relay_to(server) as (relay, url):
        for turns in range(2 * TURNS):
            store = RedisJobStore(url)
            start = asyncio.create_task(store.start())
            await relay.was_used.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            is_done = start.done()
            start.cancel()
            async with asyncio.timeout(60):
                await asyncio.wait([start])
            assert start.cancelled() != is_done
            await store.stop()
            relay.cut()
