"""Numbers for what shows them, without a service that makes them."""

from lambda_kit.core.jobs.permits import Load
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.executor import ExecutorStats

__all__ = ["FixedNumbers", "a_job", "ready"]


class FixedNumbers:
    """A `MetricsSource`: one tool, ``echo``, unless the test says otherwise; two executors, one of them unbounded."""

    def __init__(self, *tools: str) -> None:
        self.statistics = JobStatistics(tools or ["echo"])
        self.statistics.sink("ivcap-sidecar")
        self.statistics.refused(None, "unauthenticated")  # a series is there from the first one on
        self.now = Load(
            queued={"echo": 4},
            running={"echo": 2},
            executors={
                "asyncio": ExecutorStats(running=0, capacity=None),
                "thread": ExecutorStats(
                    running=2, capacity=32, abandoned=1, abandoned_total=5, worker_losses_total=3
                ),
            },
        )  # fmt: skip

    def load(self) -> Load:
        return self.now


def a_job(tool: str) -> Job:
    """A job of a tool."""
    return Job(id="a", tool=tool, requested_at=0.0)


async def ready() -> str | None:
    """Says that nothing stands in the way of jobs."""
    return None
