"""Which trace a call belongs to (SEP-414: OpenTelemetry Trace Context Propagation Conventions)."""

import sys
from typing import Any

import msgspec

from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.model.trace import is_traceparent

__all__ = ["note_call", "trace_of"]

_LONGEST_BAGGAGE = 8192  # W3C Baggage, 3.3.2


def trace_of(request: McpRequest) -> dict[str, Any]:
    """The members of `Submission` by which the job of a call continues the client's trace.

    ``traceparent``, ``tracestate`` and ``baggage`` of ``params._meta`` come before those of the HTTP request. They are
    the only ones on standard input. What is malformed is ignored. The HTTP request's stay in `RequestInfo`, so that
    the job's span can link to it.

    Returns:
        `traceparent`, `tracestate`, `request_info`.
    """
    caller, meta = request.caller, request.meta
    traceparent, tracestate = caller.traceparent, caller.tracestate
    if is_traceparent(meta.traceparent):
        traceparent = meta.traceparent
        tracestate = meta.tracestate if isinstance(meta.tracestate, str) else None
    info = caller.request_info
    if isinstance(meta.baggage, str) and len(meta.baggage) <= _LONGEST_BAGGAGE and meta.baggage.isascii():
        info = _with_baggage(info, meta.baggage)
    return {"traceparent": traceparent, "tracestate": tracestate, "request_info": info}


def _with_baggage(info: RequestInfo | None, baggage: str) -> RequestInfo:
    if info is None:
        info = RequestInfo(method="POST", url="stdio:")
    fields = tuple(field for field in info.fields if field[0] != b"baggage")
    return msgspec.structs.replace(info, fields=(*fields, (b"baggage", baggage.encode())))


def note_call(request: McpRequest, tool: str) -> None:
    """Say on the span of the HTTP request, where there is one, what is called (OpenTelemetry's conventions for MCP).

    The session is left out: who knows it can cancel the session's calls.
    """
    if request.caller.traceparent is None:  # where the request has a span, it goes on with that
        return
    trace: Any = sys.modules.get("opentelemetry.trace")  # without telemetry it may not be loaded
    if trace is None:
        return
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(
            {
                "mcp.method.name": request.method,
                "mcp.protocol.version": request.version,
                "jsonrpc.request.id": request.id.decode().strip('"'),
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": tool,
            }
        )
