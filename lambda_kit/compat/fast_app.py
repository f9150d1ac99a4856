"""The FastAPI apps to which a service has added its tools, and what else it has put there.

Nothing is imported of FastAPI here before the service asks for it.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from lambda_kit.compat import registry
from lambda_kit.compat.registry import ToolDescription
from lambda_kit.core.errors import ConfigurationError

__all__ = ["app_of_requests", "default_app", "made_app", "registrations_kept_apart", "serve_mcp", "tools_of"]

_made: list[Any] = []
"""The app of `default_app`, once it is made."""

_others: "WeakKeyDictionary[Any, list[ToolDescription]]" = WeakKeyDictionary()
"""The tools of apps that services have made by themselves."""


def default_app() -> Any:
    """The FastAPI app of the service, for routes, middleware and events of its own; made when it is first asked for.

    Raises:
        ConfigurationError: if FastAPI is not installed; says what to install.
    """
    if not _made:
        try:
            fastapi = importlib.import_module("fastapi")
        except ModuleNotFoundError:
            raise ConfigurationError(
                "get_fast_app() needs FastAPI, which is not installed: pip install fastapi (it comes with "
                "lambda-kit-compat)"
            ) from None
        # the tools' own pages, /api and /openapi.json, are lambda_kit's
        app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        _serve_tools(app, registry.tools)
        _made.append(app)
    return _made[0]


@contextmanager
def registrations_kept_apart() -> Iterator[None]:
    """Within it there are no tools and no FastAPI app but those that are added in it; for tests."""
    lists: list[list[Any]] = [registry.tools, registry.ready_handlers, _made]
    before = [list(found) for found in lists]
    for found in lists:
        found.clear()
    try:
        yield
    finally:
        for found, kept in zip(lists, before, strict=True):
            found[:] = kept


def made_app() -> Any:
    """The app of `default_app`. None: nobody has asked for it."""
    return _made[0] if _made else None


def app_of_requests() -> Any:
    """What ``request.app`` is. None: the service takes requests without having FastAPI."""
    return default_app() if "fastapi" in sys.modules else None


def tools_of(app: Any) -> list[ToolDescription]:
    """The tools of an app, to which more can be added.

    Args:
        app: A FastAPI app. None: that of `default_app`, whether or not it was made.

    Raises:
        TypeError: if it is no such app.
    """
    if app is None or app is made_app():
        return registry.tools
    if not hasattr(app, "router") or not hasattr(app, "user_middleware"):
        raise TypeError(f"{app!r} is no FastAPI app: pass get_fast_app(), or an app of your own")
    if app not in _others:
        _others[app] = []
        _serve_tools(app, _others[app])
    return _others[app]


def serve_mcp(app: Any) -> None:
    """Have the server of an app's tools serve MCP too.

    Args:
        app: A FastAPI app.

    Raises:
        TypeError: if it is no such app.
    """
    if app is None:
        raise TypeError("None is no FastAPI app: pass get_fast_app(), or an app of your own")
    tools_of(app)  # it has a route for them then
    from lambda_kit.compat.fast_routes import tool_routes_of  # noqa: PLC0415 - it imports Starlette

    routes = tool_routes_of(app)
    if routes is not None:
        routes.has_mcp = True


def _serve_tools(app: Any, tools: list[ToolDescription]) -> None:
    from lambda_kit.compat.fast_routes import ToolRoutes  # noqa: PLC0415 - it imports Starlette

    ToolRoutes(app, tools).install()
