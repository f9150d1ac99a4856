"""Whatever a tool raises or returns, its job ends, and says why."""

import asyncio
from typing import Any

import pytest

from lambda_kit import JobFailedError, JobStatus, LambdaTool, MemoryJobStore
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
    (ExceptionGroup("several", [ValueError("x")]), "ExceptionGroup", "several (1 sub-exception)"),
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
