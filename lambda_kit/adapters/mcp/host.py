"""`McpHost`: what MCP needs of the server whose tools it offers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import ivcap_service
from litestar import Request
from litestar.response import Response
from litestar.types import Guard, HTTPScope, Receive

from lambda_kit.adapters.mcp.options import McpOptions
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.model.request_info import RequestInfo

__all__ = ["McpCaller", "McpHost", "SendWhole"]

SendWhole = Callable[[Any, int, list[tuple[bytes, bytes]], bytes], bool]
"""Sends a whole answer by one call, given `send`, status, header fields and body. False: nothing was done."""


class McpCaller(NamedTuple):
    """Who sent a message."""

    jobs: JobService
    """The jobs as they are there for it."""
    principal: Principal | None = None
    """None: the service has no authenticator, or it is the user of this machine, on standard input."""
    authorization: str | None = None
    """The ``Authorization`` that is handed on to the tool."""
    request_info: RequestInfo | None = None
    """What is kept of the request with its job."""
    traceparent: str | None = None
    """The field of the request (W3C Trace Context)."""
    tracestate: str | None = None

    @property
    def principal_id(self) -> str | None:
        """The id of `principal`."""
        return None if self.principal is None else self.principal.id


class McpHost(NamedTuple):
    """A server, as MCP sees it."""

    service: ivcap_service.Service
    """Who offers the tools."""
    version: str
    """The version of the service."""
    jobs: JobService
    """Has the tools; for the jobs of a caller see `caller_of`."""
    options: McpOptions
    """How the tools are served."""
    caller_of: Callable[[HTTPScope], Awaitable[McpCaller]]
    """Finds out who sent a request.

    Raises:
        AuthenticationError: if there are no credentials, or wrong ones.
    """
    max_body_bytes: Callable[[], int]
    """How large a message may be."""
    read_body: Callable[[HTTPScope, Receive, bytes | None], Awaitable[bytes]]
    """The body of a request, given the value of ``Content-Length``.

    Raises:
        PayloadTooLargeError: if it is over the limit; it is not read to its end.
        BadRequestError: if the client leaves before its end.
    """
    send_whole: SendWhole
    """The short way for an answer that is there as a whole."""
    on_exception: Callable[[Request[Any, Any, Any], Exception], Response[bytes]]
    """Makes an answer of an error, as for all routes."""
    guards: Sequence[Guard]
    """Litestar's, for the route."""
    shows_tracebacks: Callable[[], bool]
    """Whether clients are shown tracebacks."""
