"""The life of worker processes: set-up, readiness, replacement, stop."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another process does it

import asyncio
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from lambda_kit import ConfigurationError, ExecutorOpts, LambdaTool, ToolOptions, ToolServer
from lambda_kit.adapters.executors.process import links
from tests.executors.process_tools import Breaks, DiesAtSetup, Leaves, Look, Notes, Order, Unloadable
from tests.executors.processes import LONG_SECONDS, SERVICE, a_server, an_executor, until, workers_here


class OneByOne(Look):
    """Has a pool of its own."""

    options = ToolOptions(executor="process", executor_opts=ExecutorOpts(max_workers=1))


class InServer(LambdaTool):
    """Is run in the server."""

    async def run(self, req: Order) -> int:
        return os.getpid()


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (Breaks(), "tool 'breaks': setup failed: OSError: no model file"),
        (Unloadable(), "tool 'unloadable': it can't be loaded in a worker process: RuntimeError: away from home"),
        (DiesAtSetup(), "with exit code 9"),
    ],
)
async def test_a_setup_that_fails_stops_the_start_and_leaves_nothing(tool: LambdaTool, said: str) -> None:
    threads = set(threading.enumerate())
    server = a_server(Look, tool, workers=2)
    with pytest.raises(ConfigurationError, match=said):
        await server.run_tool(Look, Order())
    assert not workers_here()
    await until(lambda: set(threading.enumerate()) <= threads | _others())


async def test_too_small_a_memory_limit_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"memory_limit_bytes=1000000 .* too little"):
        await a_server(Look, memory_limit_bytes=1_000_000).run_tool(Look, Order())
    assert not workers_here()


async def test_a_worker_is_replaced_after_so_many_jobs_its_tools_torn_down(tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    server = a_server(Notes(str(tmp_path)), max_jobs_per_worker=2)
    async with server, asyncio.timeout(LONG_SECONDS):
        pids = [await server.run_tool("notes", Order()) for _ in range(5)]
    a, b, c = pids[0], pids[2], pids[4]
    assert pids == [a, a, b, b, c]
    assert len({a, b, c}) == 3
    assert (tmp_path / "notes").read_text().split() == [
        part for pid in (a, b, c) for part in ("setup", str(pid), "teardown", str(pid))
    ]


async def test_while_a_worker_is_replaced_by_plan_the_executor_is_ready(tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    async with a_server(Notes(str(tmp_path)), max_jobs_per_worker=1) as server, asyncio.timeout(LONG_SECONDS):
        for _ in range(3):
            job = asyncio.create_task(server.run_tool("notes", Order()))
            while not job.done():
                assert await server.why_not_ready() is None
                await asyncio.sleep(0.005)
            await job


async def test_programs_that_a_tool_has_left_end_with_its_worker() -> None:
    async with a_server(Leaves, max_jobs_per_worker=1) as server, asyncio.timeout(LONG_SECONDS):
        children = [await server.run_tool(Leaves, Order()) for _ in range(2)]
    await until(lambda: not any(_is_running(pid) for pid in children))


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


async def test_a_setup_that_fails_later_is_tried_again_and_readiness_says_so(tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    async with a_server(Notes(str(tmp_path))) as server, asyncio.timeout(LONG_SECONDS):
        (tmp_path / "broken").touch()
        os.kill(await server.run_tool("notes", Order()), signal.SIGKILL)
        while "tool 'notes': setup failed: RuntimeError: broken meanwhile" not in str(await server.why_not_ready()):
            await asyncio.sleep(0.01)
        call = asyncio.create_task(server.run_tool("notes", Order()))
        (tmp_path / "broken").unlink()
        assert await call in workers_here()
        assert await server.why_not_ready() is None


async def test_a_tool_in_a_worker_says_whether_it_is_ready(tmp_path: Path) -> None:
    server = a_server(Notes(str(tmp_path)))
    async with server, asyncio.timeout(LONG_SECONDS):
        assert await server.why_not_ready() == "tool 'notes' is not ready"
        (tmp_path / "ready").touch()
        assert await server.why_not_ready() is None


async def test_a_stop_leaves_nothing_and_a_server_can_be_started_again_on_another_loop(tmp_path: Path) -> None:
    tempfile.tempdir, before = str(tmp_path), tempfile.tempdir
    try:
        threads = set(threading.enumerate())
        server = a_server(Look, workers=2)

        async def use() -> set[int]:
            async with server, asyncio.timeout(LONG_SECONDS):
                await server.run_tool(Look, Order())
                assert sys.platform != "linux" or _is_empty(tmp_path)  # so that a server that is killed leaves nothing
                return workers_here()

        first = await asyncio.to_thread(asyncio.run, use())
        assert not workers_here()
        assert _is_empty(tmp_path)
        second = await use()
        assert len(first | second) == 4
        assert not workers_here()
        await until(lambda: set(threading.enumerate()) <= threads | _others())
    finally:
        tempfile.tempdir = before


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["x", "x" * 100], ids=["a file", "too long for a file"])
async def test_a_system_without_sockets_that_need_no_file_is_no_hindrance(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with tempfile.TemporaryDirectory() as short:  # pytest's own folders have names that are too long already
        folder = _made(Path(short, name))
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        monkeypatch.setattr(links, "_HAS_ABSTRACT_SOCKETS", False)
        async with a_server(Look) as server:
            assert (await server.run_tool(Look, Order())).setups == 1
            assert _is_empty(folder) == (len(name) > 1)
        assert _is_empty(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
async def test_a_worker_that_is_replaced_leaves_no_open_file_in_the_server() -> None:
    executor = an_executor(max_jobs_per_worker=1)
    async with a_server(Look, executor=executor) as server, asyncio.timeout(LONG_SECONDS):
        counts = set()
        for _ in range(3):
            await server.run_tool(Look, Order())
            await until(lambda: executor.capacity == 1)  # the next one is up
            counts.add(_open_files())
        assert len(counts) == 1


async def test_a_start_that_is_given_up_leaves_no_worker() -> None:
    server = a_server(Look, workers=2)
    start = asyncio.create_task(server.run_tool(Look, Order()))
    await until(workers_here)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not workers_here()


async def test_without_a_tool_for_it_there_is_no_worker() -> None:
    async with ToolServer(SERVICE, tools=[InServer]) as server:
        assert await server.run_tool(InServer, Order()) == os.getpid()
        assert not workers_here()


async def test_a_tool_can_have_a_pool_of_its_own() -> None:
    async with ToolServer(SERVICE, tools=[OneByOne]) as server:
        seen = await asyncio.gather(*(server.run_tool(OneByOne, Order()) for _ in range(3)))
        assert {look.pid for look in seen} == workers_here()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def _others() -> set[threading.Thread]:
    """Threads that asyncio and the test itself have started, and those that all servers of a process share."""
    shared = ("asyncio_", "lambda_kit-files", "lambda_kit-work")
    return {thread for thread in threading.enumerate() if thread.name.startswith(shared)}
