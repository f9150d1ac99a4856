"""`Subscriptions`: the subscribers to a store's changes."""

import logging
from collections.abc import Callable
from functools import partial

from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.store import Change, OnChange

__all__ = ["Subscriptions", "change_of"]

logger = logging.getLogger("lambda_kit.store")


def change_of(job_id: str, status: str | None, *, cancel_requested: bool) -> Change:
    """A change that another process has made; without a status that is not known here, as a newer version may have.

    Args:
        job_id: The job.
        status: What `JobStatus` calls it. None: the store does not know it.
        cancel_requested: Whether the job's end has been asked for.
    """
    try:
        return Change(job_id, None if status is None else JobStatus(status), cancel_requested)
    except ValueError:
        return Change(job_id, None, cancel_requested)


class Subscriptions:
    """The subscribers of one store: what its `JobStore.subscribe` is made of.

    A subscriber that raises is logged. It keeps neither the others from being called, nor the store from going on.

    To be used on the event loop of the store.

    Args:
        on_first: Called before the first subscriber is added, such as to begin to look for changes. What it raises
            refuses the subscription.
        on_last: Called when the last subscriber has unsubscribed.
    """

    def __init__(
        self, *, on_first: Callable[[], None] | None = None, on_last: Callable[[], None] | None = None
    ) -> None:
        self._on_first = on_first
        self._on_last = on_last
        self._subscribers: tuple[OnChange, ...] = ()  # replaced, never changed: it may be iterated over

    def __bool__(self) -> bool:
        """Whether there are any subscribers."""
        return bool(self._subscribers)

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        """Call a function after each change; returns a function that unsubscribes, and is safe to call twice.

        A function that subscribes twice is called twice.
        """
        subscriber = partial(on_change)  # one for each subscription, though the function be the same

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers = tuple(other for other in self._subscribers if other is not subscriber)
                if not self._subscribers and self._on_last is not None:
                    self._on_last()

        if not self._subscribers and self._on_first is not None:
            self._on_first()
        self._subscribers = (*self._subscribers, subscriber)
        return unsubscribe

    def publish(self, change: Change) -> None:
        """Call all subscribers, in the order in which they subscribed."""
        for subscriber in self._subscribers:
            try:
                subscriber(change)
            except Exception:
                logger.exception("a subscriber to the job store failed")

    def end_all(self) -> None:
        """Remove all subscribers: the store stops."""
        self._subscribers = ()
