"""`PlatformHost`: what the platform's routes need of the server beside which they are served."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import ivcap_service
from litestar import Request
from litestar.datastructures import ResponseHeader
from litestar.response import Response
from litestar.types import Guard, HTTPScope, Receive

from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.request_info import Fields, KeptFields, RequestInfo, redacted_query

__all__ = ["PlatformHost"]


class PlatformHost(NamedTuple):
    """A server, as these routes see it."""

    service: ivcap_service.Service
    """Who offers the tools."""
    jobs_for: Callable[[HTTPScope], JobService]
    """The jobs, as they are there for whoever sent a request."""
    authorization: Callable[[HTTPScope], Awaitable[str | None]]
    """What of a request's ``Authorization`` is handed on to the tool. None: nothing."""
    public_url: Callable[[HTTPScope], str]
    """What to put before a path to get the URL that the client can use, without a slash at its end."""
    wait_seconds: Callable[[HTTPScope], float | None]
    """For how long a request says that it waits for a result. None: it does not say."""
    wait_while_connected: Callable[[JobService, WaitResult, float, Receive], Awaitable[WaitResult]]
    """Waits for a job as long as its client is there: what was found, how many seconds more, and the request's."""
    on_exception: Callable[[Request[Any, Any, Any], Exception], Response[bytes]]
    """Makes an answer of an error, as for all routes."""
    kept_fields: KeptFields
    """Chooses the header fields that are kept with a job."""
    max_body_bytes: Callable[[], int]
    """How large a request of a tool may be."""
    max_artifact_bytes: Callable[[], int]
    """How large an artifact may be."""
    guards: Sequence[Guard]
    """Litestar's, for all routes."""
    response_headers: Sequence[ResponseHeader]
    """What every answer has."""
    shows_tracebacks: Callable[[], bool]
    """Whether clients are shown tracebacks."""

    def request_info(self, scope: HTTPScope) -> RequestInfo:
        """What is kept of a request with its job."""
        fields: Fields = tuple((bytes(name), bytes(value)) for name, value in scope["headers"])
        query = redacted_query(scope["query_string"]).decode("latin-1")
        url = self.public_url(scope) + scope["path"].removeprefix(scope.get("root_path", ""))
        return RequestInfo(
            method=scope["method"],
            url=f"{url}?{query}" if query else url,
            fields=self.kept_fields.of(fields),
            client=scope.get("client"),
        )
