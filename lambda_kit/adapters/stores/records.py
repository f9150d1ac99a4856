"""What the stores have in common: how records become bytes, and what is asked of a record.

Records are msgpack maps by member name: a member that an older version did not write gets its default, and one that a
newer version added is ignored.
"""

import re

import msgspec

from lambda_kit.core.errors import BadRequestError, LeaseLostError
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import Lease

__all__ = [
    "SILENT_SECONDS",
    "cursor_number",
    "decode_event",
    "decode_job",
    "encode_event",
    "encode_job",
    "holds_lease",
    "is_expired",
    "lease_lost",
    "new_cursor",
]

SILENT_SECONDS = 3600.0
"""A process that has been silent for so long beyond its time is forgotten (`JobStore.purge`)."""

_encoder = msgspec.msgpack.Encoder()
_CURSOR = re.compile(r"[0-9a-f]{1,15}")  # below 2**60: a database's integers have 63 bits


def encode_job(job: Job) -> bytes:
    """The record as bytes."""
    return _encoder.encode(job)


decode_job = msgspec.msgpack.Decoder(Job).decode
"""The record that `encode_job` made bytes of."""


def encode_event(event: Event) -> bytes:
    """The event as bytes."""
    return _encoder.encode(event)


decode_event = msgspec.msgpack.Decoder(Event).decode
"""The event that `encode_event` made bytes of."""


def holds_lease(job: Job, lease: Lease) -> bool:
    """Whether the lease is the job's current one."""
    return job.status is JobStatus.EXECUTING and job.lease_token == lease.token


def lease_lost(lease: Lease) -> LeaseLostError:
    """The error for a lease that is not the job's current one."""
    return LeaseLostError(f"job '{lease.job_id}' is no longer held with token {lease.token}")


def is_expired(job: Job, now: float) -> bool:
    """Whether the job's time is up."""
    return job.expires_at is not None and job.expires_at <= now


def new_cursor(number: int) -> str:
    """A cursor for what comes behind the job of this number."""
    return f"{number:x}"


def cursor_number(cursor: str) -> int:
    """The number that `new_cursor` made a cursor of.

    Raises:
        BadRequestError: if it is no cursor.
    """
    if not _CURSOR.fullmatch(cursor):
        raise BadRequestError(f"cursor {cursor[:80]!r} is not one that this service gave out")
    return int(cursor, 16)
