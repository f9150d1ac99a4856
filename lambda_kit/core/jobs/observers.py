"""The observers of a server as one, of which none can harm the others or a job."""

import logging
from collections.abc import Callable, Sequence

from lambda_kit.core.model.job import Job
from lambda_kit.core.ports.observer import JobObserver

__all__ = ["Observers"]

logger = logging.getLogger("lambda_kit.service")


class Observers(JobObserver):
    """Passes each call on to all observers; what one raises is logged.

    Args:
        observers: In the order in which they are called.
    """

    def __init__(self, observers: Sequence[JobObserver]) -> None:
        self._observers = tuple(observers)
        self.around = tuple(it for it in observers if type(it).around_run is not JobObserver.around_run)
        """Those with an `around_run` of their own: only these cost a run anything."""

    def submitted(self, job: Job) -> None:
        """Pass on that a job was created."""
        for observer in self._observers:
            _call(observer.submitted, job)

    def rejected(self, tool: str) -> None:
        """Pass on that a request was refused."""
        for observer in self._observers:
            _call(observer.rejected, tool)

    def started(self, job: Job) -> None:
        """Pass on that a job is run."""
        for observer in self._observers:
            _call(observer.started, job)

    def ended(self, job: Job) -> None:
        """Pass on that a job has ended."""
        for observer in self._observers:
            _call(observer.ended, job)

    def events_dropped(self, job: Job, count: int) -> None:
        """Pass on that events were dropped."""
        for observer in self._observers:
            _call(observer.events_dropped, job, count)


def _call(method: Callable[..., None], *args: object) -> None:
    try:
        method(*args)
    except Exception:
        logger.exception("an observer failed: %s", getattr(method, "__qualname__", method))
