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
from lambda_kit.cli.batch import run_batch
from lambda_kit.cli.batch_arguments import chosen_tool, flags_of_command, sidecar_off
from lambda_kit.cli.mcp_arguments import set_mcp_door
from lambda_kit.cli.modes import Mode, chosen_mode
from lambda_kit.cli.open_door import warn_of_open_door
from lambda_kit.cli.platform_api import host_of, serve_platform_api
from lambda_kit.cli.protocol_streams import divert_streams
from lambda_kit.cli.reload import is_reloaded, serve_with_reload
from lambda_kit.cli.run_file import run_file
from lambda_kit.cli.served import Served
from lambda_kit.cli.server_of_module import refuse_start_by_import
from lambda_kit.cli.serving import configure_logging, serve_app
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.cli.tls import Tls
from lambda_kit.cli.workers import WorkerBonds, supervise, worker_bonds
from lambda_kit.core.errors import ConfigurationError, MissingExtraError, ToolDefinitionError, ToolNotFoundError
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
    batch: bool | None = None,
    bounds: StopBounds | None = None,
) -> None:
    """Do what the command line says: print something of the tools, or serve them until a signal comes.

    Args:
        server: Whose tools they are.
        argv: The arguments. None: those of the process.
        custom_args: Adds flags of the service's own.
        run_opts: Further arguments for `uvicorn.Config`; they win over the flags.
        with_telemetry: Whether to have OpenTelemetry; a flag wins.
        batch: Whether to run the platform's jobs instead of serving a port. None: the flag decides.
        bounds: How long the end of the service may take.

    Raises:
        SystemExit: 0 after ``--help``; 1 if what is asked for can't be done; 2 if the command line is wrong, or
            has a flag for what this version does not have; 3 if the service can't start. The reason is on stderr.
    """
    refuse_start_by_import()
    title = f"{server.service.name}: {_description(server)}"
    try:
        refuse_unguarded_main()
        args = parse_arguments(title, list(server.tools), argv, custom_args)
        mode = chosen_mode(args, batch)
        if mode is Mode.MCP_STDIO:
            divert_streams()  # it was done when lambda_kit was imported, if the flag was there then
        if not _print(server, args, mode):
            _refuse_running_loop()
            with sidecar_off(args):
                _serve(server, args, mode, run_opts or {}, with_telemetry, bounds or StopBounds())
    except (ConfigurationError, ToolDefinitionError, ToolNotFoundError) as error:
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


def _print(server: Served, args: argparse.Namespace, mode: Mode) -> bool:
    """Print what is asked for, and say whether something was."""
    if args.list_services:
        _write("\n".join(server.tools))
    elif args.print_tool_description is not None:
        _write(_tool_description(server, _find(server, args.print_tool_description), mode))
    elif args.print_service_description is not None:
        tool = _find(server, args.print_service_description)
        batch_flags = flags_of_command(server.tools, tool, args) if mode is Mode.BATCH else None
        _write(_service_description(server, tool, args.service_name, batch_flags))
    else:
        return False
    return True


def _serve(
    server: Served,
    args: argparse.Namespace,
    mode: Mode,
    run_opts: Mapping[str, Any],
    with_telemetry: bool | None,
    bounds: StopBounds,
) -> None:
    configure_logging()
    bonds = worker_bonds()
    if args.reload and bonds is None and not is_reloaded():
        serve_with_reload()
        return
    _prepare(server, args, mode, run_opts, with_telemetry)
    if mode is Mode.RUN:
        run_file(server, chosen_tool(server.tools, args), args.run, bounds=bounds)
    elif mode is Mode.MCP_STDIO:
        endpoint = _add_mcp(server, "--with-mcp-stdio")
        from lambda_kit.cli.mcp_stdio import serve_stdio  # noqa: PLC0415 - it imports MCP: half a second

        serve_stdio(server, endpoint, bounds=bounds)
    elif mode is Mode.BATCH:
        run_batch(server, chosen_tool(server.tools, args), bounds=bounds)
    else:
        _serve_http(server, args, run_opts, bonds, bounds)


