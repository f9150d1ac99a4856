"""A HEAD for each GET (RFC 9110, 9.3.2): the same answer without its body, which the server leaves out."""

from copy import copy

from litestar import Router
from litestar.routes import HTTPRoute
from litestar.types import Method

__all__ = ["add_heads"]

_HEAD: set[Method] = {"HEAD"}


def add_heads(router: Router) -> Router:
    """Have each route of a router that answers GET answer HEAD too, unless it does; returns the router.

    The OpenAPI document does not have them: they would say the same again.
    """
    for place, route in enumerate(router.routes):
        if not isinstance(route, HTTPRoute) or "HEAD" in route.methods:
            continue
        for handler in route.route_handlers:
            if "GET" in handler.http_methods:
                head = copy(handler)
                head.http_methods, head.include_in_schema, head.name = set(_HEAD), False, None
                router.routes[place] = HTTPRoute(path=route.path, route_handlers=[*route.route_handlers, head])
    return router
