"""The trace that a job continues (W3C Trace Context)."""

import re

from lambda_kit.core.model.job import Job

__all__ = ["is_traceparent", "trace_headers"]

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]*)?")
_LENGTH_OF_00 = 55


def is_traceparent(value: object) -> bool:
    """Whether a value is a well-formed ``traceparent`` (W3C Trace Context, 3.2)."""
    if not isinstance(value, str) or _TRACEPARENT.fullmatch(value) is None:
        return False
    return len(value) == _LENGTH_OF_00 or not value.startswith("00")  # only later versions may have more in it


def trace_headers(job: Job) -> dict[str, str]:
    """The header fields by which a call on behalf of a job continues its trace. Empty where it has none, or a bad one.

    ``traceparent``, and ``tracestate`` if there is one beside it.
    """
    kept = {} if job.request_info is None else job.request_info.headers
    traceparent = job.traceparent or kept.get("traceparent", "")
    if not is_traceparent(traceparent):
        return {}
    headers = {"traceparent": traceparent}
    # each belongs to the traceparent that it came with
    tracestate = job.tracestate if job.traceparent else kept.get("tracestate")
    return {**headers, "tracestate": tracestate} if tracestate else headers
