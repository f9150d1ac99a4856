"""What a service file is asked to do with its tools: to serve a port, or one of the other modes."""

import argparse
import os
from enum import Enum

from lambda_kit.cli.arguments import UnsaidHost, UnsaidPort
from lambda_kit.cli.tls import TLS_CERT_VARIABLE, TLS_KEY_VARIABLE
from lambda_kit.core.errors import ConfigurationError

__all__ = ["Mode", "chosen_mode"]


class Mode(Enum):
    """What a service file does with its tools."""

    HTTP = "http"
    BATCH = "batch"
    RUN = "run"
    MCP_STDIO = "mcp-stdio"


def chosen_mode(args: argparse.Namespace, batch: bool | None) -> Mode:
    """What is asked for.

    Args:
        args: What was parsed.
        batch: What the service file says. None: the flag decides.

    Raises:
        ConfigurationError: if flags contradict each other.
    """
    chosen = [
        mode
        for mode, is_chosen in (
            (Mode.MCP_STDIO, args.with_mcp_stdio),
            (Mode.BATCH, args.batch),
            (Mode.RUN, args.run is not None),
        )
        if is_chosen
    ]
    if len(chosen) > 1:
        flags = " and ".join(_FLAGS[mode] for mode in chosen)
        raise ConfigurationError(f"{flags}: choose one: {', or '.join(_WORK[mode] for mode in chosen)}")
    mode = chosen[0] if chosen else Mode.BATCH if batch else Mode.HTTP
    if mode is not Mode.HTTP:
        _refuse_flags_of_a_port(args, mode)
    return mode


_FLAGS = {Mode.BATCH: "--batch", Mode.RUN: "--run", Mode.MCP_STDIO: "--with-mcp-stdio"}
_WORK = {
    Mode.BATCH: "jobs of the platform",
    Mode.RUN: "one request of a file",
    Mode.MCP_STDIO: "the calls of an MCP client",
}


def _refuse_flags_of_a_port(args: argparse.Namespace, mode: Mode) -> None:
    given = {
        "--workers": args.workers > 1,
        "--reload": args.reload,
        "--with-platform-api": args.with_platform_api,
    }
    where = "in batch mode and with --run"
    if mode is Mode.MCP_STDIO:
        where = "with --with-mcp-stdio"
        _refuse_printing(args)
        given |= {
            # the variables may be there for other services
            "--port": not isinstance(args.port, UnsaidPort),
            "--host": not isinstance(args.host, UnsaidHost) and args.host != os.environ.get("HOST"),
            "--tls-cert": args.tls_cert != (os.environ.get(TLS_CERT_VARIABLE) or None),
            "--tls-key": args.tls_key != (os.environ.get(TLS_KEY_VARIABLE) or None),
            "--access-log": args.access_log,
            "--job-list": args.job_list,
            "--allowed-hosts": args.allowed_hosts is not None,
            "--mcp-allowed-hosts": args.mcp_allowed_hosts is not None,
            "--mcp-allowed-origins": args.mcp_allowed_origins is not None,
            "--root-path": args.root_path is not None,
            "--forwarded-allow-ips": args.forwarded_allow_ips is not None,
            "--max-upload-bytes": args.max_upload_bytes is not None,
        }
    for flag, is_given in given.items():
        if is_given:
            raise ConfigurationError(f"{flag} is for services with a port: leave it out {where}")


def _refuse_printing(args: argparse.Namespace) -> None:
    for flag in ("--list-services", "--print-tool-description", "--print-service-description"):
        if getattr(args, flag[2:].replace("-", "_")):
            raise ConfigurationError(f"{flag} and --with-mcp-stdio: choose one: stdout is for text, or for the client")
