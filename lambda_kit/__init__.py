"""lambda_kit: a class with one typed `run` method becomes a service that people, programs and AI agents can rely on."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lambda_kit.core.runtime.collector import collector_paused

if "--with-mcp-stdio" in getattr(sys, "argv", ()):
    # First of all: what the imports of the service file print from now on must not reach the client (docs/mcp.md).
    from lambda_kit.cli.protocol_streams import divert_streams

    divert_streams()

if TYPE_CHECKING:
    from ivcap_service import BaseEvent, GenericErrorEvent, GenericEvent

    from lambda_kit.adapters.executors.asyncio import AsyncioExecutor
    from lambda_kit.adapters.executors.process.executor import ProcessExecutor
    from lambda_kit.adapters.executors.thread import ThreadExecutor
    from lambda_kit.adapters.http.limits import HttpLimits
    from lambda_kit.adapters.mcp.options import McpOptions
    from lambda_kit.adapters.stores.memory import MemoryJobStore
    from lambda_kit.adapters.stores.sqlite import SqliteJobStore
    from lambda_kit.core.errors import (
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        IllegalTransitionError,
        JobCancelledError,
        JobConflictError,
        JobFailedError,
        JobNotFoundError,
        LambdaKitError,
        LeaseLostError,
        MissingExtraError,
        NotServingError,
        PayloadTooLargeError,
        PermissionDeniedError,
        QueueFullError,
        RateLimitedError,
        RequestValidationError,
        StoreError,
        StoreFullError,
        ToolDefinitionError,
        ToolError,
        ToolNotFoundError,
        UnavailableError,
        UnsupportedMediaTypeError,
    )
    from lambda_kit.core.jobs.caller_limits import CallerLimits
    from lambda_kit.core.jobs.service import JobService
    from lambda_kit.core.jobs.settings import JobSettings
    from lambda_kit.core.jobs.waiting import WaitResult
    from lambda_kit.core.model.job import Job, JobStatus
    from lambda_kit.core.model.principal import Principal
    from lambda_kit.core.model.request_info import RequestInfo
    from lambda_kit.core.ports.authenticator import Authenticator, Credentials
    from lambda_kit.core.ports.executor import Executor
    from lambda_kit.core.ports.observer import JobObserver
    from lambda_kit.core.ports.sink import JobSink
    from lambda_kit.core.ports.store import JobStore
    from lambda_kit.core.service_info import Service
    from lambda_kit.core.tools.binary_request import BinaryRequest
    from lambda_kit.core.tools.context import JobContext
    from lambda_kit.core.tools.options import ExecutorOpts, ToolHints, ToolOptions
    from lambda_kit.core.tools.results import BinaryResult
    from lambda_kit.core.tools.schema import with_schema
    from lambda_kit.core.tools.secrets import SecretMgrClient, get_secret
    from lambda_kit.core.tools.tool import LambdaTool
    from lambda_kit.core.tools.uploaded_file import UploadedFile
    from lambda_kit.logs import getLogger, logging_init
    from lambda_kit.server import ToolServer
    from lambda_kit.version import VERSION as __version__  # noqa: N811

__all__ = [
    "AsyncioExecutor",
    "AuthenticationError",
    "Authenticator",
    "BadRequestError",
    "BaseEvent",
    "BinaryRequest",
    "BinaryResult",
    "CallerLimits",
    "ConfigurationError",
    "Credentials",
    "Executor",
    "ExecutorOpts",
    "GenericErrorEvent",
    "GenericEvent",
    "HttpLimits",
    "IllegalTransitionError",
    "Job",
    "JobCancelledError",
    "JobConflictError",
    "JobContext",
    "JobFailedError",
    "JobNotFoundError",
    "JobObserver",
    "JobService",
    "JobSettings",
    "JobSink",
    "JobStatus",
    "JobStore",
    "LambdaKitError",
    "LambdaTool",
    "LeaseLostError",
    "McpOptions",
    "MemoryJobStore",
    "MissingExtraError",
    "NotServingError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Principal",
    "ProcessExecutor",
    "QueueFullError",
    "RateLimitedError",
    "RequestInfo",
    "RequestValidationError",
    "SecretMgrClient",
    "Service",
    "SqliteJobStore",
    "StoreError",
    "StoreFullError",
    "ThreadExecutor",
    "ToolDefinitionError",
    "ToolError",
    "ToolHints",
    "ToolNotFoundError",
    "ToolOptions",
    "ToolServer",
    "UnavailableError",
    "UnsupportedMediaTypeError",
    "UploadedFile",
    "WaitResult",
    "__version__",
    "getLogger",
    "get_secret",
    "logging_init",
    "with_schema",
]

# Where each name lives. They are imported on first use: who only logs does not wait for a web framework.
_HOMES = {
    "ivcap_service": ("BaseEvent", "GenericErrorEvent", "GenericEvent"),
    "lambda_kit.adapters.executors.asyncio": ("AsyncioExecutor",),
    "lambda_kit.adapters.executors.process.executor": ("ProcessExecutor",),
    "lambda_kit.adapters.executors.thread": ("ThreadExecutor",),
    "lambda_kit.adapters.http.limits": ("HttpLimits",),
    "lambda_kit.adapters.mcp.options": ("McpOptions",),
    "lambda_kit.adapters.stores.memory.store": ("MemoryJobStore",),
    "lambda_kit.adapters.stores.sqlite.store": ("SqliteJobStore",),
    "lambda_kit.core.tools.binary_request": ("BinaryRequest",),
    "lambda_kit.core.tools.context": ("JobContext",),
    "lambda_kit.core.ports.authenticator": ("Authenticator", "Credentials"),
    "lambda_kit.core.ports.executor": ("Executor",),
    "lambda_kit.core.model.job": ("Job", "JobStatus"),
    "lambda_kit.core.model.request_info": ("RequestInfo",),
    "lambda_kit.core.tools.options": ("ExecutorOpts", "ToolHints", "ToolOptions"),
    "lambda_kit.core.tools.results": ("BinaryResult",),
    "lambda_kit.core.tools.schema": ("with_schema",),
    "lambda_kit.core.tools.secrets": ("SecretMgrClient", "get_secret"),
    "lambda_kit.core.jobs.caller_limits": ("CallerLimits",),
    "lambda_kit.core.jobs.service": ("JobService",),
    "lambda_kit.core.jobs.settings": ("JobSettings",),
    "lambda_kit.core.jobs.waiting": ("WaitResult",),
    "lambda_kit.core.model.principal": ("Principal",),
    "lambda_kit.core.service_info": ("Service",),
    "lambda_kit.core.ports.observer": ("JobObserver",),
    "lambda_kit.core.ports.sink": ("JobSink",),
    "lambda_kit.core.ports.store": ("JobStore",),
    "lambda_kit.core.tools.tool": ("LambdaTool",),
    "lambda_kit.core.tools.uploaded_file": ("UploadedFile",),
    "lambda_kit.logs": ("getLogger", "logging_init"),
    "lambda_kit.server": ("ToolServer",),
    "lambda_kit.version": ("__version__",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lambda_kit' has no attribute {name!r}")
    home = _HOME_OF.get(name, "lambda_kit.core.errors")  # where the errors are, which are many
    value = getattr(_quickly_imported(home), "VERSION" if name == "__version__" else name)
    globals()[name] = value
    return value


def _quickly_imported(module: str) -> ModuleType:
    """Import a module without looking for garbage meanwhile: there is none, and looking takes a seventh of the time."""
    with collector_paused():
        return importlib.import_module(module)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
