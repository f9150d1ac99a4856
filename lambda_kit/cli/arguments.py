"""The flags of a service file and their help texts (`docs/wire.md`, Command line of a service file)."""

import argparse
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, cast

from lambda_kit.cli.batch_arguments import add_batch_arguments
from lambda_kit.cli.mcp_arguments import add_mcp_arguments
from lambda_kit.cli.tls import TLS_CERT_VARIABLE, TLS_KEY_PASSWORD_VARIABLE, TLS_KEY_VARIABLE
from lambda_kit.core.errors import ConfigurationError

__all__ = ["CustomArgs", "UnsaidHost", "UnsaidPort", "parse_arguments"]

CustomArgs = Callable[[argparse.ArgumentParser], argparse.Namespace]
"""Adds flags to the parser and returns ``parser.parse_args()``."""

_MAX_PORT = 65535


def parse_arguments(
    description: str,
    tool_names: Sequence[str],
    argv: Sequence[str] | None,
    custom_args: CustomArgs | None,
) -> argparse.Namespace:
    """Read the command line.

    Args:
        description: What the service is, for the help text.
        tool_names: The tools, the first of which is the default of the print flags.
        argv: The arguments. None: those of the process.
        custom_args: Adds flags of the service's own.

    Raises:
        SystemExit: with 2 and a message on stderr if it is wrong; with 0 after ``--help``.
        ConfigurationError: if `custom_args` returns something else than ``parser.parse_args()``.
    """
    parser = _parser(description, tool_names, argv)
    if custom_args is None:
        return parser.parse_args()
    args = cast("object", custom_args(parser))  # whatever its annotation says
    if not isinstance(args, argparse.Namespace) or "port" not in args:
        name = getattr(custom_args, "__name__", repr(custom_args))
        raise ConfigurationError(
            f"{name} returned {args!r}, not the parsed arguments: end it with 'return parser.parse_args()'"
        )
    return args


class _Parser(argparse.ArgumentParser):
    """A parser that knows which arguments to parse, so that custom_args can call ``parser.parse_args()``."""

    def __init__(self, argv: Sequence[str] | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._argv = argv

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]  # only its overloads differ
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        # every other parse method of argparse ends up here
        return super().parse_known_args(self._argv if args is None else args, namespace)


def _parser(description: str, tool_names: Sequence[str], argv: Sequence[str] | None) -> argparse.ArgumentParser:
    parser = _Parser(
        None if argv is None else list(argv),
        description=description,
        # a service's own flag must not change what an abbreviation meant before
        allow_abbrev=False,
    )
    _add_address(parser)
    _add_tls(parser)
    _add_jobs(parser)
    _add_proxies(parser)
    _add_telemetry(parser)
    add_mcp_arguments(parser)
    _add_limits(parser)
    _add_development(parser)
    add_batch_arguments(parser, tool_names)
    _add_platform_api(parser)
    _add_printing(parser, tool_names)
    return parser


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        # a service in a container is called from outside
        default=os.environ.get("HOST") or UnsaidHost("0.0.0.0"),  # noqa: S104
        help="address to listen on (default: $HOST, else 0.0.0.0: all addresses of this machine; with "
        "--with-platform-api 127.0.0.1: this machine alone)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=_FromPortVariable(os.environ.get("PORT") or "8090"),
        help="port to listen on; 0 chooses a free one (default: $PORT, else 8090)",
    )


def _add_tls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tls-cert",
        metavar="F",
        default=os.environ.get(TLS_CERT_VARIABLE) or None,
        help="PEM file with the certificate and, behind it, those of its issuers: serve HTTPS, by TLS 1.2 and newer; "
        f"needs --tls-key; SIGHUP has both read again (default: ${TLS_CERT_VARIABLE}, else none: HTTP)",
    )
    parser.add_argument(
        "--tls-key",
        metavar="F",
        default=os.environ.get(TLS_KEY_VARIABLE) or None,
        help="PEM file with the private key of the certificate; if it is encrypted, its passphrase is in "
        f"${TLS_KEY_PASSWORD_VARIABLE} (default: ${TLS_KEY_VARIABLE}, else none)",
    )


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=_seconds,
        help="how long accepted jobs may continue after SIGTERM or SIGINT before they are cancelled (default: the "
        "server's setting, else 25; in Kubernetes keep it below terminationGracePeriodSeconds, by default 30)",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where jobs are kept: memory://, sqlite:///jobs.db, redis://…, postgresql://… (default: the server's "
        "setting, else $LAMBDA_KIT_STORE, else memory://, which loses them when the process ends)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_count,
        default=1,
        help="number of processes that serve the port; more than 1 need a shared store, so not memory:// (default: 1)",
    )
    parser.add_argument(
        "--job-list",
        action="store_true",
        help="serve GET /jobs, the list of all jobs; anyone who knows the id of a job can read its result",
    )


