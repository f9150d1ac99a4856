"""What ``python my_service.py`` does (`docs/wire.md`, Command line of a service file)."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uvicorn.config import STARTUP_FAILURE

from lambda_kit.adapters.executors.process.main_guard import refuse_unguarded_main
from lambda_kit.cli.address import why_unusable
from lambda_kit.cli.arguments import CustomArgs, parse_arguments
from lambda_kit.cli.reload import is_reloaded, serve_with_reload
from lambda_kit.cli.served import Served
from lambda_kit.cli.serving import configure_logging, serve_app
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.cli.workers import supervise, worker_bonds
from lambda_kit.core.errors import ConfigurationError, ToolNotFoundError
from lambda_kit.core.tools.description import dump_description, service_definition, tool_description
from lambda_kit.core.tools.tool import BoundTool
from lambda_kit.version import VERSION

__all__ = ["run_service_file"]

logger = logging.getLogger("lambda_kit.server")

_FAILED, _MISUSED = 1, 2


def run_service_file(
    server: Served,
    argv: Sequence[str] | None = None,
    *,
    custom_args: CustomArgs | None = None,
    run_opts: Mapping[str, Any] | None = None,
    with_telemetry: bool | None = None,
    bounds: StopBounds | None = None,
) -> None:
    """Do what the command line says: print something of the tools, or serve them until a signal comes.

    Args:
        server: Whose tools they are.
        argv: The arguments. None: those of the process.
        custom_args: Adds flags of the service's own.
        run_opts: Further arguments for `uvicorn.Config`; they win over the flags.
        with_telemetry: Whether to have OpenTelemetry; a flag wins.
        bounds: How long the end of the service may take.

    Raises:
        SystemExit: 0 after ``--help``; 1 if what is asked for can't be done; 2 if the command line is wrong, or
            has a flag for what this version does not have; 3 if the service can't start. The reason is on stderr.
    """
    title = f"{server.service.name}: {_description(server)}"
    try:
        refuse_unguarded_main()
        args = parse_arguments(title, list(server.tools), argv, custom_args)
        if not _print(server, args):
            _refuse_running_loop()
            _serve(server, args, run_opts or {}, with_telemetry, bounds or StopBounds())
    except (ConfigurationError, ToolNotFoundError) as error:
        _exit(str(error), _FAILED)


def _refuse_running_loop() -> None:
    """Refuse to serve where an event loop runs already, such as in a notebook, an ``async def`` or an ASGI server."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError(
        "serve() runs an event loop of its own, and can't be called where one is running, as in an async function or a "
        "notebook. Run the file with 'python my_tool.py', give server.app to an ASGI server, or call the tools here by "
        "'async with server: await server.run_tool(...)'"
    )


def _print(server: Served, args: argparse.Namespace) -> bool:
    """Print what is asked for, and say whether something was."""
    if args.list_services:
        _write("\n".join(server.tools))
    elif args.print_tool_description is not None:
        _write(_tool_description(_find(server, args.print_tool_description)))
    elif args.print_service_description is not None:
        tool = _find(server, args.print_service_description)
        _write(_service_description(server, tool, args.service_name))
    else:
        return False
    return True


def _serve(
    server: Served,
    args: argparse.Namespace,
    run_opts: Mapping[str, Any],
    with_telemetry: bool | None,
    bounds: StopBounds,
) -> None:
    for flag in ("--with-mcp", "--with-mcp-stdio"):
        if getattr(args, flag[2:].replace("-", "_")):
            _exit(
                f"{flag}: MCP is not installed: it needs the extra 'mcp', which this version does not have yet",
                _MISUSED,
            )
    configure_logging()
    bonds = worker_bonds()
    if args.reload and bonds is None and not is_reloaded():
        serve_with_reload()
        return
    if args.with_telemetry or (with_telemetry and not args.without_telemetry):
        # a service that was deployed with the flag does its work without traces, too
        logger.warning("OpenTelemetry is not part of this version of lambda_kit: serving without it")
    server.enable(
        job_list=args.job_list,
        debug=args.debug,
        grace_seconds=args.grace,
        store=args.store,
        max_body_bytes=args.max_body_bytes,
        max_upload_bytes=args.max_upload_bytes,
        allowed_hosts=args.allowed_hosts,
        root_path=args.root_path,
        forwarded_allow_ips=args.forwarded_allow_ips or run_opts.get("forwarded_allow_ips"),
    )
    server.check_environment()
    options = {"host": args.host, "port": args.port, "access_log": args.access_log, **run_opts}
    options["proxy_headers"] = False  # whom to trust is decided in one place, for all servers: the app's door
    if (trouble := why_unusable(options)) is not None:
        _exit(trouble, STARTUP_FAILURE)
    if args.workers > 1 and bonds is None:
        _check_store_is_shared(server, args.workers)
        supervise(options, args.workers, grace_seconds=server.settings.grace_seconds, bounds=bounds)
        return
    tools = ", ".join(f"{tool.name} at {tool.path}" for tool in server.tools.values())
    logger.info("%s %s, lambda_kit %s, tools: %s", server.service.name, server.version, VERSION, tools)
    serve_app(server, options, bonds, bounds=bounds)


def _check_store_is_shared(server: Served, workers: int) -> None:
    if not server.has_shared_store:
        raise ConfigurationError(
            f"--workers {workers}: each process would have jobs of its own in its memory, and know nothing of those of "
            "the others, so that polls would be answered by 404: add --store with a store that processes share, such "
            "as sqlite:///jobs.db, redis://… or postgresql://…"
        )


def _find(server: Served, name: str) -> BoundTool:
    if name not in server.tools:
        raise ToolNotFoundError(f"there is no tool '{name}' here; the tools are: {', '.join(server.tools)}")
    return server.tools[name]


def _tool_description(tool: BoundTool) -> str:
    signature = tool.signature
    return dump_description(
        tool_description(tool.name, tool.doc, signature.request_type, signature.result_type, tool.options.service_id)
    )


def _service_description(server: Served, tool: BoundTool, service_name: str | None) -> str:
    return dump_description(
        service_definition(
            server.service,
            name=tool.name,
            doc=tool.doc,
            path=tool.path,
            request_type=tool.signature.request_type,
            result_type=tool.signature.result_type,
            service_id=tool.options.service_id,
            service_name=service_name,
        )
    )


def _description(server: Served) -> str:
    return getattr(server.service, "description", None) or "a service made with lambda_kit"


def _write(text: str) -> None:
    # the platform reads UTF-8, whatever the terminal's encoding
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.buffer.flush()


def _exit(message: str, code: int) -> None:
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(code)
