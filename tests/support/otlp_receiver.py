"""A collector: takes OTLP over HTTP as protobuf, decodes it, and answers as a real one does."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["LogLine", "OtlpReceiver", "Point", "Span", "black_hole"]

_MESSAGES: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUSES = {0: "unset", 1: "ok", 2: "error"}


@dataclass(frozen=True)
class Span:
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    status: str
    status_text: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    resource: dict[str, Any]
    links: list[tuple[str, str]]
    """Ids of trace and span."""


@dataclass(frozen=True)
class Point:
    name: str
    labels: dict[str, Any]
    value: float
    """Of a counter; of a histogram, how many were measured."""
    resource: dict[str, Any]


@dataclass(frozen=True)
class LogLine:
    body: str
    logger: str
    trace_id: str
    span_id: str
    severity: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Received:
    spans: list[Span] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)
    headers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


class OtlpReceiver:
    """Listens on 127.0.0.1 while it is entered."""

    def __init__(self) -> None:
        self._received = Received()
        self._news = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                signal = self.path.rpartition("/")[2]
                receiver._take(signal, self.path, dict(self.headers.items()), body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
                """Quietly."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        """What makes a service send here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }

    @property
    def spans(self) -> list[Span]:
        with self._news:
            return list(self._received.spans)

    @property
    def points(self) -> list[Point]:
        with self._news:
            return list(self._received.points)

    @property
    def lines(self) -> list[LogLine]:
        with self._news:
            return list(self._received.lines)

    @property
    def requests(self) -> list[tuple[str, dict[str, str]]]:
        """The path and the header fields of each request."""
        with self._news:
            return list(self._received.headers)

    @property
    def content(self) -> bytes:
        """All bodies, uncompressed, as they came."""
        with self._news:
            return b"".join(self._received.bodies)

    def wait(self, is_there: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Wait until what has come fulfils a condition."""
        with self._news:
            found = self._news.wait_for(is_there, timeout=seconds)
        assert found, f"it did not come; these spans did: {sorted({span.name for span in self._received.spans})}"

    def span(self, name: str, **attributes: Any) -> Span:
        """Wait for a span of this name, and with these attributes (``__`` for a dot)."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}

        def found() -> list[Span]:
            return [
                span for span in self._received.spans if span.name == name and wanted.items() <= span.attributes.items()
            ]

        self.wait(lambda: bool(found()))
        return found()[0]

    def _take(self, signal: str, path: str, headers: dict[str, str], body: bytes) -> None:
        message = _MESSAGES[signal].FromString(body)
        with self._news:
            self._received.headers.append((path, headers))
            self._received.bodies.append(body)
            if signal == "traces":
                self._received.spans.extend(_spans(message))
            elif signal == "metrics":
                self._received.points.extend(_points(message))
            else:
                self._received.lines.extend(_lines(message))
            self._news.notify_all()


def _spans(message: Any) -> Iterator[Span]:
    for group in message.resource_spans:
        resource = _plain(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    _KINDS[span.kind],
                    _STATUSES[span.status.code],
                    span.status.message,
                    _plain(span.attributes),
                    [(event.name, _plain(event.attributes)) for event in span.events],
                    resource,
                    [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                )


def _points(message: Any) -> Iterator[Point]:
    for group in message.resource_metrics:
        resource = _plain(group.resource.attributes)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                for point in metric.sum.data_points:
                    yield Point(metric.name, _plain(point.attributes), point.as_int or point.as_double, resource)
                for point in metric.histogram.data_points:
                    yield Point(metric.name, _plain(point.attributes), point.count, resource)


def _lines(message: Any) -> Iterator[LogLine]:
    for group in message.resource_logs:
        resource = _plain(group.resource.attributes)
        for scope in group.scope_logs:
            for line in scope.log_records:
                yield LogLine(
                    line.body.string_value,
                    scope.scope.name,
                    line.trace_id.hex(),
                    line.span_id.hex(),
                    line.severity_text,
                    _plain(line.attributes),
                    resource,
                )


def _plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def black_hole() -> Iterator[str]:
    """The URL of a port that takes connections and what they send, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
