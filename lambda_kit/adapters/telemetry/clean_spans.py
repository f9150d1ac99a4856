"""Spans without the credentials of the jobs that run. Imported only where telemetry is on."""

from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status

from lambda_kit.core.runtime.credentials import are_any_in_use, redacted

__all__ = ["CleanSpanProcessor"]


class CleanSpanProcessor(BatchSpanProcessor):
    """Takes credentials out of what tools put into their spans: names of steps, what they say, exceptions.

    It does so when a span ends, on its thread: the job runs then, and its credentials are known.
    """

    def on_end(self, span: ReadableSpan) -> None:
        super().on_end(_clean(span) if are_any_in_use() else span)


def _clean(span: ReadableSpan) -> ReadableSpan:
    texts = [span.name, dict(span.attributes or {}), span.status.description or ""]
    texts += [dict(event.attributes or {}) for event in span.events]
    clean: list[Any] = [redacted(text) for text in texts]
    if clean == texts:
        return span
    name, attributes, description, *details = clean
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[Event(event.name, detail, event.timestamp) for event, detail in zip(span.events, details, strict=True)],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, description or None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
