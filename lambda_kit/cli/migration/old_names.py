"""The names of ivcap-lambda, and where each is in lambda_kit."""

from collections.abc import Iterable

__all__ = ["DECORATORS", "HOMES", "REQUESTS", "SERVICE_NAMES", "STARTERS", "is_old_module", "old_name", "remedy"]

_ROOTS = ("lambda_kit.compat.ivcap_lambda", "lambda_kit.compat.ivcap_ai_tool", "ivcap_lambda", "ivcap_ai_tool")
_SUBMODULES = frozenset(
    {
        "builder",
        "decorators",
        "executor",
        "health_handler",
        "logger",
        "mcp",
        "secret",
        "server",
        "service_definition",
        "utils",
        "version",
    }
)

DECORATORS = frozenset({"ivcap_lambda", "ivcap_ai_tool"})
STARTERS = frozenset({"start_lambda_server", "start_tool_server"})
REQUESTS = frozenset({"fastapi.Request", "fastapi.requests.Request", "starlette.requests.Request"})

SERVICE_NAMES = frozenset(
    {"BaseEvent", "BinaryResult", "GenericErrorEvent", "GenericEvent", "JobContext", "Service", "getLogger"}
    | {"with_schema"}
)
"""Names of ivcap_service that lambda_kit has, too."""

HOMES = {
    **dict.fromkeys(("ExecutorOpts", "ToolOptions", "JobContext", "getLogger", "logging_init"), "lambda_kit"),
    **dict.fromkeys(("get_event_reporter", "get_job_id"), "lambda_kit.compat.ivcap_lambda"),
    "get_job_context": "lambda_kit.compat.ivcap_lambda.executor",
    "SuppressPathsFilter": "lambda_kit.logs",
    "SecretMgrClient": "ivcap_service.secret",
    # what the submodules have from ivcap_service
    **dict.fromkeys(
        (
            "EventReporter",
            "ExecutionError",
            "IvcapResult",
            "Service",
            "SidecarReporter",
            "ToolDefinition",
            "create_tool_definition",
            "get_function_return_type",
            "get_input_type",
        ),
        "ivcap_service",
    ),
}
"""Where a name of ivcap-lambda is now, under the same name."""

_REMEDIES = {
    "ExecutionContext": "make what it holds an attribute of the class, set in setup()",
    "Executor": "lambda_kit runs jobs by itself; choose how in ToolOptions",
    "add_tool_api_route": "call it at the level of the module, with get_fast_app() and a function of this file",
    "get_fast_app": "the app of a server is server.app, with server = ToolServer(service, tools=[...])",
    "get_public_url_prefix": "lambda_kit makes public URLs by itself; a tool has RequestInfo.url",
    "ivcap_ai_tool": "use it as a decorator",
    "ivcap_lambda": "use it as a decorator",
    "start_lambda_server": "call it",
    "start_tool_server": "call it",
}


def remedy(name: str) -> str:
    """What to do about a name of ivcap-lambda that is used in a way that can't be migrated."""
    return _REMEDIES.get(name, "there is no such thing in lambda_kit")


def old_name(qualified_names: Iterable[str]) -> str | None:
    """What of ivcap-lambda is meant by qualified names, without its module.

    Returns:
        The name, ``""`` for a module itself, or None if something else is meant.
    """
    for qualified in qualified_names:
        for root in _ROOTS:
            if qualified == root:
                return ""
            if qualified.startswith(f"{root}."):
                first, _, rest = qualified.removeprefix(f"{root}.").partition(".")
                return rest if first in _SUBMODULES else qualified.removeprefix(f"{root}.")
    return None


def is_old_module(module: str) -> bool:
    """Whether this is the dotted name of ivcap-lambda, of ivcap-ai-tool, or of one of their modules."""
    return old_name([module]) == ""
