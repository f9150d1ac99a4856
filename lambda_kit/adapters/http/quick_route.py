"""A Litestar route that does no more for a request than it must."""

from typing import Any

from litestar import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ExceptionHandlersMap

__all__ = ["quick_post"]


class _QuickRoute(HTTPRouteHandler):
    _exception_handlers: "ExceptionHandlersMap | None" = None

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """As Litestar's, which says that it is memoized and is not, though it is asked for on each request."""
        if self._exception_handlers is None:
            self._exception_handlers = super().resolve_exception_handlers()
        return self._exception_handlers


def quick_post(**options: Any) -> HTTPRouteHandler:
    """Like `litestar.post`."""
    return _QuickRoute(http_method=HttpMethod.POST, **options)
