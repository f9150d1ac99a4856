"""Whether the service is ready: what its tools say, and what was added here."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from lambda_kit.adapters.http.service_version import UNKNOWN_VERSION
from lambda_kit.compat.registry import ready_handlers, tools
from lambda_kit.core.errors import ToolError

__all__ = ["add_ready_handler", "healtz_handler"]

_UNAVAILABLE = 503


def add_ready_handler(ready_fn: Callable[[], bool | Awaitable[bool]] | None) -> None:
    """Have ``/_healtz`` ask a function too, of servers that are built from now on.

    Args:
        ready_fn: May be ``async def``. None: nothing is added.
    """
    if ready_fn is not None:
        ready_handlers.append(ready_fn)


async def healtz_handler() -> dict[str, Any]:
    """Ask all that can say whether the service is ready. ``/_healtz`` does so by itself.

    Raises:
        ToolError: with status 503, if it is not.
    """
    own = [tool.opts.is_ready for tool in tools if tool.opts.is_ready is not None]
    for handler in [*ready_handlers, *own]:
        answer = handler()
        if not (await answer if isinstance(answer, Awaitable) else answer):
            raise ToolError("Service Unavailable", status=_UNAVAILABLE)
    return {"version": os.environ.get("VERSION", UNKNOWN_VERSION)}
