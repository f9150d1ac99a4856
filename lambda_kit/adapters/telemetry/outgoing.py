"""Spans for the calls that tools make by requests, httpx and httpx2. Imported only where telemetry is on."""

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from typing import Any

from opentelemetry.trace import Span

from lambda_kit.adapters.telemetry.destination import Destination
from lambda_kit.core.model.request_info import redacted_query

__all__ = ["instrumented_clients"]

_CLIENTS = (
    ("requests", "opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
    ("httpx", "opentelemetry.instrumentation.httpx", "HTTPXClientInstrumentor"),
    ("httpx2", "opentelemetry.instrumentation.httpx", "HTTPX2ClientInstrumentor"),
)
_EXCLUDED_VARIABLES = {
    "requests": "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS",
    "httpx": "OTEL_PYTHON_HTTPX_EXCLUDED_URLS",
    "httpx2": "OTEL_PYTHON_HTTPX_EXCLUDED_URLS",
}
_URL_ATTRIBUTES = ("url.full", "http.url")


@contextlib.contextmanager
def instrumented_clients(destination: Destination) -> Iterator[None]:
    """While the block lasts, calls by those clients that are installed have a span and continue the trace.

    A client that somebody has instrumented already is left as it is.

    Args:
        destination: Where telemetry goes: calls to there have no span.
    """
    excluded = _excluded(destination)
    with contextlib.ExitStack() as undo:
        for client, module, name in _CLIENTS:
            instrumentor = _instrumentor(client, module, name)
            if instrumentor is not None and not instrumentor.is_instrumented_by_opentelemetry:
                _instrument(instrumentor, _EXCLUDED_VARIABLES[client], excluded)
                undo.callback(instrumentor.uninstrument)
        yield


def _instrumentor(client: str, module: str, name: str) -> Any:
    try:
        importlib.import_module(client)
        return getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError):  # not installed, or an older instrumentor, which does not know it
        return None


def _instrument(instrumentor: Any, variable: str, excluded: str) -> None:
    # there is no other way to tell the one of httpx, which ignores the keyword
    before = os.environ.get(variable)
    given = before or os.environ.get("OTEL_PYTHON_EXCLUDED_URLS")
    os.environ[variable] = f"{given},{excluded}" if given else excluded
    try:
        instrumentor.instrument(
            request_hook=_without_secrets, async_request_hook=_without_secrets_async, skip_dep_check=True
        )
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _excluded(destination: Destination) -> str:
    """Patterns of URLs that get no span, comma-separated: what telemetry and delivery call themselves, and the user's.

    The user's are those of ``OTEL_EXPORTER_SKIP_URLS``.
    """
    patterns = [f"^{_escaped(url)}" for url in sorted(set(destination.endpoints.values()))]
    sidecar = re.sub("(?<=//)[^/]*@", "", os.environ.get("IVCAP_BASE_URL", "").strip().rstrip("/"))
    if sidecar:
        patterns.append(f"^{_escaped(sidecar)}/(events/|results/|next_job)")
    skipped = (part.strip() for part in re.split("[,;]", os.environ.get("OTEL_EXPORTER_SKIP_URLS", "")))
    patterns.extend(_pattern(text) for text in skipped if text)
    return ",".join(patterns) or "^$"


def _escaped(url: str) -> str:
    return re.escape(url).replace(",", ".")  # a comma would begin another pattern


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error:  # such as *.example.com
        return re.escape(text).replace(r"\*", ".*")
    return text


def _without_secrets(span: Span, _request: object) -> None:
    """Blank credentials in the query of the URL, as in what is kept of requests."""
    attributes = getattr(span, "attributes", None) or {}
    for name in _URL_ATTRIBUTES:
        if "?" in (url := str(attributes.get(name, ""))):
            base, _, query = url.partition("?")
            span.set_attribute(name, f"{base}?{redacted_query(query)}")


async def _without_secrets_async(span: Span, request: object) -> None:
    _without_secrets(span, request)
