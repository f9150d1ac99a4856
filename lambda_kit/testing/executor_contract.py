"""`ExecutorContract`: a test for each promise of the `Executor` port."""

import pytest

# before the import, so that a failed promise shows the values
pytest.register_assert_rewrite(
    "lambda_kit.testing.executor_jobs",
    "lambda_kit.testing.executor_port",
    "lambda_kit.testing.executor_stage",
    "lambda_kit.testing.executor_topics",
)

from lambda_kit.testing.executor_topics.cancel import CancelPromises  # noqa: E402
from lambda_kit.testing.executor_topics.capacity import CapacityPromises  # noqa: E402
from lambda_kit.testing.executor_topics.kill import KillPromises  # noqa: E402
from lambda_kit.testing.executor_topics.life import LifePromises  # noqa: E402
from lambda_kit.testing.executor_topics.observers import ObserverPromises  # noqa: E402
from lambda_kit.testing.executor_topics.port import PortPromises  # noqa: E402
from lambda_kit.testing.executor_topics.running import RunPromises  # noqa: E402
from lambda_kit.testing.executor_topics.two_servers import TwoServerPromises  # noqa: E402
from lambda_kit.testing.executor_topics.workers import WorkerPromises  # noqa: E402

__all__ = ["ExecutorContract"]


class ExecutorContract(
    RunPromises,
    CapacityPromises,
    CancelPromises,
    KillPromises,
    LifePromises,
    PortPromises,
    ObserverPromises,
    TwoServerPromises,
    WorkerPromises,
):
    """Subclass it in a test module, and override the fixture `executor`.

    ::

        class TestMyExecutor(ExecutorContract):
            @pytest.fixture
            def executor(self):
                return MyExecutor(max_workers=2)

    The fixture gives an executor that was not started and runs two jobs at once (`capacity`, if it is another number).
    Most tests put it into a `ToolServer` without HTTP, and see what a user would see; some call it alone, as the engine
    does. They run tools of their own, which wait at a TCP port of the test on 127.0.0.1: they can run in any process of
    this machine. pytest and pytest-asyncio are needed.

    What an executor can do is declared, by the attributes of `ExecutorPromises`: `capacity`, `is_async`,
    `carries_context`, `kills`. What is specific to it, such as which tools its `check` refuses, is yours to test.
    """
