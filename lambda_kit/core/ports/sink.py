"""The `JobSink` port: who is told of a job's events and of its end."""

from abc import ABC, abstractmethod

from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job, Payload

__all__ = ["JobSink"]


class JobSink(ABC):
    """Is told of every event of every job, in order, and then of the job's end, once.

    A sink is served from the store's outbox by a task of its own, so it never slows a tool down. What it has confirmed
    (by returning) is not told again; what it raises on is told again, with back-off. After a crash, with a durable
    store, what was told last, up to a hundred events of a job, may be told again.

    Where several processes share a store, the one that has a job, or had it last, tells of it, and another one when
    that is gone. A job that is forgotten (its `ttl_seconds` after its end) is told of no more.
    """

    name: str
    """Identifies the sink in the outbox. It must not change between releases."""

    async def start(self) -> None:  # noqa: B027 - optional hook
        """Open what is needed."""

    async def stop(self) -> None:  # noqa: B027 - optional hook
        """Release what `start` opened."""

    @abstractmethod
    async def deliver_event(self, job: Job, event: Event, *, authorization: str | None) -> None:
        """Tell of one event.

        Args:
            job: The job's record now, which may be further on than the event.
            event: The event.
            authorization: The ``Authorization`` that came with the job; None where there was none, or it is not known
                any more (a job taken up after a restart, without an encryption key).
        """

    @abstractmethod
    async def deliver_end(self, job: Job, result: Payload | None, *, authorization: str | None) -> None:
        """Tell of the job's end, after its last event.

        Args:
            job: The final record; `Job.failure` says what went wrong.
            result: The result of a succeeded job, else None.
            authorization: As in `deliver_event`.
        """
