"""``GET /metrics``, for Prometheus."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, get
from litestar.response.base import ASGIResponse

from lambda_kit.adapters.http import operations
from lambda_kit.adapters.http.answers import Answer
from lambda_kit.adapters.http.callers import guard_of
from lambda_kit.adapters.http.openapi import describe_operation
from lambda_kit.adapters.http.security import secured
from lambda_kit.adapters.http.settings import HttpSettings

__all__ = ["RenderMetrics", "metrics_handler"]

RenderMetrics = Callable[[str | None], Awaitable[tuple[bytes, str]]]
"""Given the ``Accept`` header, returns the text and its content type; raises `MissingExtraError`."""


def metrics_handler(render: RenderMetrics, settings: HttpSettings) -> Any:
    """Make the handler.

    Args:
        render: Makes the text.
        settings: Of the HTTP side.
    """

    async def metrics(request: Request[Any, Any, Any]) -> ASGIResponse:
        content, content_type = await render(request.headers.get("accept"))
        return Answer(200, content, content_type, [(b"vary", b"Accept")])  # type: ignore[return-value]

    described = get(
        "/metrics",
        tags=["System"],
        summary="The numbers of the service, for Prometheus",
        operation_id="metrics",
        operation_class=describe_operation(secured(operations.metrics, settings, "metrics")),
        guards=[guard_of(settings, "metrics")],
    )
    return described(metrics)
