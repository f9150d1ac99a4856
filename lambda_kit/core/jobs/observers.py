"""The observers of a server as one, of which none can harm the others or a job."""

import logging
from collections.abc import Callable, Sequence

from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.observer import JobObserver

__all__ = ["Observers", "OnEnd"]

OnEnd = Callable[[Job, Payload | None, str | None], None]
"""Takes a job, its result and its authorization. It must not block."""

logger = logging.getLogger("lambda_kit.service")


class Observers(JobObserver):
    """Passes each call on to all observers; what one raises is logged.

    Args:
        observers: In the order in which they are called.
    """

    def __init__(self, observers: Sequence[JobObserver]) -> None:
        self.on_end: OnEnd | None = None
        """Called for the end of each job here, with its result and authorization."""
        self._use(observers)

    def add(self, observer: JobObserver) -> None:
        """Call one more, from now on. Before the executors start, so that it gets to worker processes."""
        self._use([*self._observers, observer])

    def remove(self, observer: JobObserver) -> None:
        """Call one no more that was added."""
        self._use([known for known in self._observers if known is not observer])

    def _use(self, observers: Sequence[JobObserver]) -> None:
        self._observers = tuple(observers)
        self._creating = _overriding("creating", observers)
        self._submitted = _overriding("submitted", observers)
        self._rejected = _overriding("rejected", observers)
        self._refused = _overriding("refused", observers)
        self._started = _overriding("started", observers)
        self._ended = _overriding("ended", observers)
        self._released = _overriding("released", observers)
        self._events_dropped = _overriding("events_dropped", observers)
        self.around = _overriding("around_run", observers)
        """Those with an `around_run` of their own: only these cost a run anything."""
        around_worker = _overriding("around_worker", observers)
        self.in_workers = tuple(it for it in observers if it in self.around or it in around_worker)
        """Those that worker processes need: with an `around_run` or an `around_worker` of their own."""

    def creating(self, job: Job) -> Job:
        """Have a record completed."""
        for observer in self._creating:
            try:
                job = observer.creating(job)
            except Exception:
                logger.exception("job %s: %s.creating failed", job.id, type(observer).__name__)
        return job

    def submitted(self, job: Job) -> None:
        """Pass on that a job was created."""
        for observer in self._submitted:
            _call(observer.submitted, job)

    def rejected(self, tool: str) -> None:
        """Pass on that a request was refused."""
        for observer in self._rejected:
            _call(observer.rejected, tool)

    def refused(self, tool: str | None, reason: str) -> None:
        """Pass on that a request was refused, and why."""
        for observer in self._refused:
            _call(observer.refused, tool, reason)

    def started(self, job: Job) -> None:
        """Pass on that a job is run."""
        for observer in self._started:
            _call(observer.started, job)

    def ended(self, job: Job, result: Payload | None = None, authorization: str | None = None) -> None:
        """Pass on that a job has ended, and, to `on_end`, with what result."""
        for observer in self._ended:
            _call(observer.ended, job)
        if self.on_end is not None:
            _call(self.on_end, job, result, authorization)

    def released(self, job: Job) -> None:
        """Pass on that a job is no longer run here, and has not ended."""
        for observer in self._released:
            _call(observer.released, job)

    def events_dropped(self, job: Job, count: int) -> None:
        """Pass on that events were dropped."""
        for observer in self._events_dropped:
            _call(observer.events_dropped, job, count)


def _overriding(method: str, observers: Sequence[JobObserver]) -> tuple[JobObserver, ...]:
    """The observers with a method of their own: the others cost nothing."""
    inherited = getattr(JobObserver, method)
    return tuple(
        it for it in observers if getattr(type(it), method) is not inherited or method in getattr(it, "__dict__", {})
    )


def _call(method: Callable[..., None], *args: object) -> None:
    try:
        method(*args)
    except Exception:
        logger.exception("an observer failed: %s", getattr(method, "__qualname__", method))
