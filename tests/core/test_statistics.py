"""What a server counts of its jobs."""

import pytest

from lambda_kit import Job, JobStatus
from lambda_kit.core.jobs.statistics import BUCKET_BOUNDS_SECONDS, Histogram, JobStatistics
from lambda_kit.core.model.job import FINAL_STATUSES


def job(
    status: JobStatus = JobStatus.SUCCEEDED, *, tool: str = "echo", waited: float | None = 0.0, ran: float = 0.0
) -> Job:
    """A finished job; ``waited=None``: it never started."""
    started = None if waited is None else 1000.0 + waited
    finished = 1000.0 + (waited or 0.0) + ran
    return Job(id="a", tool=tool, status=status, requested_at=1000.0, started_at=started, finished_at=finished)


def by_bucket(histogram: Histogram) -> dict[float, int]:
    """How many are in each bucket that is not empty, by its upper bound."""
    bounds = (*BUCKET_BOUNDS_SECONDS, float("inf"))
    return {bound: count for bound, count in zip(bounds, histogram.counts, strict=True) if count}


def test_a_tool_that_is_served_is_there_with_zeros() -> None:
    tools = JobStatistics(["echo", "sleep"]).tools
    assert list(tools) == ["echo", "sleep"]
    counted = tools["echo"]
    assert (counted.submitted, counted.rejected, counted.events_dropped, counted.mean_seconds) == (0, 0, 0, None)
    assert counted.finished == dict.fromkeys(FINAL_STATUSES, 0)
    assert sum(counted.duration.counts) == sum(counted.queue_wait.counts) == 0


def test_each_tool_is_counted_for_itself() -> None:
    statistics = JobStatistics(["echo", "sleep"])
    statistics.submitted(job(tool="echo"))
    statistics.submitted(job(tool="echo"))
    statistics.submitted(job(tool="sleep"))
    statistics.rejected("sleep")
    statistics.events_dropped(job(tool="echo"), 3)
    statistics.events_dropped(job(tool="echo"), 4)
    echo, sleep = statistics.tools.values()
    assert (echo.submitted, echo.rejected, echo.events_dropped) == (2, 0, 7)
    assert (sleep.submitted, sleep.rejected, sleep.events_dropped) == (1, 1, 0)


def test_ends_are_counted_by_status() -> None:
    statistics = JobStatistics(["echo"])
    for status in (*FINAL_STATUSES, JobStatus.FAILED, JobStatus.FAILED):
        statistics.ended(job(status))
    assert statistics.tools["echo"].finished == {
        JobStatus.SUCCEEDED: 1, JobStatus.FAILED: 3, JobStatus.ERROR: 1, JobStatus.CANCELLED: 1,
    }  # fmt: skip


def test_a_tool_that_is_not_served_here_is_counted_when_it_comes() -> None:
    statistics = JobStatistics([])
    statistics.ended(job())
    assert statistics.tools["echo"].finished[JobStatus.SUCCEEDED] == 1


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(0.0, 0.005), (0.005, 0.005), (0.0051, 0.01), (1.0, 1.0), (3600.0, 3600.0), (3600.5, float("inf"))],
)
def test_a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed(seconds: float, bound: float) -> None:
    histogram = Histogram()
    histogram.observe(seconds)
    assert by_bucket(histogram) == {bound: 1}
    assert histogram.total_seconds == seconds


def test_the_wait_and_the_run_are_told_apart() -> None:
    statistics = JobStatistics(["echo"])
    statistics.ended(job(waited=2.0, ran=40.0))
    statistics.ended(job(JobStatus.CANCELLED, waited=2.0, ran=7.0))
    echo = statistics.tools["echo"]
    assert (by_bucket(echo.queue_wait), echo.queue_wait.total_seconds) == ({2.5: 2}, 4.0)
    assert (by_bucket(echo.duration), echo.duration.total_seconds) == ({60.0: 1, 10.0: 1}, 47.0)


def test_a_job_that_ended_in_the_queue_has_no_times() -> None:
    statistics = JobStatistics(["echo"])
    statistics.ended(job(JobStatus.CANCELLED, waited=None, ran=5.0))
    echo = statistics.tools["echo"]
    assert echo.finished[JobStatus.CANCELLED] == 1
    assert by_bucket(echo.duration) == by_bucket(echo.queue_wait) == {}
    assert statistics.mean_seconds("echo") is None


def test_a_clock_that_was_set_back_lessens_no_sum() -> None:
    statistics = JobStatistics(["echo"])
    statistics.ended(job(waited=-5.0, ran=-5.0))
    echo = statistics.tools["echo"]
    assert (echo.duration.total_seconds, echo.queue_wait.total_seconds, echo.mean_seconds) == (0.0, 0.0, 0.0)
    assert by_bucket(echo.duration) == {BUCKET_BOUNDS_SECONDS[0]: 1}


def test_the_mean_follows_the_recent_durations() -> None:
    statistics = JobStatistics(["echo"])
    assert statistics.mean_seconds("echo") is None
    statistics.ended(job(ran=10.0))
    assert statistics.mean_seconds("echo") == pytest.approx(10.0)
    statistics.ended(job(ran=20.0))
    mean = statistics.mean_seconds("echo")
    assert mean is not None
    assert 10.0 < mean < 15.0
    for _ in range(30):
        statistics.ended(job(ran=20.0))
    assert statistics.mean_seconds("echo") == pytest.approx(20.0, rel=0.01)


def test_the_mean_of_an_unknown_tool_is_unknown() -> None:
    statistics = JobStatistics(["echo"])
    assert statistics.mean_seconds("nope") is None
    assert "nope" not in statistics.tools
