"""Jobs in worker processes: what a tool sees there, and what comes back."""

import asyncio
import json
import logging
import os
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from lambda_kit import JobFailedError, LambdaTool, ProcessExecutor, RequestValidationError, ToolServer
from lambda_kit.core.ports.executor import ExecutorStats
from tests.executors.process_tools import (
    Deaf,
    End,
    EndAsync,
    Forks,
    Labelled,
    Login,
    Look,
    Order,
    Polite,
    PoliteAsync,
    Seen,
    SignIn,
    Speaks,
)
from tests.executors.processes import LONG_SECONDS, Watcher, a_server, is_alive, until
from tests.support.gate import Gate

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def watcher():
    return Watcher()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(watcher):
    tools = [Look, Labelled(label="red"), End, EndAsync, Polite, PoliteAsync, Deaf, Forks, Speaks, SignIn]
    async with a_server(*tools, workers=2, sinks=[watcher]) as server:
        yield server


async def test_a_tool_is_set_up_once_in_each_worker_and_not_in_the_server(server: ToolServer) -> None:
    with Gate() as gate:
        calls = [asyncio.create_task(server.run_tool(Look, Order(port=gate.port))) for _ in range(2)]
        for _ in calls:
            await asyncio.to_thread(gate.wait_for_arrival)
        gate.release_all()
        seen: list[Seen] = await asyncio.gather(*calls)
    assert len({look.pid for look in seen} | {os.getpid()}) == 3
    assert [look.setups for look in seen] == [1, 1]
    again: Seen = await server.run_tool(Look, Order())
    assert again.setups == 1
    assert again.pid in {look.pid for look in seen}
    assert (again.attempt, again.deadline, again.url) == (1, None, "/look")


async def test_an_instance_is_sent_with_what_its_constructor_was_given(server: ToolServer) -> None:
    assert await server.run_tool("labelled", Order()) == "red"


async def test_events_come_while_the_job_runs_and_in_order(server: ToolServer, watcher: Watcher) -> None:
    with Gate() as gate:
        call = asyncio.create_task(server.run_tool(Look, Order(port=gate.port)))
        await asyncio.to_thread(gate.wait_for_arrival)
        (job, *_) = await watcher.wait_for(
            lambda: [job for job in watcher.reports("at the gate") if job.id not in watcher.ends]
        )
        assert not call.done()
        gate.release_all()
        await call
    await watcher.wait_for(lambda: job.id in watcher.ends)
    events = [event for owner, event in watcher.events if owner.id == job.id]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert [event.status for event in events] == ["pending", "executing", None, "succeeded"]
    assert json.loads(events[2].body)["options"] == {"done": 1, "total": 2, "message": "at the gate"}


@pytest.mark.parametrize("tool", [End, EndAsync])
@pytest.mark.parametrize(
    "how",
    [
        *("ValueError", "ZeroDivisionError", "SystemExit", "KeyboardInterrupt", "unencodable", "ToolError"),
        *("text", "number", "model", "bytes", "SIGTERM"),
    ],
)
async def test_a_job_ends_as_it_would_in_the_server(server: ToolServer, tool: type[LambdaTool], how: str) -> None:
    """Or not at all by a SIGTERM, which is meant for the server."""
    order = Order(how="number" if how == "SIGTERM" else how)
    local = ToolServer(server.service, tools=[End, EndAsync])
    outcomes = []
    for where in (local, server):
        try:
            outcomes.append(await where.run_tool(tool, Order(how=how) if where is server else order))
        except JobFailedError as error:
            chosen = (error.error_status, error.retry_after_seconds)
            outcomes.append((error.status, error.error_type, error.message, chosen))
    if how == "SIGTERM":
        assert outcomes == [42, None]
    else:
        assert outcomes[0] == outcomes[1]


async def test_the_error_of_a_failed_job_tells_where_it_was_raised_in_the_other_process(server: ToolServer) -> None:
    with pytest.raises(JobFailedError) as caught:
        await server.run_tool(End, Order(how="ToolError"))
    assert caught.value.__cause__ is None
    (note,) = caught.value.__notes__
    assert note.startswith("in the process that ran the job:\nTraceback")
    assert "process_tools.py" in note


async def test_a_request_crosses_as_it_is_or_is_refused(server: ToolServer) -> None:
    with pytest.raises(RequestValidationError, match=r"Login\.password is another value"):
        await server.run_tool(SignIn, Login(user="ada", password=SecretStr("s3cret")))
    assert await server.run_tool(SignIn, {"user": "ada", "password": "s3cret"}) == "ada: s3cret"


