"""Every executor of ours keeps the promises of the port."""

import pytest

from lambda_kit import AsyncioExecutor, ConfigurationError, Executor, ThreadExecutor
from lambda_kit.adapters.executors.process.executor import ProcessExecutor
from lambda_kit.core.tools.tool import concrete_tools
from lambda_kit.testing import ExecutorContract
from lambda_kit.testing.executor_topics.cancel import CancelPromises
from lambda_kit.testing.executor_topics.capacity import CapacityPromises
from lambda_kit.testing.executor_topics.kill import KillPromises
from lambda_kit.testing.executor_topics.running import RunPromises
from lambda_kit.testing.executor_topics.workers import WorkerPromises


class TestAsyncioExecutor(ExecutorContract):
    is_async = True

    @pytest.fixture
    def executor(self) -> Executor:
        return AsyncioExecutor(max_concurrency=2, stop_seconds=0.2)


class TestAsyncioExecutorWithoutBound(ExecutorContract):
    capacity = None
    is_async = True

    @pytest.fixture
    def executor(self) -> Executor:
        return AsyncioExecutor(stop_seconds=0.2)


class TestThreadExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return ThreadExecutor(2, stop_seconds=0.2)


class TestThreadExecutorWithOneThread(ExecutorContract):
    capacity = 1

    @pytest.fixture
    def executor(self) -> Executor:
        return ThreadExecutor(1, stop_seconds=0.2)


class TestThreadExecutorWithAsyncTools(ExecutorContract):
    is_async = True

    @pytest.fixture
    def executor(self) -> Executor:
        return ThreadExecutor(2, stop_seconds=0.2)


@pytest.mark.slow  # each test starts two workers; tests/executors runs jobs in processes without it
@pytest.mark.processes
class TestProcessExecutor(ExecutorContract):
    carries_context = False
    kills = True

    @pytest.fixture
    def executor(self) -> Executor:
        return ProcessExecutor(2, stop_seconds=0.2)


@pytest.mark.slow
@pytest.mark.processes
class TestProcessExecutorWithOneWorkerAndAsyncTools(RunPromises, CapacityPromises, CancelPromises, KillPromises):
    capacity = 1
    carries_context = False
    is_async = True
    kills = True

    @pytest.fixture
    def executor(self) -> Executor:
        return ProcessExecutor(1, stop_seconds=0.2)


@pytest.mark.slow
@pytest.mark.processes
class TestProcessExecutorWithAsyncTools(RunPromises, CancelPromises, KillPromises):
    carries_context = False
    is_async = True
    kills = True

    @pytest.fixture
    def executor(self) -> Executor:
        return ProcessExecutor(2, stop_seconds=0.2)


@pytest.mark.processes
class TestProcessExecutorWithOneWorker(CancelPromises, CapacityPromises, KillPromises, WorkerPromises):
    capacity = 1
    carries_context = False
    kills = True

    @pytest.fixture
    def executor(self) -> Executor:
        return ProcessExecutor(1, stop_seconds=0.2)


@pytest.mark.parametrize("number", [0, -1])
def test_an_executor_that_could_run_nothing_is_refused(number: int) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        AsyncioExecutor(max_concurrency=number)
    with pytest.raises(ConfigurationError, match="at least 1"):
        ThreadExecutor(max_workers=number)
    with pytest.raises(ConfigurationError, match="at least 1"):
        ProcessExecutor(max_workers=number)


def test_the_tools_of_the_suite_are_not_served_by_a_server_of_all_tools() -> None:
    assert [tool for tool in concrete_tools() if tool.__module__.startswith("lambda_kit.")] == []
