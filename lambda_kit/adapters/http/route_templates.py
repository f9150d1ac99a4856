"""What telemetry needs to know of a request: which route it is for, and whether it is a probe."""

import re
from collections.abc import Callable, Sequence

from litestar.routes import BaseRoute
from litestar.types import HTTPScope

from lambda_kit.adapters.http.system import HEALTH_PATHS

__all__ = ["RouteTemplates", "is_probe", "shown"]

_METRICS_PATH = "/metrics"


class RouteTemplates:
    """The templates of an app's routes, such as ``/jobs/{id}/status``.

    Args:
        routes: Gives the routes; some may be registered while the app runs.
    """

    def __init__(self, routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self._routes = routes
        self._patterns: list[tuple[re.Pattern[str], str]] = []

    def find(self, path: str) -> str | None:
        """The template that a path within the app fits. None: there is no such route."""
        routes = self._routes()
        if len(self._patterns) != len(routes):
            self._patterns = [(_pattern(route.path_format), shown(route.path_format)) for route in routes]
        normal = re.sub("/+", "/", path).rstrip("/") or "/"
        return next((template for pattern, template in self._patterns if pattern.fullmatch(normal)), None)


def shown(path_format: str) -> str:
    """A template as it is shown to people."""
    return path_format.replace("{job_id}", "{id}")


def is_probe(scope: HTTPScope, root_path: str) -> bool:
    """Whether a request is one of those that watch over the service.

    Args:
        scope: The request's, as it came.
        root_path: The prefix that was set.
    """
    path: str = scope["path"]
    if path.endswith(HEALTH_PATHS):
        return True
    return path.endswith(_METRICS_PATH) and path in (
        _METRICS_PATH,
        scope.get("root_path", "") + _METRICS_PATH,
        root_path + _METRICS_PATH,
    )


def _pattern(path_format: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(path_format)))
