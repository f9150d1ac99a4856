"""What a server counts of its jobs: always on, in plain Python, for whoever shows it (`adapters/metrics`)."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from lambda_kit.core.model.job import FINAL_STATUSES, Job, JobStatus
from lambda_kit.core.ports.observer import JobObserver

__all__ = ["BUCKET_BOUNDS_SECONDS", "Histogram", "JobStatistics", "SinkStatistics", "ToolStatistics"]

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

    def learn(self, seconds: float) -> None:
        """Take a job's duration into the mean. What is below 0, since the clock was set back, counts as 0."""
        mean, seconds = self.mean_seconds, seconds if seconds > 0.0 else 0.0
        self.mean_seconds = seconds if mean is None else mean + (seconds - mean) * _WEIGHT


class SinkStatistics:
    """What is counted of the deliveries to one sink, since the server was made."""

    __slots__ = (
        "delivered_ends",
        "delivered_events",
        "dropped",
        "failures",
        "is_unreachable",
        "retrying",
        "unauthorized",
    )

    def __init__(self) -> None:
        self.delivered_events = 0
        """Events that the sink has confirmed."""
        self.delivered_ends = 0
        """Ends of jobs that the sink has confirmed."""
        self.failures = 0
        """Calls that failed and are tried again."""
        self.unauthorized = 0
        """Jobs whose end the sink did not take, since it did not accept their credentials; it is kept and tried."""
        self.dropped: Counter[tuple[str, str]] = Counter({("event", "refused"): 0, ("end", "refused"): 0})
        """What will never be delivered: by ``"event"`` or ``"end"``, and the reason in a word or two."""
        self.retrying = 0
        """For how many jobs a delivery has failed and is tried again: now."""
        self.is_unreachable = False
        """Whether there is no connection to the sink now."""


class JobStatistics(JobObserver):
    """Counts jobs by tool, and deliveries by sink. For the event loop's thread only; two calls per job.

    Args:
        tools: The names of the tools that are served: they are there from the start, with zeros.
    """

    def __init__(self, tools: Iterable[str] = ()) -> None:
        # a job of a shared store may be of a tool that is not served here
        self._tools = defaultdict(ToolStatistics, {name: ToolStatistics() for name in tools})

        self._sinks: dict[str, SinkStatistics] = {}
        self._refused: Counter[tuple[str, str]] = Counter()

    def sink(self, name: str) -> SinkStatistics:
        """The numbers of a sink, which is there from the first call on."""
        return self._sinks.setdefault(name, SinkStatistics())

    @property
    def sinks(self) -> Mapping[str, SinkStatistics]:
        """The numbers by sink. They go on counting: read them on the event loop."""
        return self._sinks

    @property
    def refused_requests(self) -> Mapping[tuple[str, str], int]:
        """Refused requests by tool and reason. They go on counting: read them on the event loop.

        The tool is empty where the request was refused before its tool was looked at.
        """
        return self._refused

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

    def refused(self, tool: str | None, reason: str) -> None:
        """Count a refused request by tool and reason."""
        self._refused[tool or "", reason] += 1

    def ended(self, job: Job) -> None:
        """Count a job's end. To be told once per job, with its final record."""
        counted = self._tools[job.tool]
        counted.finished[job.status] += 1
        started, finished = job.started_at, job.finished_at
        if started is None or finished is None:  # it ended in the queue
            return
        counted.duration.observe(finished - started)
        counted.queue_wait.observe(started - job.requested_at)
        counted.learn(finished - started)

    def learn(self, job: Job) -> None:
        """Take a job's duration into the mean, without counting it: another process has."""
        if job.started_at is not None and job.finished_at is not None:
            self._tools[job.tool].learn(job.finished_at - job.started_at)

    def events_dropped(self, job: Job, count: int) -> None:
        """Count events that were reported faster than they could be stored."""
        self._tools[job.tool].events_dropped += count

    def mean_seconds(self, tool: str) -> float | None:
        """How long a job of the tool took lately: an exponentially weighted mean, in seconds. None: none has run."""
        counted = self._tools.get(tool)
        return None if counted is None else counted.mean_seconds
