"""What is known of the ASGI server that runs this process: whether there are several processes behind one port."""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

__all__ = ["announced_processes", "warn_of_other_processes"]

logger = logging.getLogger("lambda_kit.server")


class _Server(NamedTuple):
    flags: tuple[str, ...]
    """How its command line says the number of processes."""
    variables: tuple[str, ...]
    """The environment variables that say it where no flag does; the first that is set counts."""
    more_flags: str | None = None
    """An environment variable with further arguments."""


_SERVERS = {
    "uvicorn": _Server(("--workers",), ("UVICORN_WORKERS", "WEB_CONCURRENCY")),
    "gunicorn": _Server(("-w", "--workers"), ("WEB_CONCURRENCY",), "GUNICORN_CMD_ARGS"),
    "hypercorn": _Server(("-w", "--workers"), ()),
    "granian": _Server(("--workers",), ("GRANIAN_WORKERS",)),
    "fastapi": _Server(("--workers",), ("WEB_CONCURRENCY",)),
}


def warn_of_other_processes() -> None:
    """Say what happens with jobs that are kept in memory, where several processes serve the port."""
    count = announced_processes(sys.argv, os.environ)
    if count > 1:
        logger.warning(
            "%d processes serve this port, and each has jobs of its own in its memory: a poll that reaches another one "
            "is answered by 404. Choose a store that they share by $LAMBDA_KIT_STORE or ToolServer(store=...), such as "
            "sqlite:///jobs.db",
            count,
        )


def announced_processes(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """How many processes serve the port of this one, by the command line of a server that is known.

    1 where nothing is known for certain: a server's configuration file is not read, and ``$WEB_CONCURRENCY`` says
    nothing to a program that does not ask for it.

    Args:
        argv: The arguments of the process, the program first; worker processes have those of their parent.
        environment: The environment variables.
    """
    server = _SERVERS.get(_program(argv))
    if server is None:
        return 1
    more = shlex.split(environment.get(server.more_flags, "")) if server.more_flags else []
    by_flag = _number_of(server.flags, [*more, *argv[1:]])
    texts = [environment[name] for name in server.variables if environment.get(name)]
    text = by_flag if by_flag is not None else next(iter(texts), "1")
    return int(text) if text.isascii() and text.isdigit() else 1


def _program(argv: Sequence[str]) -> str:
    path = PurePath(argv[0] if argv else "")
    return path.parent.name if path.name == "__main__.py" else path.stem  # ``python -m uvicorn``


def _number_of(flags: tuple[str, ...], arguments: list[str]) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(*flags, dest="count")
    try:
        found: str | None = parser.parse_known_args(arguments)[0].count
    except argparse.ArgumentError:
        return None
    return found
