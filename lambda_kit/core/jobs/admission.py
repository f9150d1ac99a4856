"""Who is let in: how many jobs may be unfinished, and when to come back (docs/wire.md, Backpressure)."""

from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.jobs.job_table import JobTable
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.ports.executor import ExecutorStats
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Admission", "max_unfinished"]

_ESTIMATE_SECONDS = 0.2
"""An estimate of when there will be room is reused for this long, so that refusals stay cheap."""

_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 600.0


class Admission:
    """Counts the jobs of this process, and knows how many a tool may have.

    Args:
        store: Says what time it is.
        table: The jobs of this process.
        scheduler: Knows the executors.
        statistics: Knows how long jobs took.
        observers: See the refusals.
        max_unfinished: How many jobs of all tools may be unfinished in this process. None: no bound.
    """

    def __init__(
        self,
        store: JobStore,
        table: JobTable,
        scheduler: Scheduler,
        statistics: JobStatistics,
        observers: Observers,
        *,
        max_unfinished: int | None,
    ) -> None:
        self._store = store
        self._table = table
        self._scheduler = scheduler
        self._statistics = statistics
        self._observers = observers
        self._max_unfinished = max_unfinished
        self._estimates: dict[str, tuple[float, float | None, float]] = {}
        self.is_open = False
        """Whether new jobs are taken now."""

    def admit(self, tool: BoundTool) -> int | None:
        """Refuse one more job if this process has too many that are unfinished.

        Returns:
            How many unfinished jobs the tool may have. None: any number.

        Raises:
            QueueFullError: if it is refused.
        """
        limit = self._max_unfinished
        if limit is not None and len(self._table) >= limit:
            raise QueueFullError(f"the service has {limit} jobs waiting or running: come back later")
        if tool.options.max_queue is None:
            return None
        return max_unfinished(tool, self._scheduler.executor_of(tool.name).stats())

    def refused(self, tool: BoundTool, error: QueueFullError) -> QueueFullError:
        """Count a refusal; returns the error that says when to come back."""
        self._observers.rejected(tool.name)
        if error.says_when:
            return error
        return QueueFullError(str(error), self.free_in_seconds(tool))

    def free_in_seconds(self, tool: BoundTool) -> float:
        """When one of a tool's jobs will probably have ended, by how long the last ones took."""
        now = self._store.now()
        mean = self._statistics.mean_seconds(tool.name)
        estimated_at, used_mean, seconds = self._estimates.get(tool.name, (0.0, None, 0.0))
        if not 0.0 <= now - estimated_at < _ESTIMATE_SECONDS or _is_other(mean, used_mean):
            seconds = self._estimate(tool, mean, now)
            self._estimates[tool.name] = (now, mean, seconds)
        return seconds

    def _estimate(self, tool: BoundTool, mean: float | None, now: float) -> float:
        running = (local.run for local in self._table if local.lane.tool is tool)
        ran = [now - (run.job.started_at or now) for run in running if run is not None]
        if mean is None:  # none has ended yet: those that run need at least as long as they have run
            mean = max(ran, default=_MIN_RETRY_SECONDS)
        soonest = min((mean - seconds for seconds in ran if seconds < mean), default=mean / max(1, len(ran)))
        return min(max(soonest, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)


def _is_other(mean: float | None, before: float | None) -> bool:
    """Whether jobs take notably longer or shorter than before."""
    return mean != before if mean is None or before is None else abs(mean - before) > before / 10


def max_unfinished(tool: BoundTool, stats: ExecutorStats) -> int | None:
    """How many of a tool's jobs may be unfinished: those that run at once, and `ToolOptions.max_queue`. None: any."""
    options = tool.options
    if options.max_queue is None:
        return None
    at_once = [size for size in (options.max_concurrency, stats.capacity) if size is not None]
    return options.max_queue + min(at_once, default=0)
