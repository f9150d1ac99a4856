"""The events of a job: its changes of status and what its tool reports."""

import uuid
from enum import StrEnum

import msgspec

from lambda_kit.core.job import JobStatus, Progress

__all__ = ["STATUS_SCHEMA", "Event", "EventKind", "EventPage", "NewEvent"]

STATUS_SCHEMA = "urn:ivcap:schema:job.status.1"


class EventKind(StrEnum):
    """Who made an event."""

    STATUS = "status"
    """The store, with a change of status."""
    REPORT = "report"
    """The tool."""


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

    def event_id(self, job_id: str) -> str:
        """A UUID for this event: the same each time that it is read."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:ivcap:job:{job_id}#{self.seq}"))


class EventPage(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a job's log, in order."""

    events: list[Event]
    last_seq: int
    """The highest number given out so far in this job: more is there if the last event's number is lower."""
    final: bool
    """Whether the job is final, so that nothing will come after `last_seq`."""
