"""What the command line needs of a server: `ToolServer` has it, and is not imported here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ivcap_service

from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.mcp.options import McpOptions
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.jobs.settings import JobSettings
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Served"]


class Served(Protocol):
    """A server of tools, as the command line sees it."""

    service: ivcap_service.Service
    """Who offers the tools."""
    tools: Mapping[str, BoundTool]
    """The tools by name, in order."""
    http_settings: HttpSettings
    """What can be set of the HTTP side."""
    jobs: JobService
    """The door to the jobs."""

    @property
    def app(self) -> Any:
        """The ASGI app."""
        ...

    @property
    def version(self) -> str:
        """The version of the service."""
        ...

    @property
    def settings(self) -> JobSettings:
        """How jobs are looked after."""
        ...

    @property
    def has_shared_store(self) -> bool:
        """Whether several processes can use the store at once."""
        ...

    def enable(
        self,
        *,
        job_list: bool = False,
        debug: bool = False,
        grace_seconds: float | None = None,
        store: Any = None,
        max_body_bytes: int | None = None,
        max_upload_bytes: int | None = None,
        allowed_hosts: Any = None,
        root_path: str | None = None,
        forwarded_allow_ips: Any = None,
        with_telemetry: bool | None = None,
        is_batch: bool = False,
    ) -> None:
        """Switch on what the command line asks for."""
        ...

    def add_platform_api(self, *, artifacts: str | Path = ...) -> None:
        """Serve the platform's job API under ``/1``."""
        ...

    def add_mcp(self, options: McpOptions | None = None) -> Any:
        """Serve the tools by MCP at ``/mcp``; returns the endpoint."""
        ...

    def check_environment(self) -> None:
        """See whether what the environment says can be."""
        ...

    async def why_not_ready(self) -> str | None:
        """Why no job can be taken now, in words. None: one can."""
        ...

    async def __aenter__(self) -> Any:
        """Start it."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Stop it."""
        ...

    def begin_stop(self, grace_seconds: float | None = None) -> None:
        """Take no more jobs, and give so many seconds to those that were taken."""
        ...

    async def drain(self) -> None:
        """Take no more jobs, and stay until nobody needs this process any more."""
        ...
