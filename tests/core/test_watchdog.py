"""The watchdog of the event loop."""

import asyncio
import contextvars
import inspect
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer

from lambda_kit import LambdaTool
from lambda_kit.core.model.job import Job
from lambda_kit.core.runtime.watchdog import LoopWatchdog
from lambda_kit.core.tools.run import JobSpec, ToolRun
from lambda_kit.core.tools.tool import BoundTool

LONG_SECONDS = 20.0

THE_LOG: contextvars.ContextVar["Log"] = contextvars.ContextVar("THE_LOG")

QUICK: dict[str, float] = {"interval_seconds": 0.005, "threshold_seconds": 0.1}


class Log(logging.Handler):
    """Keeps what the watchdog logs, and opens its door for who is named in it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[int, str]] = []
        self.changed = threading.Condition()
        self.door = threading.Semaphore(0)
        self.opens_for = "hold_up"

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        with self.changed:
            self.lines.append((record.levelno, text))
            self.changed.notify_all()
        if record.levelno != logging.INFO and self.opens_for in text:
            self.door.release()

    def at(self, level: int) -> list[str]:
        # a busy machine may hold up the loop elsewhere, too
        return [text for its_level, text in self.lines if its_level == level and self.opens_for in text]

    def wait_for(self, level: int) -> None:
        """Wait for the first line of this level, whatever it says."""
        with self.changed:
            assert self.changed.wait_for(lambda: any(its_level == level for its_level, _ in self.lines), LONG_SECONDS)


@pytest.fixture
def log() -> Generator[Log]:
    logger = logging.getLogger("lambda_kit.watchdog")
    handler, level = Log(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on a new loop of each kind."""
    factory = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_on_new_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return run_on_new_loop


def line_of(function: Callable[..., Any], text: str) -> str:
    """``file:line`` of the only line of a function with this text."""
    lines, first = inspect.getsourcelines(function)
    (number,) = (first + at for at, line in enumerate(lines) if text in line)
    return f"{__file__}:{number}"


