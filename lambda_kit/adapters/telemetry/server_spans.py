"""A span for each request: what is around the app (ASGI). Imported only where telemetry is on."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lambda_kit.core.model.request_info import redacted_query
from lambda_kit.version import VERSION

__all__ = ["ServerSpans"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_TRACE_FIELDS = frozenset({b"traceparent", b"tracestate"})
_SERVER_ERROR = 500
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""In seconds: those of OpenTelemetry's conventions for HTTP."""

_Scope = dict[str, Any]
_Fields = Iterable[tuple[bytes, bytes]]


class _FieldsGetter(Getter[_Fields]):
    """Header fields as ASGI has them."""

    def get(self, carrier: _Fields, key: str) -> list[str] | None:
        """All values of a field."""
        name = key.lower().encode("latin-1")
        return [value.decode("latin-1") for found, value in carrier if found == name] or None

    def keys(self, carrier: _Fields) -> list[str]:
        """The names of all fields."""
        return [name.decode("latin-1") for name, _ in carrier]


_GETTER = _FieldsGetter()
_W3C = TraceContextTextMapPropagator()


class ServerSpans:
    """One span for each request, that continues the client's trace, and the duration of requests as a metric.

    The request goes on with the span's own ``traceparent``: a job that it makes belongs to the span, wherever it runs,
    and so does what is sent for the job.
    """

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("lambda_kit", VERSION)
        self._durations = metrics.get_meter("lambda_kit", VERSION).create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    async def __call__(
        self,
        app: Callable[[Any, Any, Any], Awaitable[None]],
        scope: _Scope,
        receive: Any,
        send: Any,
        route: Callable[[], str | None],
    ) -> None:
        """Have a request answered within a span.

        Args:
            app: Answers it.
            scope: The request's; the trace context in its header fields is changed.
            receive: As ASGI has it.
            send: As ASGI has it.
            route: Says the template of its path, such as ``/jobs/{id}``, once it has been answered. None: there is no
                such path.
        """
        current = trace.get_current_span()
        if current.is_recording() and getattr(current, "kind", None) is SpanKind.SERVER:
            _go_on_with(current, scope)  # the app around this one has made a span for the request
            await app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = _request_attributes(scope, method)
        parent = propagate.extract(scope["headers"], context=context.Context(), getter=_GETTER)
        shown_method = "HTTP" if method == "_OTHER" else method
        begin = time.perf_counter()
        status = 0

        async def watched_send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        span = self._tracer.start_span(shown_method, parent, SpanKind.SERVER, attributes)
        token = context.attach(trace.set_span_in_context(span, parent))
        raised: BaseException | None = None
        try:
            _go_on_with(span, scope)
            await app(scope, receive, watched_send)
        except BaseException as error:
            raised = error
            raise
        finally:
            context.detach(token)
            template = route()
            if template is not None:
                span.update_name(f"{shown_method} {template}")
                span.set_attribute("http.route", template)
            _end(span, status, raised)
            labels: dict[str, Any] = {"http.request.method": method, "url.scheme": attributes["url.scheme"]}
            if template is not None:
                labels["http.route"] = template
            if status:
                labels["http.response.status_code"] = status
            self._durations.record(time.perf_counter() - begin, labels, trace.set_span_in_context(span, parent))


def _request_attributes(scope: _Scope, method: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "http.request.method": method,
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    if method == "_OTHER":
        attributes["http.request.method_original"] = scope["method"]
    if query := scope.get("query_string"):
        attributes["url.query"] = redacted_query(query).decode("latin-1")
    if server := scope.get("server"):
        attributes["server.address"] = server[0]
        if server[1] is not None:
            attributes["server.port"] = server[1]
    if client := scope.get("client"):
        attributes["client.address"] = client[0]
    if agent := _GETTER.get(scope["headers"], "user-agent"):
        attributes["user_agent.original"] = agent[0]
    return attributes


def _go_on_with(span: Span, scope: _Scope) -> None:
    """Put a span's context in the place of the one that came."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span))
    fields = [field for field in scope["headers"] if field[0] not in _TRACE_FIELDS]
    scope["headers"] = [*fields, *((name.encode(), value.encode()) for name, value in carrier.items())]


def _end(span: Span, status: int, raised: BaseException | None) -> None:
    if status:
        span.set_attribute("http.response.status_code", status)
    if raised is not None:
        span.set_attribute("error.type", type(raised).__qualname__)
        span.set_status(Status(StatusCode.ERROR))
    elif status >= _SERVER_ERROR:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
    span.end()
