"""On which threads of a worker process the tools are called, and what is noticed of one that has gone deaf."""

import asyncio
import os
import signal
import sqlite3
import threading
from typing import Any

import pytest

from lambda_kit import JobFailedError, LambdaTool
from tests.executors.process_tools import Order
from tests.executors.processes import LONG_SECONDS, a_server, an_executor

MAIN = "MainThread"


class Query(LambdaTool):
    """Has what belongs to one thread."""

    def setup(self) -> None:
        self.set_up_on = threading.current_thread().name
        self.database = sqlite3.connect(":memory:")

    def run(self, _req: Order) -> list[Any]:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # for the main thread alone
        [(one,)] = self.database.execute("SELECT 1")
        return [self.set_up_on, threading.current_thread().name, one, asyncio.run(two())]


async def two() -> int:
    return 2


class Await(LambdaTool):
    """Has what belongs to one event loop."""

    async def setup(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.set_up_on = threading.current_thread().name

    async def run(self, _req: Order) -> list[Any]:
        return [self.set_up_on, threading.current_thread().name, asyncio.get_running_loop() is self.loop]


class CloseAll(LambdaTool):
    """Closes the files of its process, the link to the server among them."""

    def run(self, _req: Order) -> int:
        os.closerange(3, 256)
        return os.getpid()


class Freeze(LambdaTool):
    """Stops its process."""

    def run(self, _req: Order) -> int:
        os.kill(os.getpid(), signal.SIGSTOP)
        return os.getpid()


async def test_setup_and_run_of_plain_tools_have_the_main_thread() -> None:
    async with asyncio.timeout(LONG_SECONDS), a_server(Query, executor=an_executor(1)) as server:
        for _ in range(2):
            assert await server.run_tool(Query, Order()) == [MAIN, MAIN, 1, 2]


async def test_async_tools_have_the_main_thread_where_there_are_no_others() -> None:
    async with asyncio.timeout(LONG_SECONDS), a_server(Await, executor=an_executor(1)) as server:
        assert await server.run_tool(Await, Order()) == [MAIN, MAIN, True]


async def test_plain_tools_have_the_main_thread_beside_async_ones() -> None:
    async with asyncio.timeout(LONG_SECONDS), a_server(Query, Await, executor=an_executor(1)) as server:
        assert await server.run_tool(Query, Order()) == [MAIN, MAIN, 1, 2]
        set_up_on, run_on, is_one_loop = await server.run_tool(Await, Order())
        assert set_up_on == run_on != MAIN
        assert is_one_loop


@pytest.mark.parametrize("tool", [CloseAll, Freeze])
async def test_a_worker_that_can_not_be_reached_any_more_is_noticed_and_replaced(tool: type[LambdaTool]) -> None:
    async with asyncio.timeout(LONG_SECONDS), a_server(tool, Query, executor=an_executor(1)) as server:
        with pytest.raises(JobFailedError) as caught:
            await server.run_tool(tool, Order())
        assert caught.value.error_type == "worker-lost"
        assert await server.run_tool(Query, Order()) == [MAIN, MAIN, 1, 2]
