"""The `JobSink` port: receives the events of jobs and their ends."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from lambda_kit.core.errors import LambdaKitError
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Failure, Job, Payload

__all__ = ["DeliveryError", "DeliveryRefusedError", "JobEnd", "JobSink"]


class JobEnd(msgspec.Struct, frozen=True, gc=False):
    """How a job has ended. With neither result nor failure it was cancelled."""

    result: Payload | None = None
    failure: Failure | None = None


class DeliveryError(LambdaKitError):
    """A delivery failed and is to be tried again.

    Args:
        message: Why; it is logged.
        retry_after_seconds: When to try again. None: with exponential back-off.
        is_unreachable: Whether nothing can be delivered now, of any job: there is no connection. Then all deliveries
            wait, and one at a time is tried, with back-off, until one gets through.
        is_unauthorized: Whether the other side did not accept the job's credentials. It is tried again all the same,
            but counted apart, and a service that stops does not wait for it.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        is_unreachable: bool = False,
        is_unauthorized: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.is_unreachable = is_unreachable
        self.is_unauthorized = is_unauthorized


class DeliveryRefusedError(LambdaKitError):
    """A delivery was refused for good: it is logged, dropped, counted, and never tried again.

    Args:
        message: Why; it is logged.
        reason: The same in a word or two, for the metrics (``lambda_kit_delivery_dropped_total``).
        drops_all_events: Whether all further events of the job are dropped too, so that its end comes next.
    """

    def __init__(self, message: str, *, reason: str = "refused", drops_all_events: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.drops_all_events = drops_all_events


class JobSink(ABC):
    """Receives every event of every job, in order, then the job's end. At least once.

    A sink is served from the store's outbox by tasks of its own, so it never slows a tool down. What it has confirmed
    (by returning) is not delivered again. On an exception the same batch is delivered again, with exponential back-off,
    until it is confirmed or refused (`DeliveryRefusedError`). After a crash, with a durable store, the last 100 events
    may be delivered again.

    The deliveries of one job follow each other; those of several jobs are made at once. A call that takes long does not
    keep others waiting.

    Where several processes share a store, the one that took the request delivers, and another one when that is silent
    for longer than its lease. Whether this process still may is looked at before each call: so a sink that fails should
    raise, rather than try again for long by itself.

    It is delivered until `JobSettings.delivery_seconds` after the job's end, though the job has expired for clients.
    """

    name: str
    """Identifies the sink in the outbox. It must not change between releases."""
    max_events: int = 100
    """How many events `deliver` takes at once. With 1, each comes by itself, and the end comes without any."""
    takes_status_events: bool = True
    """Whether it wants changes of status too. False: only what tools report."""
    bounds_its_calls: bool = False
    """Whether `deliver` always returns or raises in time. False: a call that takes longer than 30 s has failed."""

    async def start(self) -> None:  # noqa: B027 - optional hook
        """Open what is needed."""

    async def stop(self) -> None:  # noqa: B027 - optional hook
        """Release what `start` opened."""

    def hurry(self) -> None:  # noqa: B027 - optional hook
        """The process stops, and what is not delivered by its end is lost: let events not hold up the ends of jobs."""

    def forget(self, job_id: str) -> None:  # noqa: B027 - optional hook
        """Nothing more of this job is delivered by this process: drop what is remembered of it."""

    @abstractmethod
    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        """Deliver a batch of one job.

        Args:
            job: The job's record now, which may be further on than the events.
            events: What comes next in its log, in order, at most `max_events`. Empty where only the end is left.
            end: How it has ended. None: more will come.
            authorization: The ``Authorization`` that came with the job; None where there was none, or it is not known
                any more (a job taken up after a restart, without an encryption key).

        Raises:
            DeliveryError: try again later; any other exception means the same.
            DeliveryRefusedError: never try this batch again.
        """
