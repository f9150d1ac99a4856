"""stdin and stdout kept for a protocol, away from all that reads or prints (docs/mcp.md, On standard input and output).

The package `lambda_kit` imports this before anything else where the process is to speak MCP on them, so it imports
nothing but small modules of the standard library itself.
"""

import contextlib
import io
import os
import sys
from typing import NamedTuple

__all__ = ["ProtocolStreams", "divert_streams"]

_FIRST_OWN = 3
"""The least descriptor that is none of stdin, stdout and stderr."""


class ProtocolStreams(NamedTuple):
    """The descriptors of the client's two streams. No child that is started inherits them."""

    input: int
    output: int


_diverted: list[ProtocolStreams] = []


def divert_streams() -> ProtocolStreams | None:
    """Keep stdin and stdout for the protocol: from now on descriptor 0 is empty, and what is written to 1 is on stderr.

    That holds for everybody: ``print``, log handlers, libraries in C, and all processes that are started later. What
    Python has printed before and still has in its buffer goes to stderr too. It is done once, and never undone.

    Returns:
        None: stdin or stdout was closed before the process began.
    """
    if not _diverted and sys.__stdin__ is not None and sys.__stdout__ is not None:
        with contextlib.suppress(OSError):
            streams = ProtocolStreams(_own_copy(0), _own_copy(1))
            _replace(0, os.open(os.devnull, os.O_RDONLY))
            _replace(1, os.open(os.devnull, os.O_WRONLY) if sys.__stderr__ is None else os.dup(2))
            _diverted.append(streams)
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(line_buffering=True)  # in order with what is written to stderr
    return _diverted[0] if _diverted else None


def _own_copy(descriptor: int) -> int:
    """A copy that is not inherited, and is not in the place of a standard stream that is closed."""
    copies: list[int] = []
    try:
        while not copies or copies[-1] < _FIRST_OWN:
            copies.append(os.dup(descriptor))
        return copies.pop()
    finally:
        for copy in copies:
            os.close(copy)


def _replace(descriptor: int, new: int) -> None:
    os.dup2(new, descriptor)
    if new != descriptor:
        os.close(new)
