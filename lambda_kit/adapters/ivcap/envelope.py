"""A job as ``GET /next_job`` hands it out, and as a file of ``--run`` may hold it."""

import json
from typing import Any

import msgspec

from lambda_kit.core.model.job import Failure, FailureKind
from lambda_kit.core.model.media_type import JSON, essence_of

__all__ = ["UNKNOWN_JOB_ID", "Envelope", "looks_like_envelope", "read_envelope"]

UNKNOWN_JOB_ID = "unknown_job_id"
"""What stands for the id where the platform gave none."""

_DONE_PREFIX = "urn:ivcap:schema.service.batch.done"
_CONTENT, _CONTENT_TYPE = "in-content", "in-content-type"
_SHOWN_CHARACTERS = 100


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What was handed out."""

    given_id: str = UNKNOWN_JOB_ID
    """The job's id, as it came."""
    request: bytes = b""
    """The request in JSON, byte by byte as it came."""
    fault: Failure | None = None
    """Why there is no request in it that could be run. None: there is one."""
    is_done: bool = False
    """Whether it says that there are no more jobs."""


def read_envelope(body: bytes) -> Envelope:
    """Read what ``next_job`` has answered: ``{"id", "in-content-type", "in-content"}``. Never raises.

    Args:
        body: The answer's body.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Envelope(fault=_not_an_object(body, error))
    if str(_plain(members.get("$schema"))).startswith(_DONE_PREFIX):
        return Envelope(is_done=True)
    given_id = _id_of(members)
    if _CONTENT_TYPE not in members:
        return Envelope(given_id=given_id, fault=_missing(_CONTENT_TYPE))
    content_type = _plain(members[_CONTENT_TYPE])
    if not isinstance(content_type, str) or essence_of(content_type) != JSON:
        text = f"cannot handle content-type {_shown(content_type)}: the tools of a batch service take '{JSON}' only"
        return Envelope(given_id=given_id, fault=_fault("unsupported-media-type", text, status=415))
    if _CONTENT not in members:
        return Envelope(given_id=given_id, fault=_missing(_CONTENT))
    return Envelope(given_id=given_id, request=bytes(members[_CONTENT]))


def looks_like_envelope(body: bytes) -> bool:
    """Whether a file holds a job as the platform hands it out, not a bare request."""
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return _CONTENT in members and (_CONTENT_TYPE in members or "id" in members)


def _id_of(members: dict[str, msgspec.Raw]) -> str:
    job_id = _plain(members.get("id"))
    is_named = isinstance(job_id, (str, int)) and not isinstance(job_id, bool) and job_id != ""
    return str(job_id) if is_named else UNKNOWN_JOB_ID


def _plain(raw: msgspec.Raw | None) -> Any:
    """A member as data. None: it is not there, or is null, or can't be read."""
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _not_an_object(body: bytes, error: Exception) -> Failure:
    """Say what is wrong in the words that people know from Python's own reader, where that finds a fault too."""
    try:
        json.loads(body)
    except json.JSONDecodeError as known:
        return _fault("JSONDecodeError", f"what next_job handed out is no JSON: {known}", status=422)
    except (ValueError, RecursionError) as other:
        error = other
    return _fault("bad-request", f"what next_job handed out is no JSON object: {error}", status=422)


def _missing(name: str) -> Failure:
    return _fault("bad-request", f"the job has no '{name}': it needs 'id', '{_CONTENT_TYPE}' and '{_CONTENT}'")


def _fault(kind: str, message: str, *, status: int = 400) -> Failure:
    return Failure(FailureKind.TOOL, kind, message, status=status)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
