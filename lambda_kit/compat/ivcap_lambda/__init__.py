"""A drop-in for `ivcap_lambda` 0.8.5 and `ivcap_ai_tool`: their decorators and names, on lambda_kit.

A file that was written for them runs with its import line changed:

    from lambda_kit.compat.ivcap_lambda import ToolOptions, ivcap_lambda, logging_init, start_lambda_server

The decorator makes a `LambdaTool` of a function, and leaves the function as it is. What clients see is what lambda_kit
does (docs/wire.md); docs/moving-from-ivcap-lambda.md says what differs.
"""

import warnings
from collections.abc import Callable
from typing import Any

from ivcap_service import JobContext

from lambda_kit.compat.ivcap_lambda.builder import ToolOptions, add_tool_api_route
from lambda_kit.compat.ivcap_lambda.decorators import ivcap_lambda
from lambda_kit.compat.ivcap_lambda.executor import ExecutionContext, ExecutorOpts, get_event_reporter, get_job_id
from lambda_kit.compat.ivcap_lambda.logger import logging_init
from lambda_kit.compat.ivcap_lambda.secret import SecretMgrClient
from lambda_kit.compat.ivcap_lambda.server import get_fast_app, start_lambda_server, start_tool_server
from lambda_kit.compat.ivcap_lambda.utils import get_public_url_prefix
from lambda_kit.compat.ivcap_lambda.version import __version__

__all__ = [
    "ExecutionContext",
    "ExecutorOpts",
    "JobContext",
    "SecretMgrClient",
    "ToolOptions",
    "__version__",
    "add_tool_api_route",
    "get_event_reporter",
    "get_fast_app",
    "get_job_id",
    "get_public_url_prefix",
    "ivcap_ai_tool",
    "ivcap_lambda",
    "logging_init",
    "start_lambda_server",
    "start_tool_server",
]


def ivcap_ai_tool(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The old name of `ivcap_lambda`; warns of it."""
    warnings.warn("ivcap_ai_tool() is the old name of ivcap_lambda(): use that", DeprecationWarning, stacklevel=2)
    return ivcap_lambda(*args, **kwargs)
