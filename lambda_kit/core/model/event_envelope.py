"""The envelope in which the platform, and so every stream of events, sends the events of a job (docs/wire.md)."""

from typing import Any

import msgspec

from lambda_kit.core.model.events import Event, EventKind
from lambda_kit.core.model.job import Job
from lambda_kit.core.model.rfc3339 import rfc3339

__all__ = ["as_one_line", "envelope", "one_line"]

# characters that some clients take for the end of a line, as bytes, and how JSON spells them
_LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def envelope(event: Event, job: Job) -> dict[str, Any]:
    """One event of a job with what the platform says of it, as plain data."""
    kind, members = _kind_and_members(event)
    return {
        "SeqID": f"{event.seq:08d}",
        "eventID": event.event_id(job),
        "type": kind,
        "schema": event.schema,
        "source": job.tool,
        "timestamp": rfc3339(event.timestamp),
        "data": {"job-urn": job.urn} | members | {"job-urn": job.urn},
    }


def _kind_and_members(event: Event) -> tuple[str, dict[str, Any]]:
    if event.kind is EventKind.GAP:
        return "ivcap.job.gap", {"dropped": event.dropped}
    if event.kind is EventKind.STATUS:
        return "ivcap.job.status", {"status": event.status}
    return "ivcap.job.event", msgspec.json.decode(event.body, type=dict[str, Any])


def as_one_line(data: dict[str, Any]) -> bytes:
    """JSON that no client of Server-Sent Events takes for more than one line."""
    return one_line(msgspec.json.encode(data))


def one_line(text: bytes) -> bytes:
    """JSON as it is, but that nobody takes it for more than one line."""
    if not text.isascii():
        for character, spelled in _LINE_ENDS:
            text = text.replace(character, spelled)
    if b"\n" in text or b"\r" in text:  # white space: within a string they are escaped already
        text = text.replace(b"\n", b" ").replace(b"\r", b" ")
    return text
