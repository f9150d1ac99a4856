"""The Litestar plugin that brings all routes: of tools and jobs, health and metrics."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, Protocol

from litestar import Litestar, Router
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin
from litestar.types import Middleware

from lambda_kit.adapters.http.bodies import models_of
from lambda_kit.adapters.http.components import with_components
from lambda_kit.adapters.http.door import Door
from lambda_kit.adapters.http.heads import add_heads
from lambda_kit.adapters.http.metrics_route import RenderMetrics
from lambda_kit.adapters.http.routes import job_list_routes, job_routes, metrics_routes
from lambda_kit.adapters.http.security import security_schemes
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.core.jobs.service import JobService

__all__ = ["PluggedServer", "SupportsRoutes", "ToolPlugin"]


class SupportsRoutes(Protocol):
    """Another adapter, which has routes."""

    def routes(self, around: Sequence[Middleware]) -> Router:
        """A router with them.

        Args:
            around: Middleware of the server, where the app is another's.
        """
        ...


class PluggedServer(NamedTuple):
    """What the routes need of a server."""

    jobs: JobService
    settings: HttpSettings
    version: Callable[[], str]
    why_not_ready: Callable[[], Awaitable[str | None]]
    render_metrics: RenderMetrics
    running: Callable[[], AbstractAsyncContextManager[object]]
    """Runs the server while it is entered."""


class ToolPlugin(InitPlugin):
    """Adds the routes of a server, and its life, to an app.

    Args:
        server: Whose routes they are.
        more: Other adapters, whose routes are added too.
        metrics: Whether ``GET /metrics`` is one of them.
        middleware: Around these routes alone, where the app is another's; the door is put in front of it. None: the app
            is the server's own, with door and middleware in front of all routes.
    """

    def __init__(
        self,
        server: PluggedServer,
        more: Iterable[SupportsRoutes],
        *,
        metrics: bool,
        middleware: Sequence[Middleware] | None,
    ) -> None:
        self._server = server
        self._more = more
        self._metrics = metrics
        self._middleware = middleware

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Called by Litestar."""
        jobs, settings, version, why_not_ready, render, _ = self._server
        models = models_of(jobs.tools.values())
        around: list[Middleware] = []
        if self._middleware is None:
            settings.change(cors=app_config.cors_config)
            app_config.cors_config = None
        else:
            door = Door(settings, [tool.path for tool in jobs.tools.values()])
            around = [door.around, *self._middleware]
        routes = [job_routes(jobs, settings, models, why_not_ready, version, around)]
        if self._metrics:
            routes.append(metrics_routes(render, settings, around))
        if settings.job_list:
            routes.append(job_list_routes(jobs, settings, around))
        app_config.route_handlers.extend([*routes, *(add_heads(more.routes(around)) for more in self._more)])
        if app_config.openapi_config is not None:
            app_config.openapi_config = with_components(
                app_config.openapi_config, models, security_schemes(settings, jobs.tools.values())
            )
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        async with self._server.running():
            yield
