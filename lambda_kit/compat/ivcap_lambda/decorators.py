"""The decorator that makes a tool of a function."""

from collections.abc import Callable
from typing import TypeVar

from lambda_kit.compat.ivcap_lambda.builder import ToolOptions, WorkerFn, add_tool_api_route
from lambda_kit.compat.ivcap_lambda.executor import ExecutionContext

__all__ = ["ivcap_lambda"]

F = TypeVar("F", bound=WorkerFn)


def ivcap_lambda(
    path_prefix: str,
    *,
    opts: ToolOptions | None = None,
    context: ExecutionContext | None = None,
) -> Callable[[F], F]:
    """Serve the decorated function as a tool. The function stays what it is: call it, pickle it, decorate it again.

    Args:
        path_prefix: Where it is served.
        opts: Further options. None: none.
        context: Passed to the function's parameter of its class.

    Raises:
        ToolDefinitionError: if the function can't be served; says why.
    """

    def decorator(worker_fn: F) -> F:
        add_tool_api_route(None, path_prefix, worker_fn, opts=opts, context=context)
        return worker_fn

    return decorator
