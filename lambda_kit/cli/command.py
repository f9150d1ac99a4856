"""The console command ``lambda-kit``. Each of its commands is a module of `lambda_kit.cli.commands`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from lambda_kit.core.errors import LambdaKitError
from lambda_kit.version import VERSION

__all__ = ["Command", "main"]

_COMMANDS = {
    "doctor": "show what MCP clients see of a server's tools, and which rules these break",
    "key": "make an API key, and print it and the line that lets it in",
    "migrate": "turn a service file written for ivcap-lambda into one with classes",
}
"""The commands and what they do. ``lambda_kit.cli.commands.NAME`` is a `Command`; only the one that is asked for is
imported."""

_FAILED = 1


class Command(Protocol):
    """What the module of a command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's flags and arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it.

        Returns:
            The exit code.

        Raises:
            LambdaKitError: if it can't be done; the text goes to stderr, and the exit code is 1.
        """
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lambda-kit``.

    Args:
        argv: The arguments. None: those of the process.

    Returns:
        The exit code: 0, or 1 if what was asked for can't be done.

    Raises:
        SystemExit: with 2 if the command line is wrong; with 0 after ``--help`` and ``--version``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="lambda-kit", description="Tools for services made with lambda_kit.")
    parser.add_argument("--version", action="version", version=f"lambda-kit {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in _COMMANDS.items():
        command_parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name in arguments:
            _command(name).add_arguments(command_parser)
    args = parser.parse_args(arguments)
    try:
        return _command(args.command).run(args)
    except LambdaKitError as error:
        print(f"lambda-kit {args.command}: error: {error}", file=sys.stderr)
        return _FAILED


def _command(name: str) -> Command:
    return cast("Command", importlib.import_module(f"lambda_kit.cli.commands.{name}"))
