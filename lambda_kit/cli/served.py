"""What the command line needs of a server: `ToolServer` has it, and is not imported here."""

from collections.abc import Mapping
from typing import Any, Protocol

import ivcap_service

from lambda_kit.adapters.http.settings import HttpSettings
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
    ) -> None:
        """Switch on what the command line asks for."""
        ...

    def check_environment(self) -> None:
        """See whether what the environment says can be."""
        ...

    def begin_stop(self) -> None:
        """Take no more jobs."""
        ...

    async def drain(self) -> None:
        """Take no more jobs, and stay until nobody needs this process any more."""
        ...