def _add_telemetry(parser: argparse.ArgumentParser) -> None:
    telemetry = parser.add_mutually_exclusive_group()
    telemetry.add_argument(
        "--with-telemetry",
        action="store_true",
        help="send traces, metrics and logs by OpenTelemetry, to $OTEL_EXPORTER_OTLP_ENDPOINT, "
        "$OPENOBSERVE_OTLP_ENDPOINT or $OPENOBSERVE_URL (default: the service file's with_telemetry, else "
        "$OPENOBSERVE_ENABLED, else if one of these is set)",
    )
    telemetry.add_argument(
        "--without-telemetry",
        action="store_true",
        help="have no OpenTelemetry, whatever the environment says",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-body-bytes",
        metavar="N",
        type=_count,
        help="refuse larger request bodies with 413 (default: the server's setting, else 16 MiB)",
    )
    parser.add_argument(
        "--max-upload-bytes",
        metavar="N",
        type=_count,
        help="refuse forms whose parts together are larger, with 413 (default: the server's setting, else 256 MiB)",
    )


def _add_development(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--access-log", action="store_true", help="log one line per request")
    parser.add_argument(
        "--reload",
        action="store_true",
        help="restart the service whenever a Python file in its folder or package changes; for development",
    )
    parser.add_argument("--debug", action="store_true", help="include tracebacks in error answers; not for production")


def _add_platform_api(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with-platform-api",
        action="store_true",
        help="also serve the platform's job API at /1, for ivcap-client and 'poetry ivcap job-exec' on a laptop; "
        "anyone who can reach it can list all jobs and read and write artifacts",
    )
    parser.add_argument(
        "--artifacts",
        metavar="DIR",
        help="folder of the artifacts of --with-platform-api (default: ./artifacts)",
    )


def _add_proxies(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allowed-hosts",
        metavar="H,…",
        help="comma-separated host names under which the service may be called, such as api.example.com or "
        "*.example.com; others are refused with 403 (default: the server's setting, else $LAMBDA_KIT_ALLOWED_HOSTS, "
        "else any)",
    )
    parser.add_argument(
        "--root-path",
        metavar="P",
        help="URL prefix of the service behind a proxy, such as /tools, whether or not the proxy strips it; not needed "
        "if the proxy sends X-Forwarded-Prefix (default: the server's setting, else $LAMBDA_KIT_ROOT_PATH, else none)",
    )
    parser.add_argument(
        "--forwarded-allow-ips",
        metavar="A,…",
        help="comma-separated trusted proxies, whose Forwarded and X-Forwarded-* headers are used: addresses, networks "
        "such as 10.0.0.0/8, unix, or * for all (default: the server's setting, else $FORWARDED_ALLOW_IPS, else "
        "127.0.0.1 and ::1)",
    )


def _add_printing(parser: argparse.ArgumentParser, tool_names: Sequence[str]) -> None:
    names = ", ".join(tool_names)
    group = parser.add_argument_group("print and exit")
    group.add_argument("--list-services", action="store_true", help="print the names of the tools, one per line")
    group.add_argument(
        "--print-tool-description",
        metavar="NAME",
        nargs="?",
        const=tool_names[0],
        help="print a tool's description for agents, as JSON; uses $IVCAP_SERVICE_ID and $IVCAP_SERVICE_NAME "
        f"[{names}; without NAME: the first]",
    )
    group.add_argument(
        "--print-service-description",
        metavar="NAME",
        nargs="?",
        const=tool_names[0],
        help="print a tool's service definition for the platform, as JSON; uses $IVCAP_SERVICE_ID, "
        "$IVCAP_SERVICE_NAME, $IVCAP_POLICY_URN, $DOCKER_IMG, $ENTRYPOINT, $DOCKERFILE (Dockerfile) and "
        f"$IVCAP_RESOURCES_FILE (resources.json) [{names}; without NAME: the first]",
    )
    group.add_argument(
        "--service-name",
        metavar="NAME",
        help="name in --print-service-description (default: the names of service and tool, joined by a hyphen)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of seconds, at least 0")
    return seconds


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, at least 1")


class UnsaidHost(str):
    """An address to listen on that neither a flag nor ``$HOST`` has said."""

    __slots__ = ()


class UnsaidPort(int):
    """A port to listen on that no flag has said."""


class _FromPortVariable(str):
    """A port that was not given as a flag."""

    __slots__ = ()


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _MAX_PORT:
        return UnsaidPort(text) if isinstance(text, _FromPortVariable) else int(text)
    source = f"$PORT is {str(text)!r}" if isinstance(text, _FromPortVariable) else repr(text)
    raise argparse.ArgumentTypeError(f"{source}: must be a whole number from 0 to {_MAX_PORT}")
