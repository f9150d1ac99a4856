"""`ServedApp`: all that a server has for HTTP, as an app of its own or as a plugin for one that exists."""

from collections.abc import Mapping
from functools import cached_property

import ivcap_service
from litestar import Litestar
from litestar.types import ASGIApp

from lambda_kit.adapters.http.heads import add_heads
from lambda_kit.adapters.http.routes import job_list_routes
from lambda_kit.adapters.http.tool_app import AppHooks, make_app
from lambda_kit.adapters.http.tool_plugin import PluggedServer, SupportsRoutes, ToolPlugin

__all__ = ["ServedApp"]


class ServedApp:
    """Has the app of a server, and what is added to it, also when it has been made already.

    Args:
        service: Who offers the tools.
        server: What the routes need of the server.
        hooks: What the user adds to the app.
    """

    def __init__(self, service: ivcap_service.Service, server: PluggedServer, hooks: AppHooks) -> None:
        self._service = service
        self._server = server
        self._hooks = hooks
        self._more: list[SupportsRoutes] = []
        self._entries: dict[str, ASGIApp] = {}

    @cached_property
    def app(self) -> Litestar:
        """The app. It is made once, on first use."""
        return make_app(
            self._server.jobs,
            self._server.settings,
            service=self._service,
            version=self._server.version(),
            plugin=ToolPlugin(self._server, self._more, metrics=True, middleware=None),
            hooks=self._hooks,
            entries=self._entries,
        )

    def plugin(self, *, metrics: bool) -> ToolPlugin:
        """A plugin that adds the routes to an app of others, with the user's middleware around them.

        Args:
            metrics: Whether ``GET /metrics`` is one of them.
        """
        return ToolPlugin(self._server, self._more, metrics=metrics, middleware=self._hooks.middleware)

    def add(self, more: SupportsRoutes, entries: Mapping[str, ASGIApp] | None = None) -> None:
        """Serve the routes of another adapter too.

        Args:
            more: The adapter.
            entries: By path, what answers POSTs in their place, where nobody has a say in them (`make_app`).
        """
        self._more.append(more)
        self._entries.update(entries or {})
        if self._is_made:
            self.app.register(add_heads(more.routes(())))

    def show_job_list(self) -> None:
        """Serve ``GET /jobs``. No effect if it is served."""
        settings = self._server.settings
        if not settings.job_list:
            settings.job_list = True
            if self._is_made:
                self.app.register(job_list_routes(self._server.jobs, settings))

    def show_tracebacks(self) -> None:
        """Show tracebacks to clients."""
        self._server.settings.debug = True
        if self._is_made:
            self.app.debug = True

    @property
    def _is_made(self) -> bool:
        return "app" in self.__dict__