def _prepare(
    server: Served,
    args: argparse.Namespace,
    mode: Mode,
    run_opts: Mapping[str, Any],
    with_telemetry: bool | None,
) -> None:
    """Switch on what the flags and the service file ask for, in every mode."""
    if args.with_telemetry or args.without_telemetry:
        with_telemetry = args.with_telemetry
    server.enable(
        job_list=args.job_list,
        debug=args.debug,
        grace_seconds=args.grace,
        # a single run has nothing to do with the jobs of others
        store=args.store or (None if args.run is None else "memory://"),
        max_body_bytes=args.max_body_bytes,
        max_upload_bytes=args.max_upload_bytes,
        allowed_hosts=args.allowed_hosts,
        root_path=args.root_path,
        forwarded_allow_ips=args.forwarded_allow_ips or run_opts.get("forwarded_allow_ips"),
        with_telemetry=with_telemetry,
        is_batch=mode is Mode.BATCH,
    )
    set_mcp_door(server, args)
    server.check_environment()


def _serve_http(
    server: Served,
    args: argparse.Namespace,
    run_opts: Mapping[str, Any],
    bonds: WorkerBonds | None,
    bounds: StopBounds,
) -> None:
    # getaddrinfo takes no subclass of int
    options = {"host": host_of(args), "port": int(args.port), "access_log": args.access_log, **run_opts}
    options["proxy_headers"] = False  # whom to trust is decided in one place, for all servers: the app's door
    tls = Tls.of_flags(args.tls_cert, args.tls_key)
    _check_tls_is_set_once(tls, run_opts)
    serve_platform_api(server, args)
    if args.with_mcp:
        _add_mcp(server, "--with-mcp")
    if (trouble := why_unusable(options)) is not None:
        _exit(trouble, STARTUP_FAILURE)
    if bonds is None:  # once, not in each worker
        warn_of_open_door(server.http_settings, options, has_platform_api=args.with_platform_api)
    if args.workers > 1 and bonds is None:
        _check_store_is_shared(server, args.workers)
        supervise(options, args.workers, grace_seconds=server.settings.grace_seconds, bounds=bounds, tls=tls)
        return
    tools = ", ".join(f"{tool.name} at {tool.path}" for tool in server.tools.values())
    logger.info("%s %s, lambda_kit %s, tools: %s", server.service.name, server.version, VERSION, tools)
    if args.with_mcp:
        logger.info("the tools are served by MCP, too: at /mcp")
    serve_app(server, options, bonds, bounds=bounds, tls=tls)


def _add_mcp(server: Served, flag: str) -> Any:
    try:
        return server.add_mcp()
    except MissingExtraError as error:
        _exit(f"{flag}: {error}", _MISUSED)


def _check_tls_is_set_once(tls: Tls | None, run_opts: Mapping[str, Any]) -> None:
    theirs = [name for name in run_opts if name.startswith("ssl_")]
    if tls is not None and theirs:
        raise ConfigurationError(
            f"--tls-cert and {theirs[0]} in the run_opts of serve(): a service has one certificate: leave the flags "
            "and their variables out, or what begins with ssl_ in run_opts"
        )


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


def _tool_description(server: Served, tool: BoundTool, mode: Mode) -> str:
    signature = tool.signature
    # ivcap-service names the only tool of a batch service after the service
    name = server.service.name if mode is Mode.BATCH and len(server.tools) == 1 else tool.name
    return dump_description(
        tool_description(name, tool.doc, signature.request_type, signature.result_type, tool.options.service_id)
    )


def _service_description(
    server: Served, tool: BoundTool, service_name: str | None, batch_flags: Sequence[Sequence[str]] | None
) -> str:
    if batch_flags is not None and len(server.tools) == 1:
        service_name = service_name or server.service.name  # as ivcap-service names a batch service
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
            batch_flags=batch_flags,
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
