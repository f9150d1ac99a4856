"""What ties a worker process to the life of its server, and what does not."""

import contextlib
import ctypes
import os
import signal
import sys
from typing import Any

__all__ = ["detach", "kill", "kill_group"]

_PR_SET_PDEATHSIG = 1


def detach(server_pid: int) -> None:
    """Let this process, a worker, die with its server, but by no signal that is meant for the server.

    Ctrl-C goes to every process of the terminal's group, and a service manager sends SIGTERM to all that belong to a
    service. The server then lets its jobs end, so their workers must live on: it ends them itself. A process group of
    its own also lets the server kill, with a worker, what a tool has started there.
    """
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            # not SIG_IGN, which programs that a tool starts would inherit
            signal.signal(getattr(signal, name), _stay)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    if sys.platform == "linux":
        # beside the end of the link, which is not seen while a library holds the interpreter's lock
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server_pid:  # it died before that
            os._exit(0)


def kill(pid: int) -> None:
    """End a worker and what its tools have started, at once. The worker must not have been waited for."""
    kill_group(pid)
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)  # it may not have a group of its own yet


def kill_group(pid: int) -> None:
    """End the processes of a worker's group, at once."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)  # on Windows it ends the process as SIGKILL does
    except (ProcessLookupError, PermissionError):
        return


def _stay(_number: int, _frame: Any) -> None:
    return
