"""`JobObserver.around_worker`: entered once in each worker process, around all that it does."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lambda_kit import ConfigurationError, Job, JobObserver, ToolServer
from tests.executors.process_tools import Breaks, End, Look, Notes, Order
from tests.executors.processes import LONG_SECONDS, SERVICE, an_executor

RAISING = ["call", "enter", "exit"]


class WorkerObserver(JobObserver):
    """Writes its steps into the file of `Notes`, and raises where it is told to."""

    def __init__(self, folder: Path, *, raises: str = "") -> None:
        self._folder = folder
        self._raises = raises

    def around_worker(self) -> AbstractContextManager[object]:
        self._fail("call")
        return self._around()

    @contextlib.contextmanager
    def _around(self) -> Iterator[None]:
        self._fail("enter")
        self._note("entered")
        try:
            yield
        finally:
            self._note("left")
            self._fail("exit")

    def _note(self, what: str) -> None:
        with (self._folder / "notes").open("a") as file:
            file.write(f"{what} {os.getpid()}\n")

    def _fail(self, where: str) -> None:
        if where == self._raises:
            raise LookupError(f"failed at {where}")


class BothObserver(WorkerObserver):
    """Is entered around runs too."""

    @contextlib.contextmanager
    def around_run(self, job: Job) -> Iterator[None]:
        self._note("run")
        yield


def a_server(tool: object, observer: JobObserver, **options: int) -> ToolServer:
    return ToolServer(SERVICE, tools=[tool], executor=an_executor(**options), observers=[observer])  # type: ignore[list-item]


def notes(folder: Path) -> list[tuple[str, int]]:
    words = (folder / "notes").read_text().split()
    return [(what, int(pid)) for what, pid in zip(words[::2], words[1::2], strict=True)]


async def test_a_worker_process_is_surrounded_from_before_setup_until_after_teardown(tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    async with (
        a_server(Notes(str(tmp_path)), WorkerObserver(tmp_path), max_jobs_per_worker=1) as server,
        asyncio.timeout(LONG_SECONDS),
    ):
        pids = [await server.run_tool("notes", Order()) for _ in range(2)]
    assert os.getpid() not in pids
    seen = notes(tmp_path)
    for pid in pids:  # a third worker may have started already
        assert [what for what, whose in seen if whose == pid] == ["entered", "setup", "teardown", "left"]


async def test_an_observer_of_workers_may_observe_runs_too(tmp_path: Path) -> None:
    async with a_server(Look, BothObserver(tmp_path)) as server, asyncio.timeout(LONG_SECONDS):
        await server.run_tool(Look, Order())
    assert [what for what, _ in notes(tmp_path)] == ["entered", "run", "left"]


@pytest.mark.parametrize("where", RAISING)
async def test_what_an_observer_of_workers_raises_is_logged_and_harms_nothing(
    where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with (
        a_server(Look, BothObserver(tmp_path, raises=where)) as server,
        asyncio.timeout(LONG_SECONDS),
    ):
        await server.run_tool(Look, Order())
        await server.run_tool(Look, Order())
    assert [what for what, _ in notes(tmp_path)].count("run") == 2
    (line,) = [record for record in caplog.records if "around_worker failed" in record.getMessage()]
    assert line.getMessage() == "BothObserver.around_worker failed"
    assert f"LookupError: failed at {where}" in (line.exc_text or "")


async def test_a_worker_process_that_cannot_be_set_up_leaves_what_it_has_entered(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model file"):
        await a_server(Breaks, WorkerObserver(tmp_path)).run_tool(Breaks, Order())
    assert [what for what, _ in notes(tmp_path)] == ["entered", "left"]


async def test_a_worker_process_in_place_of_a_dead_one_is_surrounded_too(tmp_path: Path) -> None:
    async with a_server(End, WorkerObserver(tmp_path)) as server, asyncio.timeout(LONG_SECONDS):
        with pytest.raises(Exception, match="worker lost"):
            await server.run_tool(End, Order(how="SIGKILL"))
        assert await server.run_tool(End, Order(how="text")) == "text"  # by the second one, which ends with the server
    (first, a), (second, b), (last, c) = notes(tmp_path)
    assert (first, second, last) == ("entered", "entered", "left")
    assert a != b == c


async def test_an_observer_that_cannot_be_pickled_stops_the_start_with_the_remedy(tmp_path: Path) -> None:
    observer = WorkerObserver(tmp_path)
    observer.lock = asyncio.get_running_loop()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="WorkerObserver observes runs in worker processes, and can't be sent"):
        await a_server(Look, observer).run_tool(Look, Order())
