"""What a `RedisJobStore` knows of a job: the record, and which write made it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from lambda_kit.core.model.events import STATUS_SCHEMA, Event, EventKind
from lambda_kit.core.model.job import Job, JobStatus, Progress
from lambda_kit.core.ports.store_records import decode_job

__all__ = ["STATE", "Known", "encode_progress", "known_job", "logged_event", "with_progress"]

STATE = (b"r", b"v", b"n", b"tb", b"le", b"c", b"p")
"""The members of a job's hash that `known_job` takes."""

_encoder = msgspec.json.Encoder()
_decode_progress = msgspec.json.Decoder(Progress).decode


class Known(NamedTuple):
    """A record that was in the store."""

    job: Job
    write: str
    """The id of the write that made it: while that is the last one the record is as it was."""
    number: int = 0
    """The job's number by creation."""
    lease_expires_at: str = ""
    """As it is stored: it is compared as text."""


def known_job(state: Sequence[Any]) -> Known | None:
    """What an answer of the scripts' ``state`` says. None: there is no such job."""
    record, write, number, assigned_worker, lease_expires_at, cancel_requested, progress = state
    if record is None:
        return None
    job = decode_job(record)
    worker_id = assigned_worker.decode() or None
    expiry = float(lease_expires_at) if lease_expires_at else None
    is_asked = cancel_requested == b"1"
    if (job.assigned_worker, job.lease_expires_at, job.cancel_requested) != (worker_id, expiry, is_asked):
        job = msgspec.structs.replace(
            job, assigned_worker=worker_id, lease_expires_at=expiry, cancel_requested=is_asked
        )
    return Known(with_progress(job, progress), write.decode(), int(number), lease_expires_at.decode())


def encode_progress(progress: Progress) -> str:
    """A `Progress` as text."""
    return _encoder.encode(progress).decode()


def with_progress(job: Job, progress: bytes | None) -> Job:
    """The record with the progress that is stored beside it."""
    return job if progress is None else msgspec.structs.replace(job, progress=_decode_progress(progress))


def logged_event(entry_id: bytes, members: Sequence[bytes]) -> Event:
    """The event of an entry of a job's stream."""
    values = dict(zip(members[::2], members[1::2], strict=True))
    seq, timestamp = int(entry_id.partition(b"-")[0]), float(values[b"t"])
    status = values.get(b"st")
    if status is not None:
        return Event(seq, EventKind.STATUS, STATUS_SCHEMA, timestamp, status=JobStatus(status.decode()))
    return Event(seq, EventKind.REPORT, values[b"s"].decode(), timestamp, values[b"b"])
