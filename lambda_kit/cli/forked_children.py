"""What a child that a tool forks must not have of the server: its signals, and its sockets."""

import contextlib
import os
import signal
import weakref
from collections.abc import Iterable
from types import FrameType
from typing import Protocol

from uvicorn.server import HANDLED_SIGNALS

from lambda_kit.cli.tls import HANGUP

__all__ = ["Forkable", "leave_to_children"]


class Forkable(Protocol):
    """A server, of which a forked child may not keep anything."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        ...

    def socket_descriptors(self) -> Iterable[int]:
        """The file descriptors of what it listens on, and of its connections."""
        ...


_servers: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_has_hook = False


def leave_to_children(server: Forkable) -> None:
    """From now on, as long as it exists, a child that is forked does without this server."""
    global _has_hook  # noqa: PLW0603 - a hook can't be taken back, so there is one for all servers of the process
    _servers.add(server)
    if not _has_hook and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)
        _has_hook = True


def _in_child() -> None:
    for server in list(_servers):
        _restore_signals(server)
        _release_sockets(server)


def _restore_signals(server: Forkable) -> None:
    """Let signals end the child: one for it is not one for the service.

    At once, not when a signal comes: where a handler is written in Python, one that comes just before the child waits
    for a lock is not heard of until it has that lock.
    """
    for sig in HANDLED_SIGNALS if HANGUP is None else (*HANDLED_SIGNALS, HANGUP):
        if signal.getsignal(sig) == server.handle_exit:
            signal.signal(sig, signal.SIG_DFL)


def _release_sockets(server: Forkable) -> None:
    """Let go of the port, which the child would keep in use, and of the connections, which it would keep open.

    Their descriptors become those of an empty file: closed, they could be those of a file of the child's, which an
    object of the server's closes one day.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in server.socket_descriptors():
        with contextlib.suppress(OSError):
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
