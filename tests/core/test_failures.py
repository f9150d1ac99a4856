"""Whatever a tool raises or returns, its job ends, and says why."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from lambda_kit import JobFailedError, JobStatus, LambdaTool, MemoryJobStore, ToolError
from lambda_kit.core.model.job import Payload
from lambda_kit.logs import ConsoleFormatter, JsonFormatter
from tests.core.running_tools import LONG_SECONDS, Ask, a_server, the_job


class Odd(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no text")


class VeryOdd(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise SystemExit(3)


class NoText(Exception):  # noqa: N818
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class Alone(BaseException):
    pass


def a_cycle() -> BaseException:
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    return one


RAISED: list[tuple[BaseException, str, str]] = [
    (ValueError("bad"), "ValueError", "bad"),
    (RuntimeError("boom"), "RuntimeError", "boom"),
    (RuntimeError(), "RuntimeError", "RuntimeError"),
    (KeyError("k"), "KeyError", "'k'"),
    (Odd(), "Odd", "Odd"),
    (VeryOdd(), "VeryOdd", "VeryOdd"),
    (NoText(), "NoText", "NoText"),
    (Alone("base"), "Alone", "base"),
    (SystemExit(3), "SystemExit", "3"),
    (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
    (GeneratorExit(), "GeneratorExit", "GeneratorExit"),
    (asyncio.CancelledError("own"), "CancelledError", "own"),
    (TimeoutError(), "TimeoutError", "TimeoutError"),
    (ExceptionGroup("several", [ValueError("x"), KeyError("y")]), "ExceptionGroup", "several (2 sub-exceptions)"),
    (ExceptionGroup("one", [ExceptionGroup("in one", [KeyError("y")])]), "KeyError", "'y'"),
    (BaseExceptionGroup("one", [SystemExit(4)]), "SystemExit", "4"),
    (SyntaxError("s", ("f", 1, "bad", "text")), "SyntaxError", "s (f, line 1)"),  # type: ignore[arg-type]
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), "UnicodeDecodeError", "'utf-8' codec"),
    (a_cycle(), "ValueError", "one"),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("error", "type_", "message"), RAISED, ids=lambda v: v if isinstance(v, str) else "")
async def test_whatever_a_tool_raises_is_a_failed_job(
    error: BaseException, type_: str, message: str, is_async: bool
) -> None:
    class Raises(LambdaTool):
        def run(self, req: Ask) -> str:
            raise error

    class RaisesAsync(LambdaTool):
        async def run(self, req: Ask) -> str:
            raise error

    tool = RaisesAsync if is_async else Raises
    store = MemoryJobStore()
    with pytest.raises(JobFailedError) as caught:
        async with asyncio.timeout(LONG_SECONDS):
            await a_server(tool, store=store).run_tool(tool, Ask())
    assert caught.value.status == "failed"
    assert caught.value.error_type == type_
    assert message in caught.value.message
    assert (await the_job(store)).status is JobStatus.FAILED


def a_group_that_doubles() -> BaseException:
    error: Exception = KeyError("innermost")
    for _ in range(60):
        twice: list[Exception] = [error, error]
        error = ExceptionGroup("twice", twice)
    return error


def a_group_with_its_member_as_context() -> BaseException:
    error: Exception = KeyError("innermost")
    for _ in range(60):
        group = ExceptionGroup("again", [error, error])
        group.__context__ = error
        error = group
    return error


def a_chain_without_end() -> BaseException:
    error = KeyError("innermost")
    for number in range(50_000):
        outer = KeyError(number)
        outer.__cause__ = error
        error = outer
    return error


@pytest.mark.parametrize("many", [a_group_that_doubles, a_group_with_its_member_as_context, a_chain_without_end])
async def test_exceptions_that_take_python_minutes_to_show_are_shown_in_part(
    many: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Raises(LambdaTool):
        async def run(self, req: Ask) -> str:
            raise many()

    store = MemoryJobStore()
    with pytest.raises(JobFailedError):
        async with asyncio.timeout(LONG_SECONDS):
            await a_server(Raises, store=store).run_tool(Raises, Ask())
    assert "raise many()" in caplog.text
    assert "too many exceptions in its groups, causes and contexts" in caplog.text


def test_a_group_that_takes_python_minutes_to_show_can_be_logged() -> None:
    record = logging.makeLogRecord({"msg": "boom", "exc_info": (ExceptionGroup, a_group_that_doubles(), None)})
    for formatter in (ConsoleFormatter(), JsonFormatter()):
        assert "KeyError: 'innermost'" in formatter.format(record)


async def test_a_cancelled_tool_may_raise_a_group_of_cancels_that_doubles() -> None:
    begun = asyncio.Event()

    class Winds(LambdaTool):
        async def run(self, req: Ask) -> str:
            begun.set()
            try:
                await asyncio.sleep(LONG_SECONDS)
            except asyncio.CancelledError as cancel:
                error: BaseException = cancel
                for _ in range(60):
                    twice: list[BaseException] = [error, error]
                    error = BaseExceptionGroup("twice", twice)
                raise error  # noqa: B904
            return "never"

    store = MemoryJobStore()
    async with asyncio.timeout(LONG_SECONDS), a_server(Winds, store=store) as server:
        call = asyncio.create_task(server.run_tool(Winds, Ask()))
        await begun.wait()
        await server.cancel((await the_job(store)).id)
        with pytest.raises(JobFailedError, match="cancelled"):
            await call


async def test_a_stop_iteration_of_a_plain_tool_is_a_failed_job() -> None:
    class Stops(LambdaTool):
        def run(self, req: Ask) -> str:
            return next(iter([]))

    with pytest.raises(JobFailedError, match="StopIteration"):
        await a_server(Stops).run_tool(Stops, Ask())


@pytest.mark.parametrize("value", [object(), {1, object()}, "\ud800", float, lambda: 1, {"a": object()}])
async def test_what_can_not_be_encoded_is_a_failed_job(value: Any) -> None:
    class Odds(LambdaTool):
        def run(self, req: Ask) -> Any:
            return value

    with pytest.raises(JobFailedError, match="can't be encoded"):
        await a_server(Odds).run_tool(Odds, Ask())


async def test_none_against_the_annotation_is_a_failed_job() -> None:
    class Nothing(LambdaTool):
        def run(self, req: Ask) -> str:
            return None  # type: ignore[return-value]

    with pytest.raises(JobFailedError, match="no-result-error: service did not return a result"):
        await a_server(Nothing).run_tool(Nothing, Ask())


class Weighty:
    """Something that a failing tool holds."""


@pytest.mark.parametrize("is_grouped", [False, True])
async def test_the_error_of_a_failed_job_is_chained_to_what_the_tool_raised(is_grouped: bool) -> None:
    raised = ToolError("no", status=404, retry_after=3)

    class Raises(LambdaTool):
        def run(self, req: Ask) -> str:
            raise ExceptionGroup("one", [raised]) if is_grouped else raised

    with pytest.raises(JobFailedError) as caught:
        await a_server(Raises).run_tool(Raises, Ask())
    assert caught.value.__cause__ is raised
    assert (caught.value.error_status, caught.value.retry_after_seconds) == (404, 3)
    assert not hasattr(caught.value, "__notes__")


async def test_a_job_that_failed_by_itself_has_no_cause() -> None:
    class Nothing(LambdaTool):
        def run(self, req: Ask) -> str:
            return None  # type: ignore[return-value]

    with pytest.raises(JobFailedError) as caught:
        await a_server(Nothing).run_tool(Nothing, Ask())
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("is_async", [False, True])
async def test_nothing_of_a_failed_job_is_held_once_its_caller_knows(is_async: bool) -> None:
    freed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail() -> None:
        weighty = Weighty()
        weakref.finalize(weighty, loop.call_soon_threadsafe, freed.set)
        raise RuntimeError("boom")

    class Raises(LambdaTool):
        def run(self, req: Ask) -> None:
            fail()

    class RaisesAsync(LambdaTool):
        async def run(self, req: Ask) -> None:
            fail()

    tool = RaisesAsync if is_async else Raises
    async with a_server(tool) as server:
        gc.disable()
        try:
            name = next(iter(server.tools))
            ended = await server.jobs.submit_and_wait(name, Payload(b"{}", "application/json"), wait_seconds=20)
            assert repr(ended.cause) == "RuntimeError('boom')"
            assert not freed.is_set()
            del ended
            async with asyncio.timeout(LONG_SECONDS):
                await freed.wait()
        finally:
            gc.enable()
