"""`Watches`: who is told of a store's changes."""

import logging
from collections.abc import Callable

from lambda_kit.core.job import JobStatus
from lambda_kit.core.store import Change, OnChange

__all__ = ["Watches", "change_of"]

logger = logging.getLogger("lambda_kit.store")


def change_of(job_id: str, status: str | None, *, cancel_requested: bool) -> Change:
    """A change as another process has told it; without a status that is not known here, as a newer version may have.

    Args:
        job_id: The job.
        status: What `JobStatus` calls it. None: the store does not know it.
        cancel_requested: Whether the job's end has been asked for.
    """
    try:
        return Change(job_id, None if status is None else JobStatus(status), cancel_requested)
    except ValueError:
        return Change(job_id, None, cancel_requested)


class Watches:
    """The watches of one store: what its `JobStore.watch` is made of.

    A watch that raises is logged. It keeps neither the others from being told, nor the store from going on.

    To be used on the event loop of the store.

    Args:
        on_first: Called before there is a watch where there was none, such as to begin to look for changes. What it
            raises keeps the watch from being made.
        on_last: Called when the last watch was ended by whoever had made it.
    """

    def __init__(
        self, *, on_first: Callable[[], None] | None = None, on_last: Callable[[], None] | None = None
    ) -> None:
        self._on_first = on_first
        self._on_last = on_last
        self._watchers: tuple[OnChange, ...] = ()  # of which none changes while it is gone through

    def __bool__(self) -> bool:
        """Whether there is anybody to be told."""
        return bool(self._watchers)

    def watch(self, on_change: OnChange) -> Callable[[], None]:
        """Tell of each change from now on; returns a function that ends that, and is safe to call twice.

        A function that is given twice is told twice.
        """

        def watcher(change: Change) -> None:  # one for each watch, though the function be the same
            on_change(change)

        def unwatch() -> None:
            if watcher in self._watchers:
                self._watchers = tuple(other for other in self._watchers if other is not watcher)
                if not self._watchers and self._on_last is not None:
                    self._on_last()

        if not self._watchers and self._on_first is not None:
            self._on_first()
        self._watchers = (*self._watchers, watcher)
        return unwatch

    def tell(self, change: Change) -> None:
        """Tell all of a change, in the order in which they came."""
        for watcher in self._watchers:
            try:
                watcher(change)
            except Exception:
                logger.exception("a watch of the job store failed")

    def end_all(self) -> None:
        """End all watches: the store stops."""
        self._watchers = ()
