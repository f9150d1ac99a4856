"""Whatever a tool does to its process: the server is told how its job has ended, and the next job is run."""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import ivcap_service
import pytest
from pydantic import BaseModel

from lambda_kit import JobFailedError, LambdaTool, ToolServer
from lambda_kit.adapters.executors.process import server_link
from tests.executors.processes import LONG_SECONDS, a_server, workers_here

LONE_SURROGATE = "\udcff"


class Odd(BaseModel):
    how: str = ""


class _Unreadable:
    def tolist(self) -> list[int]:
        raise ValueError(LONE_SURROGATE)


class _BrokenStream:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def flush(self) -> None:
        raise self._error


def _break_output(error: BaseException) -> str:
    sys.stdout = _BrokenStream(error)
    return "printed"


def _break_link(errors: list[BaseException]) -> str:
    """Let as many messages as there are errors fail."""
    to_frame = server_link.to_frame  # type: ignore[attr-defined]

    def fail(message: Any) -> bytearray:
        if errors:
            raise errors.pop()
        return to_frame(message)

    server_link.to_frame = fail  # type: ignore[attr-defined]
    return "returned"


def _use_up_threads() -> str:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refuse  # type: ignore[assignment, method-assign]
    return "no thread is left"


_NO_TEXT: dict[str, Any] = {"error": 1, "type": None, "traceback": 2}
_DEEDS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: "done",
    "unreadable": lambda: {"value": _Unreadable()},
    "ExecutionError": lambda: ivcap_service.ExecutionError.model_construct(
        error=LONE_SURROGATE, type=LONE_SURROGATE, traceback=LONE_SURROGATE
    ),
    "no text": lambda: ivcap_service.ExecutionError.model_construct(**_NO_TEXT),
    "too large": lambda: bytes(1 << 32),
    "RuntimeError in flush": lambda: _break_output(RuntimeError("closed")),
    "SystemExit in flush": lambda: _break_output(SystemExit(3)),
    "broken link": lambda: _break_link([KeyError("link")]),
    "broken link, memory": lambda: _break_link([MemoryError()]),
    "broken link, twice": lambda: _break_link([MemoryError(), MemoryError()]),
    "no thread": _use_up_threads,
}


class Strange(LambdaTool):
    """Does odd things."""

    def run(self, req: Odd) -> Any:
        return _DEEDS[req.how]()


class StrangeAsync(LambdaTool):
    """Does odd things on an event loop."""

    async def run(self, req: Odd) -> Any:
        return _DEEDS[req.how]()


async def _end_of(server: ToolServer, tool: type[LambdaTool], how: str) -> Any:
    try:
        return await server.run_tool(tool, Odd(how=how))
    except JobFailedError as error:
        return error.status, error.error_type, error.message


@pytest.mark.parametrize("tool", [Strange, StrangeAsync])
async def test_an_end_that_is_hard_to_tell_is_told(tool: type[LambdaTool]) -> None:
    ends = {
        "unreadable": ("failed", "ValueError", "the result, of type dict, can't be encoded: \\udcff"),
        "ExecutionError": ("failed", "\\udcff", "\\udcff"),
        "no text": ("failed", "None", "1"),
        "RuntimeError in flush": "printed",
        "SystemExit in flush": "printed",
    }
    async with a_server(tool) as server, asyncio.timeout(LONG_SECONDS):
        workers = workers_here()
        for how, end in ends.items():
            assert await _end_of(server, tool, how) == end
        assert workers_here() == workers


@pytest.mark.parametrize(
    ("how", "end"),
    [
        ("too large", ("failed", "EncodeError", "Can't encode bytes-like objects longer than 2**32 - 1")),
        ("broken link", ("failed", "KeyError", "'link'")),
        ("broken link, memory", ("failed", "MemoryError", "could not be sent")),
        ("broken link, twice", ("error", "worker-lost", "ended by itself with exit code 1")),
    ],
)
async def test_an_end_that_can_not_be_sent_fails_its_job_and_costs_its_worker(
    how: str, end: tuple[str, str, str]
) -> None:
    async with a_server(Strange) as server, asyncio.timeout(LONG_SECONDS):
        (worker,) = workers_here()
        status, error_type, message = await _end_of(server, Strange, how)
        assert (status, error_type) == end[:2]
        assert end[2] in message
        assert await _end_of(server, Strange, "nothing") == "done"
        assert worker not in workers_here()


async def test_a_worker_that_can_start_no_more_threads_runs_jobs_all_the_same() -> None:
    async with a_server(Strange, StrangeAsync) as server, asyncio.timeout(LONG_SECONDS):
        workers = workers_here()
        assert await _end_of(server, StrangeAsync, "no thread") == "no thread is left"
        assert await _end_of(server, Strange, "nothing") == "done"
        assert await _end_of(server, StrangeAsync, "nothing") == "done"
        assert workers_here() == workers
