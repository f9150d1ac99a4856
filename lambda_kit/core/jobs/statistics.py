"""What a server counts of its jobs: always on, in plain Python, for whoever shows it (`adapters/metrics`)."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

from lambda_kit.core.model.job import FINAL_STATUSES, Job, JobStatus
from lambda_kit.core.ports.observer import JobObserver

__all__ = ["BUCKET_BOUNDS_SECONDS", "Histogram", "JobStatistics", "ToolStatistics"]

BUCKET_BOUNDS_SECONDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
)  # fmt: skip
"""The upper bounds of the histograms' buckets, themselves included: from a quick call to a batch of an hour."""

_WEIGHT = 0.2
"""How much the latest duration counts in the mean: after ten jobs nine tenths of it are of these ten."""


class Histogram:
    """How many observed times were how long."""

    __slots__ = ("counts", "total_seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKET_BOUNDS_SECONDS) + 1)
        """One per bucket, each without those below it; the last is of what is over all bounds."""
        self.total_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one. What is below 0, since the clock was set back meanwhile, counts as 0."""
        self.counts[bisect_left(BUCKET_BOUNDS_SECONDS, seconds)] += 1
        if seconds > 0.0:
            self.total_seconds += seconds


class ToolStatistics:
    """What is counted of one tool's jobs, since the server was made."""

    __slots__ = (
        "duration", "events_dropped", "finished", "mean_seconds", "queue_wait", "rejected", "submitted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.submitted = 0
        """Jobs that were made."""
        self.rejected = 0
        """Requests that were refused since a queue was full: no job was made."""
        self.finished: dict[JobStatus, int] = dict.fromkeys(sorted(FINAL_STATUSES), 0)
        """Jobs by final status; each of them is there."""
        self.duration = Histogram()
        """From start to end, of the jobs that were started: of the last attempt, where there were several."""
        self.queue_wait = Histogram()
        """From request to (last) start, of the jobs that were started."""
        self.mean_seconds: float | None = None
        """The mean of recent durations, exponentially weighted. None: no job has run."""
        self.events_dropped = 0
        """Events that were reported faster than they could be stored."""


class JobStatistics(JobObserver):
    """Counts jobs by tool. For the event loop's thread only; two calls per job.

    Args:
        tools: The names of the tools that are served: they are there from the start, with zeros.
    """

    def __init__(self, tools: Iterable[str] = ()) -> None:
        # a job of a shared store may be of a tool that is not served here
        self._tools = defaultdict(ToolStatistics, {name: ToolStatistics() for name in tools})

    @property
    def tools(self) -> Mapping[str, ToolStatistics]:
        """The numbers by tool. They go on counting: read them on the event loop."""
        return self._tools

    def submitted(self, job: Job) -> None:
        """Count a job that was created."""
        self._tools[job.tool].submitted += 1

    def rejected(self, tool: str) -> None:
        """Count a request that was refused since a queue was full."""
        self._tools[tool].rejected += 1

    def ended(self, job: Job) -> None:
        """Count a job's end. To be told once per job, with its final record."""
        counted = self._tools[job.tool]
        counted.finished[job.status] += 1
        started, finished = job.started_at, job.finished_at
        if started is None or finished is None:  # it ended in the queue
            return
        counted.duration.observe(finished - started)
        counted.queue_wait.observe(started - job.requested_at)
        self.learn(job)

    def learn(self, job: Job) -> None:
        """Take a job's duration into the mean, without counting it: another process has."""
        if job.started_at is None or job.finished_at is None:
            return
        counted = self._tools[job.tool]
        seconds = max(job.finished_at - job.started_at, 0.0)
        mean = counted.mean_seconds
        counted.mean_seconds = seconds if mean is None else mean + (seconds - mean) * _WEIGHT

    def events_dropped(self, job: Job, count: int) -> None:
        """Count events that were reported faster than they could be stored."""
        self._tools[job.tool].events_dropped += count

    def mean_seconds(self, tool: str) -> float | None:
        """How long a job of the tool took lately: an exponentially weighted mean, in seconds. None: none has run."""
        counted = self._tools.get(tool)
        return None if counted is None else counted.mean_seconds
