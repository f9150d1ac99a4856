"""How stores write records and events as bytes, and what they ask of a record.

Records are msgpack maps by member name. A member that an older version did not write gets its default. A member that a
newer version added is kept, and written back with the record: several versions may share a store during an update.
"""

import re
from typing import Any

import msgspec

from lambda_kit.core.errors import BadRequestError, LeaseLostError, RateLimitedError
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store_types import Lease

__all__ = [
    "SILENT_SECONDS",
    "cursor_number",
    "decode_event",
    "decode_job",
    "encode_event",
    "encode_job",
    "holds_lease",
    "is_expired",
    "job_from_members",
    "job_members",
    "lease_lost",
    "new_cursor",
    "share_full",
]

SILENT_SECONDS = 3600.0
"""A worker is forgotten when its lease ran out this long ago (`JobStore.purge`)."""

_encoder = msgspec.msgpack.Encoder()
_decode_own = msgspec.msgpack.Decoder(Job).decode
_decode_any = msgspec.msgpack.Decoder().decode
_MEMBERS = frozenset(Job.__struct_fields__)
# How a record of this version begins: a msgpack map of more than 15 members, and of how many. Any other is looked at
# member by member.
_OWN_HEADER = _encoder.encode(dict.fromkeys(map(str, range(len(_MEMBERS)))))[:3]
_CURSOR = re.compile(r"[0-9a-f]{1,15}")  # below 2**60: a database's integers have 63 bits


class _NewerJob(Job, frozen=True, gc=False):
    """The record of a job that a newer version has written."""

    newer_members: dict[str, Any]
    """The members that this version does not know."""


def encode_job(job: Job) -> bytes:
    """The record as bytes."""
    return _encoder.encode(job if type(job) is Job else job_members(job))


def decode_job(record: bytes) -> Job:
    """The record that `encode_job` made bytes of, here or in another version."""
    if record.startswith(_OWN_HEADER):
        return _decode_own(record)
    return job_from_members(_decode_any(record))


def job_members(job: Job) -> dict[str, Any]:
    """The record as a dict of plain values and bytes, for a store with a format of its own."""
    members: dict[str, Any] = msgspec.to_builtins(job, builtin_types=(bytes,))
    newer: dict[str, Any] = members.pop("newer_members", {})
    return newer | members


def job_from_members(members: dict[str, Any]) -> Job:
    """The record that `job_members` made a dict of. Bytes may be in base64, as in JSON."""
    newer = {name: value for name, value in members.items() if name not in _MEMBERS}
    if not newer:
        return msgspec.convert(members, Job)
    return msgspec.convert({**members, "newer_members": newer}, _NewerJob)


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


def share_full(max_of_share: int) -> RateLimitedError:
    """The error for a new job of whose share so many are not final."""
    return RateLimitedError(f"{max_of_share} jobs of the caller are waiting or running", retry_after_seconds=1.0)


def is_expired(job: Job, now: float) -> bool:
    """Whether the job is past its `expires_at`."""
    return job.expires_at is not None and job.expires_at <= now


def new_cursor(number: int) -> str:
    """A cursor for the jobs behind the one of this number."""
    return f"{number:x}"


def cursor_number(cursor: str) -> int:
    """The number that `new_cursor` made a cursor of.

    Raises:
        BadRequestError: if it is no cursor.
    """
    if not _CURSOR.fullmatch(cursor):
        raise BadRequestError(f"cursor {cursor[:80]!r} is not one that this service gave out")
    return int(cursor, 16)
