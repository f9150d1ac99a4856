"""The `Outbox` port: the half of a `JobStore` that keeps what is still to be delivered to sinks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum, StrEnum

import msgspec

from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job, Payload

__all__ = ["Delivery", "DeliveryPart", "DropReason", "Dropped", "Outbox", "Right", "right_to_deliver"]


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A job with something to deliver to a sink."""

    job_id: str
    after_seq: int
    """The number of the last event that the sink has confirmed."""
    number: int
    """Identifies the job in its store, for good. Its id may be another job's once it has expired."""


class DeliveryPart(msgspec.Struct, frozen=True, gc=False):
    """What comes next in a delivery."""

    job: Job
    """Its record now."""
    events: Sequence[Event]
    """The next events in its log, oldest first."""
    last_seq: int
    """The number of the last event in its log: where `events` is empty, numbers up to this one have been skipped."""
    is_last: bool
    """Whether the job has ended, and nothing but its end comes after these events."""
    result: Payload | None = None
    """The result of a succeeded job, where this part `is_last`."""


class DropReason(StrEnum):
    """Why something is not delivered any more."""

    OVERDUE = "overdue"
    """The sink has not confirmed it within `Job.delivery_seconds` after the job's end."""
    NO_ROOM = "no-room"
    """The store keeps a bounded number of bytes for sinks, and it was the oldest."""
    SINK_GONE = "sink-gone"
    """No process has registered the sink for a long time."""


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """A delivery that was given up."""

    sink: str
    job_id: str
    reason: DropReason


class Right(Enum):
    """What lets a worker deliver for a job."""

    NONE = "none"
    """Nothing: another worker delivers."""
    HOME = "home"
    """The job is its own, and it is alive: others leave it alone while it sends heartbeats."""
    LEASE = "lease"
    """Nobody else does: with a lease it may."""


def right_to_deliver(
    worker_id: str, *, home: str | None, is_home_alive: bool, holder: str | None, is_begun: bool
) -> Right:
    """Whether a worker may deliver for a job.

    Args:
        worker_id: The worker.
        home: `Job.home`.
        is_home_alive: Whether that worker's lease (`JobStore.heartbeat`) has not run out.
        holder: Who has a lease on the delivery that has not run out.
        is_begun: Whether it asks for more of a delivery that it was given. Its lease lets it go on, though the home is
            back; once it has nothing under way, the home delivers again.
    """
    if holder not in (None, worker_id):
        return Right.NONE
    if is_home_alive:
        if home == worker_id:
            return Right.HOME
        return Right.LEASE if is_begun and holder == worker_id else Right.NONE
    return Right.LEASE


class Outbox(ABC):
    """For each job and registered sink: the last event that the sink has confirmed, and whether the end is still due.

    **What is kept, and how long.** What a sink has not confirmed is kept until `Job.deliver_until`, whatever
    `Job.ttl_seconds` and `Job.keep_finished` say. For clients the job is gone at its `expires_at`: `JobStore.get` and
    all the others do not find it, and its id and idempotency key are free for another job. What is kept of it then
    belongs to its number (`Delivery.number`), never to its id: two jobs of one id are never mixed.

    **Who delivers.** The worker that is a job's home, while it is alive (`JobStore.heartbeat`); else whoever asks
    first, under a lease. `read_delivery` looks again, so ask it right before each call of a sink: a worker that was
    stopped for a while learns there that another one has taken over.

    A job without entries costs nothing.
    """

    @abstractmethod
    async def register_sink(self, sink: str) -> None:
        """Keep, for each job that comes from now on, what was delivered to this sink. Again: notes that it is there.

        Sinks that are served are registered again and again; see `drop_undelivered`.
        """

    @abstractmethod
    async def undelivered(
        self, sink: str, *, limit: int = 100, worker_id: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        """Jobs with events, or an end, that this sink has not confirmed; oldest first.

        Each worker is given the jobs whose `Job.home` it is, unless another one has a lease on them. Those whose home
        is dead (`heartbeat`), and those without one, are given to whoever asks first, for `lease_seconds`; asking again
        renews that lease.

        Args:
            sink: Its name.
            limit: The maximum number of jobs.
            worker_id: The worker that delivers. None: all are returned, and none is leased.
            lease_seconds: For how long other workers do not get what was returned.
        """

    @abstractmethod
    async def read_delivery(
        self,
        sink: str,
        delivery: Delivery,
        *,
        limit: int = 100,
        worker_id: str | None = None,
        lease_seconds: float = 30.0,
    ) -> DeliveryPart | None:
        """What comes after `Delivery.after_seq`, if the worker may deliver it; its lease is renewed.

        None: there is nothing left to deliver, or another worker delivers it.

        Args:
            sink: Its name.
            delivery: What `undelivered` has returned, with the number of the last event that was confirmed since.
            limit: The maximum number of events.
            worker_id: As for `undelivered`. None: it is only read.
            lease_seconds: As for `undelivered`.
        """

    @abstractmethod
    async def mark_delivered(
        self, sink: str, delivery: Delivery, *, after_seq: int, is_complete: bool, worker_id: str | None = None
    ) -> bool:
        """The sink confirmed the events up to `after_seq`; `is_complete`: the job's end too, forget the entry.

        An older confirmation changes nothing. False, and nothing is changed, if there is no such entry (any more), or
        another worker than `worker_id` has a lease on it that has not run out.
        """

    @abstractmethod
    async def drop_undelivered(self, *, silent_seconds: float, limit: int = 500) -> list[Dropped]:
        """Give up what can't be kept any longer, and return it; each delivery is returned once, to one caller.

        That is, of jobs that have expired, what is overdue (`Job.deliver_until`) or found no room; and, with the sink
        itself, what waits for a sink that was not registered for `silent_seconds`. Call it again until nothing is
        returned.

        Args:
            silent_seconds: A sink that nobody has registered for so long is forgotten.
            limit: Give up about so many at once.
        """
