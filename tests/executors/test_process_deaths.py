"""A worker that dies takes its job with it, and nothing else."""

import asyncio
import json
import os
import signal

import pytest

from lambda_kit import JobFailedError, LambdaTool, ToolOptions
from tests.executors.process_tools import Deaf, End, EndAsync, Look, Order
from tests.executors.processes import LONG_SECONDS, Watcher, a_server, an_executor, is_alive, until, workers_here
from tests.support.gate import Gate

LIMIT_BYTES = 400 * 1024 * 1024


class EndTwice(End):
    """Is run again when its worker is lost."""

    options = ToolOptions(max_attempts=2)


class DeafBriefly(Deaf):
    """Does not listen, and may not take long."""

    options = ToolOptions(time_limit_seconds=0.5)


DEATHS: list[tuple[type[LambdaTool], str, str]] = [
    (End, "SIGKILL", "was killed by SIGKILL (signal 9)"),
    (EndAsync, "SIGKILL", "was killed by SIGKILL (signal 9)"),
    (End, "segfault", "crashed with SIGSEGV (signal 11)"),
    (End, "abort", "crashed with SIGABRT (signal 6)"),
    (End, "exit 3", "ended by itself with exit code 3"),
    (End, "exit 0", "ended by itself with exit code 0"),
    (End, "fork and exit", "ended by itself with exit code 7"),
]


@pytest.mark.timeout(180)
async def test_each_death_fails_that_job_alone_and_the_pool_heals() -> None:
    executor = an_executor(2)
    server = a_server(End, EndAsync, Look, executor=executor)
    async with server:
        for deaths, (tool, how, said) in enumerate(DEATHS):
            async with asyncio.timeout(LONG_SECONDS):
                with Gate() as gate:
                    neighbour = asyncio.create_task(server.run_tool(Look, Order(port=gate.port)))
                    await asyncio.to_thread(gate.wait_for_arrival)
                    with pytest.raises(JobFailedError) as caught:
                        await server.run_tool(tool, Order(how=how))
                    assert caught.value.status == "error", how
                    assert caught.value.error_type == "worker-lost", how
                    assert said in caught.value.message
                    assert not neighbour.done(), how
                    # while the first is held
                    other = asyncio.create_task(server.run_tool(Look, Order(port=gate.port)))
                    await asyncio.to_thread(gate.wait_for_arrival)
                    gate.release_all()
                    assert (await neighbour).pid != (await other).pid
            assert executor.stats().worker_losses_total == deaths + 1
    assert not workers_here()


async def test_a_job_is_run_again_when_its_worker_was_killed_and_it_may() -> None:
    watcher = Watcher()
    server = a_server(EndTwice, workers=1, sinks=[watcher])
    with Gate() as gate:
        async with server, asyncio.timeout(LONG_SECONDS):
            call = asyncio.create_task(server.run_tool(EndTwice, Order(how="number", port=gate.port)))
            await asyncio.to_thread(gate.wait_for_arrival)
            await watcher.wait_for(lambda: watcher.reports("number in"))
            (victim,) = workers_here()
            os.kill(victim, signal.SIGKILL)
            assert await call == 42
    assert [event.status for _, event in watcher.events if event.status] == [
        *("pending", "executing", "pending", "executing", "succeeded")
    ]


@pytest.mark.timeout(180)
async def test_a_job_that_needs_too_much_memory_says_so_and_gets_nobody_into_trouble() -> None:
    """As does one with a request that is too large for its worker."""
    too_much = 2 * LIMIT_BYTES
    orders = [
        Order(how="memory", size=too_much),
        Order(how="memory, bit by bit", size=too_much),
        Order(how="length", text="x" * (LIMIT_BYTES // 4 * 3)),
    ]
    message = "the job needed more memory than the 400 MiB that its worker may have"
    async with a_server(End, Look, workers=2, memory_limit_bytes=LIMIT_BYTES) as server:
        for order in orders:
            with Gate() as gate:
                async with asyncio.timeout(LONG_SECONDS):
                    neighbour = asyncio.create_task(server.run_tool(Look, Order(port=gate.port)))
                    await asyncio.to_thread(gate.wait_for_arrival)
                    with pytest.raises(JobFailedError) as caught:
                        await server.run_tool(End, order)
                    assert (caught.value.status, caught.value.error_type) == ("error", "memory-limit"), order.how
                    assert caught.value.message == message
                    assert await server.run_tool(End, Order(how="number")) == 42
                    gate.release_all()
                    await neighbour
    assert not workers_here()


async def test_a_memory_error_without_a_limit_is_the_tools_own() -> None:
    async with a_server(End) as server:
        with pytest.raises(JobFailedError) as caught:
            await server.run_tool(End, Order(how="memory", size=1 << 60))
        assert (caught.value.status, caught.value.error_type) == ("failed", "MemoryError")


async def test_a_worker_that_is_killed_while_it_is_idle_is_replaced_and_no_job_is_hurt() -> None:
    executor = an_executor(2)
    async with a_server(Look, executor=executor) as server, asyncio.timeout(LONG_SECONDS):
        before = workers_here()
        assert len(before) == 2
        for victim in before:
            os.kill(victim, signal.SIGKILL)
        await until(lambda: executor.stats().worker_losses_total == 2)
        assert "has no worker process" in str(await server.why_not_ready())
        seen = await asyncio.gather(*(server.run_tool(Look, Order()) for _ in range(4)))
        assert not before & {look.pid for look in seen}
        await until(lambda: len(workers_here() - before) == 2)


async def test_a_job_over_its_time_limit_is_killed() -> None:
    watcher = Watcher()
    server = a_server(DeafBriefly, Look, workers=1, sinks=[watcher])
    async with server, asyncio.timeout(LONG_SECONDS):
        with pytest.raises(JobFailedError, match="time limit"):
            await server.run_tool(DeafBriefly, Order())
        assert (await server.run_tool(Look, Order())).jobs == 1
    (report,) = [event for _, event in watcher.events if event.body]
    pids = json.loads(report.body)["options"]["message"].split()
    assert not any(is_alive(int(pid)) for pid in pids)


async def test_a_stop_kills_what_does_not_end() -> None:
    watcher = Watcher()
    server = a_server(Deaf, workers=1, sinks=[watcher], stop_seconds=0.1)
    async with server, asyncio.timeout(LONG_SECONDS):
        call = asyncio.create_task(server.run_tool(Deaf, Order()))
        await watcher.wait_for(lambda: watcher.reports(" "))
        call.cancel()
        await asyncio.wait({call})
    assert not workers_here()
