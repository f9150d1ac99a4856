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
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeliveryRefusedError(LambdaKitError):
    """A delivery was refused for good: it is logged, dropped, and never tried again."""


class JobSink(ABC):
    """Receives every event of every job, in order, then the job's end. At least once.

    A sink is served from the store's outbox by a task of its own, so it never slows a tool down. What it has confirmed
    (by returning) is not delivered again. On an exception the same batch is delivered again, with exponential back-off,
    until it is confirmed or refused (`DeliveryRefusedError`). After a crash, with a durable store, the last batch may
    be delivered again.

    Where several processes share a store, the one that took the request delivers, and another one when that is dead.
    A job that has expired (its `ttl_seconds` after its end) is not delivered any more.
    """

    name: str
    """Identifies the sink in the outbox. It must not change between releases."""

    async def start(self) -> None:  # noqa: B027 - optional hook
        """Open what is needed."""

    async def stop(self) -> None:  # noqa: B027 - optional hook
        """Release what `start` opened."""

    @abstractmethod
    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        """Deliver a batch of one job.

        Args:
            job: The job's record now, which may be further on than the events.
            events: What comes next in its log, in order, at most 100. Empty where only the end is left.
            end: How it has ended. None: more will come.
            authorization: The ``Authorization`` that came with the job; None where there was none, or it is not known
                any more (a job taken up after a restart, without an encryption key).

        Raises:
            DeliveryError: try again later; any other exception means the same.
            DeliveryRefusedError: never try this batch again.
        """
