"""Every executor of ours keeps the promises of the port."""

import pytest

from lambda_kit import AsyncioExecutor, ConfigurationError, Executor, ThreadExecutor
from lambda_kit.testing import ExecutorContract


class TestAsyncioExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return AsyncioExecutor(max_concurrency=2)


class TestThreadExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return ThreadExecutor(2)


class TestThreadExecutorWithOneThread(ExecutorContract):
    capacity = 1

    @pytest.fixture
    def executor(self) -> Executor:
        return ThreadExecutor(1)


@pytest.mark.parametrize("number", [0, -1])
def test_an_executor_that_could_run_nothing_is_refused(number: int) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        AsyncioExecutor(max_concurrency=number)
    with pytest.raises(ConfigurationError, match="at least 1"):
        ThreadExecutor(max_workers=number)


@pytest.mark.parametrize("executor", [AsyncioExecutor(), ThreadExecutor()])
async def test_a_submit_before_the_start_says_so(executor: Executor) -> None:
    with pytest.raises(ConfigurationError, match=f"'{executor.name}' was not started"):
        await executor.submit("a", "tool")
