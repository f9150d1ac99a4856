"""Starts the server of the decorated functions."""

import argparse
import sys
import warnings
from collections.abc import Callable
from logging import Logger
from typing import Any

import ivcap_service

from lambda_kit.compat import fast_app
from lambda_kit.compat.custom_flags import with_own_flags
from lambda_kit.compat.function_server import FunctionServer, service_of_app
from lambda_kit.compat.ivcap_lambda.builder import add_tool_api_route
from lambda_kit.compat.registry import ToolDescription

__all__ = ["get_fast_app", "get_tool_server", "start_lambda_server", "start_tool_server"]

CustomArgs = Callable[[argparse.ArgumentParser], argparse.Namespace]


def get_fast_app() -> Any:
    """The FastAPI app of the service, for routes, middleware and events of its own.

    Raises:
        ConfigurationError: if FastAPI is not installed; says what to install.
    """
    return fast_app.default_app()


def get_tool_server(service: ivcap_service.Service) -> FunctionServer:
    """The `lambda_kit.ToolServer` of the functions that were decorated so far, for tests and for other ASGI servers.

    Args:
        service: Who offers them.

    Raises:
        ToolDefinitionError: if there is none, or one can't be served.
    """
    return FunctionServer(service, fast_app.tools_of(None), fast_app.made_app(), _file_of_caller())


def start_lambda_server(
    service: ivcap_service.Service,
    *,
    logger: Logger | None = None,
    custom_args: CustomArgs | None = None,
    run_opts: dict[str, Any] | None = None,
    with_telemetry: bool | None = None,
) -> None:
    """Run the command line of a service file: by default, serve the decorated functions until a signal comes.

    Args:
        service: Who offers them.
        logger: Not used: lambda_kit logs by loggers of its own.
        custom_args: Adds flags to the parser and returns ``parser.parse_args()``.
        run_opts: Further arguments for `uvicorn.Config`.
        with_telemetry: True or False to have OpenTelemetry or not, whatever the environment says; a flag wins.

    Raises:
        ToolDefinitionError: if there is no function, or one can't be served.
        SystemExit: with the exit code, where one is due.
    """
    del logger
    server = FunctionServer(service, fast_app.tools_of(None), fast_app.made_app(), _file_of_caller())
    _start(server, custom_args, run_opts, with_telemetry)


def start_tool_server(
    service: Any,
    *older: Any,
    logger: Logger | None = None,
    custom_args: CustomArgs | None = None,
    run_opts: dict[str, Any] | None = None,
    with_telemetry: bool | None = None,
    **more_of_older: Any,
) -> None:
    """The old name of `start_lambda_server`, in both of its forms; warns of it.

    Args:
        service: As for `start_lambda_server`. In the older form, ``start_tool_server(app, function)``, the FastAPI app.
        older: In the older form: the function, and before it, in the oldest, a title.
        logger: As for `start_lambda_server`.
        custom_args: As for `start_lambda_server`.
        run_opts: As for `start_lambda_server`.
        with_telemetry: As for `start_lambda_server`.
        more_of_older: The same as `older`, by name.

    Raises:
        ToolDefinitionError: as `start_lambda_server`.
        SystemExit: as `start_lambda_server`.
    """
    warnings.warn(
        "start_tool_server() is the old name of start_lambda_server(): use that", DeprecationWarning, stacklevel=2
    )
    del logger
    if isinstance(service, ivcap_service.Service):
        if older or more_of_older:
            raise TypeError("start_tool_server(service, ...) takes nothing else by its position")
        server = FunctionServer(service, fast_app.tools_of(None), fast_app.made_app(), _file_of_caller())
    else:
        server = _server_of_older_form(service, [*older, *more_of_older.values()], _file_of_caller())
    _start(server, custom_args, run_opts, with_telemetry)


def _server_of_older_form(app: Any, older: list[Any], file: str | None) -> FunctionServer:
    found = fast_app.tools_of(app)
    function = next((given for given in older if callable(given)), None)
    title = next((given for given in older if isinstance(given, str)), None)
    if function is not None and not any(tool.worker_fn is function for tool in found):
        add_tool_api_route(app, "/", function)
    service = service_of_app(app)
    if title is not None:
        service.name = title
    # the descriptions that are printed without a name are those of the function
    tools: list[ToolDescription] = sorted(found, key=lambda tool: tool.worker_fn is not function)
    return FunctionServer(service, tools, app, file)


def _start(
    server: FunctionServer, custom_args: CustomArgs | None, run_opts: dict[str, Any] | None, with_telemetry: bool | None
) -> None:
    server.serve(
        custom_args=None if custom_args is None else with_own_flags(custom_args),
        run_opts=run_opts,
        with_telemetry=with_telemetry,
    )


def _file_of_caller() -> str | None:
    file: str | None = sys._getframe(2).f_globals.get("__file__")
    return file