async def test_large_requests_and_results_cross(server: ToolServer) -> None:
    size = 20 * 1024 * 1024
    assert await server.run_tool(End, Order(how="length", text="x" * size)) == size
    result = await server.run_tool(End, Order(how="big result", size=size))
    assert result == b"x" * size or getattr(result, "content", None) == b"x" * size


async def test_an_async_tool_is_run_on_the_loop_on_which_it_was_set_up(server: ToolServer) -> None:
    assert await server.run_tool(PoliteAsync, Order()) == "on the same loop"


@pytest.mark.parametrize("tool", [Polite, PoliteAsync])
async def test_a_cancelled_tool_cleans_up_and_its_worker_lives_on(
    server: ToolServer, watcher: Watcher, tool: type[LambdaTool], tmp_path: Path
) -> None:
    note = tmp_path / "note"
    known = {job.id for job, _ in watcher.events}
    with Gate() as gate:
        call = asyncio.create_task(server.run_tool(tool, Order(port=gate.port, how="wait", text=str(note))))
        held = await asyncio.to_thread(gate.wait_for_arrival)
        (job_id, *_) = {job.id for job, _ in watcher.events} - known
        await server.cancel(job_id)
        if tool is Polite:  # it listens again behind the gate
            held.release()
        with pytest.raises(JobFailedError, match="cancelled"):
            await call
    assert "cleaned up" in note.read_text()
    if tool is Polite:
        assert is_alive(int(note.read_text().split()[-1]))


async def test_a_deaf_tool_is_killed_with_what_it_has_started_and_its_neighbour_lives(
    server: ToolServer, watcher: Watcher
) -> None:
    with Gate() as gate:
        neighbour = asyncio.create_task(server.run_tool(Look, Order(port=gate.port)))
        await asyncio.to_thread(gate.wait_for_arrival)
        call = asyncio.create_task(server.run_tool(Deaf, Order()))
        job, body = await watcher.wait_for(
            lambda: next(
                ((job, event.body) for job, event in watcher.events if job.tool == "deaf" and event.body), None
            )
        )
        pids = [int(pid) for pid in json.loads(body)["options"]["message"].split()]
        assert all(map(is_alive, pids))
        await server.cancel(job.id)
        with pytest.raises(JobFailedError, match="cancelled"):
            await call
        await until(lambda: not any(map(is_alive, pids)))
        gate.release_all()
        assert (await neighbour).setups == 1
        both = [asyncio.create_task(server.run_tool(Look, Order(port=gate.port))) for _ in range(2)]
        for _ in both:  # so there are two workers again
            await asyncio.to_thread(gate.wait_for_arrival)
        gate.release_all()
        await asyncio.gather(*both)


async def test_what_a_worker_logs_is_logged_by_the_server_with_the_job(
    server: ToolServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await server.run_tool(Speaks, Order())
    records = {record.name: record for record in caplog.records if record.name.startswith("tests.")}
    said = records["tests.process_tools"]
    assert said.getMessage() == f"hello from {said.process}"
    assert said.process != os.getpid()
    assert said.levelno == logging.WARNING
    assert (said.__dict__["tool"], said.__dict__["colour"]) == ("speaks", "red")
    assert len(said.__dict__["job_id"]) == 36
    assert "<object object" in said.__dict__["odd"]
    assert "ZeroDivisionError" in str(records["tests.other"].exc_text)
    assert "not to be seen" not in caplog.text


async def test_a_child_that_a_tool_forks_can_log_but_not_report(server: ToolServer) -> None:
    assert await server.run_tool(Forks, Order()) == 11
    assert (await server.run_tool(Look, Order())).setups == 1


async def test_a_job_takes_the_place_of_a_worker_that_waits_no_longer(server: ToolServer) -> None:
    with Gate() as gate:
        calls = [asyncio.create_task(server.run_tool(Look, Order(port=gate.port))) for _ in range(3)]
        for _ in range(2):
            await asyncio.to_thread(gate.wait_for_arrival)
        assert gate.arrivals_without_waiting() == 0
        gate.release_all()
        async with asyncio.timeout(LONG_SECONDS):
            held = await asyncio.to_thread(gate.wait_for_arrival)
            held.release()
            await asyncio.gather(*calls)


async def test_an_executor_that_was_not_started_runs_nothing_and_can_be_stopped() -> None:
    executor = ProcessExecutor(1)
    assert executor.stats() == ExecutorStats(running=0, capacity=1)
    assert await executor.why_not_ready() is None
    await executor.stop()
