"""`PlatformApi`: all routes of the platform's job API, for a router of the server (docs/laptop.md)."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from litestar import Request, Router, route
from litestar.types import ControllerRouterHandler, Middleware

from lambda_kit.adapters.platform.artifact_controller import artifact_controller
from lambda_kit.adapters.platform.artifact_folder import ArtifactFolder
from lambda_kit.adapters.platform.aspect_controller import aspect_controller
from lambda_kit.adapters.platform.aspects import Aspects
from lambda_kit.adapters.platform.errors import NotFoundError, error_handlers
from lambda_kit.adapters.platform.host import PlatformHost
from lambda_kit.adapters.platform.job_controller import job_controller
from lambda_kit.adapters.platform.service_controller import service_controller
from lambda_kit.adapters.platform.services import PlatformServices, project_service_id
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["PlatformApi"]


class PlatformApi:
    """Serves the tools as services of the platform, and artifacts from a folder, under ``/1``.

    Args:
        host: The server.
        tools: Its tools, in order.
        service_file: The service file, to whose project the first tool belongs. None: it is not known.
        artifacts: The folder of artifacts and aspects. It is made when it is needed.
    """

    def __init__(
        self, host: PlatformHost, tools: Iterable[BoundTool], service_file: str | None, artifacts: str | Path
    ) -> None:
        self._host = host
        services = PlatformServices(host.service, tools, project_service_id(service_file))
        folder = ArtifactFolder(Path(artifacts), host.max_artifact_bytes)
        self._handlers: list[ControllerRouterHandler] = [
            service_controller(host, services),
            job_controller(host, services),
            aspect_controller(host, Aspects(folder.root / "aspects", services)),
            artifact_controller(host, folder),
            _the_rest,
        ]

    def routes(self, around: Sequence[Middleware]) -> Router:
        """A router with all routes, which can be registered with an app that exists too.

        Args:
            around: Middleware around these.
        """
        return Router(
            "/",
            route_handlers=self._handlers,
            guards=list(self._host.guards),
            middleware=list(around),
            exception_handlers=error_handlers(self._host),
            response_headers=list(self._host.response_headers),
            request_max_body_size=None,  # each route bounds what it reads
        )


@route("/1/{rest:path}", http_method=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
async def _the_rest(request: Request[Any, Any, Any]) -> None:
    path = request.scope["path"][:200]
    raise NotFoundError(f"{request.method} {path}: the job API of a laptop has no such part of the platform")
