"""`CallRecord`: what is kept with the job of a call, so that any replica can go on with its answer.

The ids of jobs and events that belong to it are made here too.
"""

import hashlib
from typing import Self

import msgspec

from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.core.model.job import Job, bare_job_id

__all__ = ["CallRecord", "derived_job_id", "event_id", "read_event_id", "request_key"]


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is kept with a job (`Job.call`) of the request that made it."""

    request_id: bytes
    """As of `McpRequest`."""
    progress_token: bytes | None
    """As of `Meta`."""
    version: str
    session: bytes
    """Stands for the session. Empty: there was none."""

    @classmethod
    def of(cls, request: McpRequest) -> Self:
        """What is to be kept of a call."""
        return cls(
            request_id=request.id,
            progress_token=request.meta.progress_token,
            version=request.version,
            session=_digest_of(request.session),
        )

    @classmethod
    def kept_with(cls, job: Job) -> Self | None:
        """What was kept with a job. None: it was made by another door."""
        if job.call is None:
            return None
        try:
            return msgspec.msgpack.decode(job.call, type=cls)
        except msgspec.DecodeError:  # of a later version
            return None

    def encoded(self) -> bytes:
        """As it is kept."""
        return msgspec.msgpack.encode(self)

    def is_of(self, session: str | None) -> bool:
        """Whether the call was made in that session."""
        return self.session == _digest_of(session)


def request_key(principal: str | None, session: str | None, request_id: bytes) -> tuple[str | None, str | None, str]:
    """What tells a request from those of other clients: "1" and 1 are two ids (JSON-RPC 2.0, 4)."""
    return principal, session, repr(msgspec.json.decode(request_id))


def derived_job_id(principal: str | None, session: str, request_id: bytes) -> str:
    """The id of the job of a call, so that any replica finds it to cancel it. Nobody else can guess it.

    Args:
        principal: Who calls. None: there is no authenticator.
        session: The session that we have given out, with 122 random bits.
        request_id: As of `McpRequest`.

    Returns:
        A UUID of version 8 (RFC 9562).
    """
    key = msgspec.msgpack.encode(request_key(principal, session, request_id))
    digits = hashlib.blake2b(key, digest_size=16, person=b"mcp call").hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def event_id(job_id: str, number: int) -> str:
    """The id of an event of a stream: behind which number of the job's log it is resumed."""
    return f"{job_id}/{number}"


def read_event_id(value: str) -> tuple[str, int] | None:
    """The job and the number of an `event_id`. None: it is none."""
    name, _, number = value.rpartition("/")
    job_id = bare_job_id(name)
    if job_id is None or job_id != name or not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    return job_id, int(number)


def _digest_of(session: str | None) -> bytes:
    return b"" if session is None else hashlib.blake2b(session.encode(), digest_size=16, person=b"session").digest()
