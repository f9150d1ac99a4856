"""The events of a job: its changes of status and what its tool reports."""

import uuid
from enum import StrEnum

import msgspec

from lambda_kit.core.model.job import Job, JobStatus, Progress

__all__ = [
    "GAP_SCHEMA",
    "STATUS_SCHEMA",
    "Event",
    "EventKind",
    "EventPage",
    "NewEvent",
    "first_events",
    "gap_event",
    "report_event",
    "status_event",
]

STATUS_SCHEMA = "urn:ivcap:schema:job.status.1"
GAP_SCHEMA = "urn:ivcap:schema:job.gap.1"


class EventKind(StrEnum):
    """Who made an event."""

    STATUS = "status"
    """The store, with a change of status."""
    REPORT = "report"
    """The tool."""
    GAP = "gap"
    """Nobody: events that are no longer in the log. Made by readers, never stored."""


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """What a tool reported, not yet in the job's log.

    `body` is a JSON object with its ``$schema``; `timestamp` is seconds since the epoch.
    """

    schema: str
    body: bytes
    timestamp: float
    progress: Progress | None = None
    """Set where the event says how far the job is: the store keeps the last one in the job's record."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One entry of a job's log.

    `seq` counts from 1 in each job. A hole in the numbers stands for events that were dropped.
    """

    seq: int
    kind: EventKind
    schema: str
    timestamp: float
    body: bytes = b""
    """The reported JSON object. Empty for a change of status."""
    status: JobStatus | None = None
    """The new status. None for what a tool reports."""
    dropped: int = 0
    """How many events are missing where a gap stands, up to its own number."""

    def event_id(self, job: Job) -> str:
        """A UUID for this event of a job: the same each time that it is read, and no other's.

        The id of a job that was forgotten may be another job's later; the time of its request is not.
        """
        if self.kind is EventKind.GAP:  # who has seen the dropped event must not take the gap for it
            return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job.urn}#{self.seq - self.dropped + 1}-{self.seq}"))
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job.urn}@{job.requested_at!r}#{self.seq}"))


class EventPage(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a job's log, in order."""

    events: list[Event]
    last_seq: int
    """The highest number given out so far in this job: more is there if the last event's number is lower."""
    final: bool
    """Whether the job is final, so that nothing will come after `last_seq`."""


def status_event(seq: int, status: JobStatus, now: float) -> Event:
    """The entry that tells of a job's new status."""
    return Event(seq, EventKind.STATUS, STATUS_SCHEMA, now, status=status)


def report_event(seq: int, event: NewEvent) -> Event:
    """What a tool reported, as an entry."""
    return Event(seq, EventKind.REPORT, event.schema, event.timestamp, event.body)


def first_events(job: Job) -> list[Event]:
    """What the log of a new job begins with (`JobStore.create`): it was pending, and may be executing already."""
    events = [status_event(1, JobStatus.PENDING, job.requested_at)]
    if job.started_at is not None:
        events.append(status_event(2, job.status, job.started_at))
    return events


def gap_event(event: Event, dropped: int) -> Event:
    """What stands for events that are missing ahead of one. Its number is that of the last of them: a reader resumes
    behind the gap.
    """
    return Event(event.seq - 1, EventKind.GAP, GAP_SCHEMA, event.timestamp, dropped=dropped)