async def turn_twice() -> None:
    """Let the loop answer what it was asked, so that a hold-up begins with what follows."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def hold_up(log: Log) -> None:
    assert log.door.acquire(timeout=LONG_SECONDS)


class Ask(BaseModel):
    pass


class Blocks(LambdaTool):
    name = "blocks"
    path = "/blocks"

    def __init__(self, log: Log) -> None:
        self.log = log

    async def run(self, req: Ask) -> str:
        await turn_twice()
        assert self.log.door.acquire(timeout=LONG_SECONDS)
        return "done"


class BlocksInside(Blocks):
    async def run(self, req: Ask) -> str:
        await turn_twice()
        await self.a_step()
        return "done"

    async def a_step(self) -> None:
        hold_up(self.log)


class BlocksInTask(Blocks):
    async def run(self, req: Ask) -> str:
        await asyncio.gather(self.a_part(), asyncio.sleep(0))
        return "done"

    async def a_part(self) -> None:
        await turn_twice()
        assert self.log.door.acquire(timeout=LONG_SECONDS)


class KeepsTheLock(Blocks):
    async def run(self, req: Ask) -> str:
        await turn_twice()
        size, end = 8_000_000, time.monotonic() + LONG_SECONDS
        while time.monotonic() < end and not self.log.door.acquire(blocking=False):
            sum(range(size))  # one call into C, during which no other thread runs
            # where others have most of the processor, a thread that was held up for long blames them
            size = max(size // 2, 100_000)
        return "done"


class SlowResult(BaseModel):
    text: str = "done"

    @field_serializer("text")
    def _encode(self, text: str) -> str:
        hold_up(THE_LOG.get())
        return text


class ReturnsSlowResult(Blocks):
    async def run(self, req: Ask) -> SlowResult:  # type: ignore[override]
        THE_LOG.set(self.log)
        await turn_twice()
        return SlowResult()


async def run_watched(tool: LambdaTool, log: Log) -> None:
    log.opens_for = f"Tool '{tool.name}'"
    bound = BoundTool.bind(tool)
    run = ToolRun(
        bound,
        JobSpec(job=Job(id="job-7", tool=bound.name, requested_at=0.0), request=b"{}"),
        lambda _event: None,
        value=Ask(),
    )
    watchdog = LoopWatchdog(**QUICK)
    watchdog.start()
    await run.run_async()
    watchdog.stop()


def test_a_tool_that_blocks_is_named_with_the_line(run, log) -> None:
    run(run_watched(Blocks(log), log))
    (warning,) = log.at(logging.WARNING)
    assert line_of(Blocks.run, "door.acquire") in warning
    assert "`assert self.log.door.acquire(timeout=LONG_SECONDS)`" in warning
    assert " in job job-7" in warning
    assert "'def run'" in warning
    assert "asyncio.to_thread" in warning


def test_where_a_helper_blocks_both_lines_are_told(run, log) -> None:
    run(run_watched(BlocksInside(log), log))
    (warning,) = log.at(logging.WARNING)
    in_run, in_step = line_of(BlocksInside.run, "a_step"), line_of(BlocksInside.a_step, "hold_up")
    innermost = line_of(hold_up, "acquire")
    assert warning.index(in_run) < warning.index(in_step) < warning.index(innermost)


def test_a_tool_that_blocks_in_a_task_of_its_own_is_named(run, log) -> None:
    run(run_watched(BlocksInTask(log), log))
    (warning,) = log.at(logging.WARNING)
    assert line_of(BlocksInTask.a_part, "door.acquire") in warning


def test_a_tool_that_keeps_the_interpreters_lock_is_named(run, log) -> None:
    run(run_watched(KeepsTheLock(log), log))
    (warning,) = log.at(logging.WARNING)
    assert line_of(KeepsTheLock.run, "sum(").rpartition(":")[0] in warning


def test_where_a_tools_result_takes_long_to_encode_the_tool_is_named(run, log) -> None:
    run(run_watched(ReturnsSlowResult(log), log))
    (warning,) = log.at(logging.WARNING)
    assert "its result encoded" in warning
    assert line_of(SlowResult._encode, "hold_up") in warning


def test_without_a_tool_the_innermost_line_is_told(run, log) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(**QUICK)
        watchdog.start()
        await turn_twice()
        hold_up(log)
        await turn_twice()
        watchdog.stop()

    run(main())
    (warning,) = log.at(logging.WARNING)
    assert "no tool" in warning
    assert line_of(hold_up, "acquire") in warning
    assert line_of(main, "hold_up(log)") in warning


def test_a_callback_that_blocks_is_told(run, log) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(**QUICK)
        watchdog.start()
        asyncio.get_running_loop().call_soon(hold_up, log)
        await turn_twice()
        watchdog.stop()

    run(main())
    (warning,) = log.at(logging.WARNING)
    assert line_of(hold_up, "acquire") in warning


def test_the_end_of_a_hold_up_is_told(run, log) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(**QUICK)
        watchdog.start()
        await turn_twice()
        hold_up(log)
        await asyncio.to_thread(log.wait_for, logging.INFO)
        watchdog.stop()

    run(main())
    assert [level for level, _ in log.lines][:2] == [logging.WARNING, logging.INFO]
    assert "turns again" in log.lines[1][1]


def test_the_same_place_is_warned_about_once(run, log) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(**QUICK)
        watchdog.start()
        for _ in range(3):
            await turn_twice()
            hold_up(log)
        watchdog.stop()

    run(main())
    assert len(log.at(logging.WARNING)) == 1
    assert len(log.at(logging.DEBUG)) == 2


def test_each_place_is_warned_about(run, log) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(**QUICK)
        watchdog.start()
        await turn_twice()
        hold_up(log)
        await turn_twice()
        hold_up(log)
        watchdog.stop()

    run(main())
    assert len(log.at(logging.WARNING)) == 2


def test_the_next_warning_says_how_often_it_was_seen(run, log) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(**QUICK, repeat_seconds=0.5)
        watchdog.start()
        while not (log.at(logging.DEBUG) and log.lines[-1][0] == logging.WARNING):
            await turn_twice()
            hold_up(log)
        watchdog.stop()

    run(main())
    assert "more times" in log.at(logging.WARNING)[-1]
    assert "more times" not in log.at(logging.WARNING)[0]


def answer_with(loop: asyncio.AbstractEventLoop, answer: Callable[[Callable[[], None]], None]) -> None:
    """Have `answer` called, on the loop, with each sign that the loop is to give."""
    ask = loop.call_soon_threadsafe
    loop.call_soon_threadsafe = lambda sign, *_, **__: ask(answer, sign)  # type: ignore[method-assign]


def test_a_loop_that_turns_is_not_warned_about(log) -> None:
    async def main() -> None:
        many = asyncio.Event()
        beats: list[None] = []

        def answer(sign: Callable[[], None]) -> None:
            sign()
            beats.append(None)
            if len(beats) == 20:
                many.set()

        answer_with(asyncio.get_running_loop(), answer)
        watchdog = LoopWatchdog(interval_seconds=0.005, threshold_seconds=LONG_SECONDS)
        watchdog.start()
        async with asyncio.timeout(LONG_SECONDS):
            await many.wait()
        watchdog.stop()

    asyncio.run(main())
    assert log.lines == []


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lambda_kit watchdog"]


def test_it_stops_twice_and_starts_again_on_another_loop(run, log) -> None:
    watchdog = LoopWatchdog(**QUICK, repeat_seconds=0)
    watchdog.stop()

    async def main() -> None:
        watchdog.start()
        watchdog.start()
        assert len(watchdogs()) == 1
        await turn_twice()
        hold_up(log)
        watchdog.stop()
        watchdog.stop()
        assert watchdogs() == []

    run(main())
    run(main())
    assert len(log.at(logging.WARNING)) == 2


def test_it_stops_while_the_loop_is_blocked(log) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(interval_seconds=0.001, threshold_seconds=LONG_SECONDS)
        asked = threading.Event()
        loop = asyncio.get_running_loop()
        ask = loop.call_soon_threadsafe

        def note(*args: Any, **options: Any) -> asyncio.Handle:
            asked.set()
            return ask(*args, **options)

        loop.call_soon_threadsafe = note  # type: ignore[method-assign, assignment]
        watchdog.start()
        assert asked.wait(LONG_SECONDS)
        watchdog.stop()
        assert watchdogs() == []

    asyncio.run(main())
    assert log.lines == []


def test_start_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        LoopWatchdog().start()


def test_the_thread_ends_when_the_loop_is_closed(run, log) -> None:
    async def main() -> list[threading.Thread]:
        LoopWatchdog(**QUICK).start()
        return watchdogs()

    (thread,) = run(main())
    thread.join(LONG_SECONDS)
    assert not thread.is_alive()
    assert log.at(logging.WARNING) == []


def test_the_thread_ends_when_the_loop_is_closed_before_it_gives_its_sign(log) -> None:
    async def main() -> list[threading.Thread]:
        answer_with(asyncio.get_running_loop(), lambda _sign: None)  # never
        LoopWatchdog(**QUICK).start()
        return watchdogs()

    (thread,) = asyncio.run(main())
    thread.join(LONG_SECONDS)
    assert not thread.is_alive()


SUSPENDED = """
    import asyncio, logging, os, signal, threading
    from lambda_kit.core.runtime.watchdog import LoopWatchdog

    logging.basicConfig(level=logging.WARNING, format="%(message)s")

    async def main():
        loop, beats, over = asyncio.get_running_loop(), [], asyncio.Event()
        ask = loop.call_soon_threadsafe

        def answer(sign):
            beats.append(None)
            if len(beats) == 2:
                os.kill(os.getpid(), signal.SIGSTOP)
                threading.Event().wait(0.3)  # it is slow to come back, so that the watchdog looks first
            if len(beats) == 4:
                over.set()
            sign()

        loop.call_soon_threadsafe = lambda sign: ask(answer, sign)
        watchdog = LoopWatchdog(interval_seconds=0.01, threshold_seconds=1.0)
        watchdog.start()
        await over.wait()
        watchdog.stop()

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.processes
def test_a_process_that_was_suspended_is_not_warned_about() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUSPENDED)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            threading.Event().wait(2.5)  # the time for which it is suspended, well above the threshold
            process.send_signal(signal.SIGCONT)
            _, errors = process.communicate(timeout=LONG_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0
    assert errors == ""
