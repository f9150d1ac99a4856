"""The flags of batch mode and of single runs."""

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence

from ivcap_service.ivcap import set_sidecar_delivery_disabled

from lambda_kit.core.errors import ConfigurationError, ToolNotFoundError
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["add_batch_arguments", "chosen_tool", "flags_of_command", "sidecar_off"]


def add_batch_arguments(parser: argparse.ArgumentParser, tool_names: Sequence[str]) -> None:
    """Add the flags to the parser of a service file.

    Args:
        parser: Gets them.
        tool_names: The tools, the first of which is the default.
    """
    group = parser.add_argument_group("run jobs without a port")
    group.add_argument(
        "--batch",
        action="store_true",
        help="run the jobs that the platform hands out at $IVCAP_BASE_URL/next_job, one after another, until there are "
        "no more (default: what the file says by serve(batch=...))",
    )
    group.add_argument(
        "--run",
        "--test-file",
        dest="run",
        metavar="FILE",
        help="run one request, print its result on stdout, and exit; FILE holds the request as JSON, or a job as "
        "the platform hands it out; - is stdin. Nothing is sent to the platform",
    )
    group.add_argument(
        "--tool",
        metavar="NAME",
        help=f"which tool --batch and --run use [{', '.join(tool_names)}; default: the first]",
    )
    group.add_argument(
        "--test-without-sidecar",
        action="store_true",
        help="send no events and results to the platform, whatever $IVCAP_BASE_URL says",
    )


def chosen_tool(tools: Mapping[str, BoundTool], args: argparse.Namespace) -> BoundTool:
    """The tool that runs the jobs: that of ``--tool``, else the first.

    Raises:
        ToolNotFoundError: if there is none of that name.
        ConfigurationError: if it can't be used without HTTP.
    """
    name = next(iter(tools)) if args.tool is None else args.tool
    tool = tools.get(name)
    if tool is None:
        raise ToolNotFoundError(f"--tool {name}: there is no such tool here; the tools are: {', '.join(tools)}")
    if tool.signature.needs_transport_request:
        raise ConfigurationError(
            f"{type(tool.tool).__name__}.run wants a litestar.Request, which there is only over HTTP: annotate the "
            "parameter with RequestInfo instead, or choose another tool by --tool"
        )
    return tool


def flags_of_command(
    tools: Mapping[str, BoundTool], tool: BoundTool, args: argparse.Namespace
) -> list[tuple[str, ...]]:
    """The flags that the command of a batch service needs, so that the container does what was described."""
    flags: list[tuple[str, ...]] = []
    if args.batch:  # else the service file itself says so
        flags.append(("--batch",))
    if tool.name != next(iter(tools)):
        flags.append(("--tool", tool.name))
    return flags


@contextlib.contextmanager
def sidecar_off(args: argparse.Namespace) -> Iterator[None]:
    """Send nothing to the platform while the block lasts, where the flags say so."""
    if args.run is None and not args.test_without_sidecar:
        yield
        return
    set_sidecar_delivery_disabled(True)
    try:
        yield
    finally:
        set_sidecar_delivery_disabled(False)
