"""A `LambdaTool` made of a decorated function: what lambda_kit runs is a tool like any other."""

import contextlib
import contextvars
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import ivcap_service
import litestar
from pydantic import BaseModel
from pydantic_core import to_json

from lambda_kit.compat.http_request import connection_of, connection_of_info
from lambda_kit.compat.parameters import FunctionParameters, Supplied
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.tools.context import JobContext
from lambda_kit.core.tools.options import ToolOptions
from lambda_kit.core.tools.tool import LambdaTool

__all__ = ["active_jobs", "function_tool", "job_context"]

job_context: contextvars.ContextVar[ivcap_service.JobContext | None] = contextvars.ContextVar("ivcap", default=None)
"""The context of the job that runs in this thread or task. None: none does."""

IsReady = Callable[[], bool | Awaitable[bool]]

_active: dict[int, str] = {}
_active_lock = threading.Lock()


def active_jobs() -> list[str]:
    """The ids of the jobs whose functions run now, in this process."""
    with _active_lock:
        return list(_active.values())


class _FunctionTool:
    """What tools made of functions have in common. Not a `LambdaTool`: its docstring would be theirs."""

    _is_for_one_server = True
    _agents_member = "req"

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: FunctionParameters,
        context: object,
        app: Callable[[], object],
    ) -> None:
        self.function = function
        self._parameters = parameters
        self._context = context
        self._app = app

    def _call(
        self,
        request: Any,
        job: JobContext,
        transport: "litestar.Request[Any, Any, Any] | None",
        info: RequestInfo | None,
    ) -> Any:
        """Call the function; of one that is ``async def``, return what is to be awaited."""
        if job.given_id is not None:  # as ivcap-lambda has it: in batch mode it is a URN
            job = job.model_copy(update={"job_id": job.given_id})

        def supply(kind: Supplied) -> Any:
            if kind is Supplied.REQUEST_MODEL:
                return request
            if kind is Supplied.JOB_CONTEXT:
                return job
            if kind is Supplied.EXECUTION_CONTEXT:
                return self._context
            return self._connection(request, job, transport, info)

        args = [supply(kind) for kind in self._parameters.positional]
        kwargs = {name: supply(kind) for name, kind in self._parameters.named.items()}
        if inspect.iscoroutinefunction(self.function):
            return self._awaited(job, args, kwargs)
        with _running(job):
            return _checked(self.function(*args, **kwargs))

    async def _awaited(self, job: JobContext, args: list[Any], kwargs: dict[str, Any]) -> Any:
        with _running(job):
            return _checked(await self.function(*args, **kwargs))

    def _connection(self, request: Any, job: JobContext, transport: Any, info: RequestInfo | None) -> Any:
        cls = self._parameters.connection_class
        assert cls is not None  # noqa: S101 - the parameter was found by it
        body, app = _as_json(request), self._app()
        if transport is not None:
            return connection_of(cls, transport, app, body)
        return connection_of_info(cls, info or RequestInfo(method="POST", url="/"), body, job.job_authorization, app)


@contextlib.contextmanager
def _running(job: JobContext) -> Iterator[None]:
    token = job_context.set(job)
    key = id(job)
    with _active_lock:
        _active[key] = job.job_id
    try:
        yield
    finally:
        with _active_lock:
            _active.pop(key, None)
        job_context.reset(token)


def _checked(value: Any) -> Any:
    """What the function returned. A failure that it returned, and calls a `ValueError`, is the caller's fault."""
    if isinstance(value, ivcap_service.ExecutionError) and value.type == ValueError.__name__:
        raise ValueError(value.error)
    return value


def _as_json(request: Any) -> bytes:
    return request.model_dump_json(by_alias=True).encode() if isinstance(request, BaseModel) else to_json(request)


def function_tool(
    function: Callable[..., Any],
    parameters: FunctionParameters,
    *,
    name: str,
    path: str,
    options: ToolOptions,
    context: object = None,
    is_ready: IsReady | None = None,
    app: Callable[[], object] = lambda: None,
) -> LambdaTool:
    """Make a tool of a function.

    Its `run` is a plain ``def``, so that it gets a thread: an ``async def`` function is awaited there, on an event loop
    of its own, as ivcap-lambda does. Such functions often block.

    Args:
        function: What was decorated.
        parameters: What it takes.
        name: The tool's name.
        path: Where it is served.
        options: The tool's.
        context: What the decorator was given as ``context``.
        is_ready: Whether the tool can take jobs.
        app: Gives what ``request.app`` is.

    Raises:
        ToolDefinitionError: if the function can't be served.
    """

    def run_plain(self: Any, request: Any, job: Any) -> Any:
        return self._call(request, job, None, None)

    def run_with_connection(self: Any, request: Any, job: Any, transport: Any, info: Any) -> Any:
        return self._call(request, job, transport, info)

    run: Callable[..., Any] = run_plain
    taken: dict[str, Any] = {}
    if parameters.connection_class is not None:
        run, taken = run_with_connection, {"transport": litestar.Request | None, "info": RequestInfo}
    run.__annotations__ = {
        "request": parameters.request_type, "job": JobContext, **taken, "return": parameters.result_type
    }  # fmt: skip
    members = {
        "__doc__": function.__doc__,
        "__module__": getattr(function, "__module__", sys.intern(__name__)),
        "name": name,
        "path": path,
        "options": options,
        "run": run,
    }
    if is_ready is not None:
        members["is_ready"] = staticmethod(is_ready)
    tool_class = type(name, (_FunctionTool, LambdaTool), members)
    tool: LambdaTool = tool_class(function, parameters, context, app)
    return tool
