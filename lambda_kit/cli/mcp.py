"""Puts MCP together with a server's parts."""

from collections.abc import Mapping

import ivcap_service
from litestar.types import HTTPScope, Receive

from lambda_kit.adapters.http.callers import find_caller, job_guards, jobs_for
from lambda_kit.adapters.http.headers import header_values
from lambda_kit.adapters.http.mcp_door import require_mcp_door
from lambda_kit.adapters.http.problems import on_exception
from lambda_kit.adapters.http.request_body import read_content
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.short_way import send_whole
from lambda_kit.adapters.http.submission import request_info_of
from lambda_kit.adapters.mcp.endpoint import McpEndpoint
from lambda_kit.adapters.mcp.host import McpCaller, McpHost
from lambda_kit.adapters.mcp.options import McpOptions
from lambda_kit.core.jobs.service import JobService

__all__ = ["make_mcp"]


def make_mcp(
    service: ivcap_service.Service, version: str, jobs: JobService, settings: HttpSettings, options: McpOptions
) -> McpEndpoint:
    """Make what answers MCP clients.

    Args:
        service: Who offers the tools.
        version: The version of the service.
        jobs: Has the jobs.
        settings: Of the HTTP side.
        options: Of MCP.

    Raises:
        ConfigurationError: if a host, an origin or the issuer of the options is none; says how to mend it.
    """
    settings.mcp.open(
        hosts=options.allowed_hosts or None,
        origins=options.allowed_origins or None,
        issuer=options.oauth_issuer,
        tool_paths=frozenset(tool.path for tool in jobs.tools.values()),
    )

    async def caller_of(scope: HTTPScope) -> McpCaller:
        require_mcp_door(scope)
        caller = await find_caller(settings, scope)
        raw: list[tuple[bytes, bytes]] = scope["headers"]  # type: ignore[assignment]
        fields = dict(raw)
        return McpCaller(
            jobs=jobs_for(jobs, settings, scope),
            principal=None if caller is None else caller.principal,
            authorization=_text(fields, b"authorization") if caller is None else caller.authorization,
            request_info=request_info_of(scope, settings.kept_fields.of(raw), fields.get(b"host", b"")),
            traceparent=_text(fields, b"traceparent"),
            tracestate=", ".join(header_values(raw, b"tracestate")) if b"tracestate" in fields else None,
        )

    async def read_body(scope: HTTPScope, receive: Receive, announced: bytes | None) -> bytes:
        # Litestar's hooks may have read it, unless this has come the short way
        is_alone = "route_handler" not in scope
        return await read_content(scope, receive, announced, settings.max_body_bytes, is_alone=is_alone)

    return McpEndpoint(
        McpHost(
            service=service,
            version=version,
            jobs=jobs,
            options=options,
            caller_of=caller_of,
            max_body_bytes=lambda: settings.max_body_bytes,
            read_body=read_body,
            send_whole=send_whole,
            on_exception=on_exception,
            guards=job_guards(settings),
            shows_tracebacks=lambda: settings.debug,
        )
    )


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode("latin-1")
