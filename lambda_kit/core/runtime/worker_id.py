"""Names for the processes that share a store, from which others on the same machine can tell whether they live."""

import os
import socket
import sys
import uuid
from functools import cache
from pathlib import Path

__all__ = ["is_certainly_dead", "new_worker_id"]


def new_worker_id() -> str:
    """A name for this process that no other has, nor had: ``host/machine/pid/start/nonce``.

    What can't be found out is empty there; then nobody can tell that this process is dead, but by its silence.
    """
    pid = os.getpid()
    try:
        machine, (start, _) = _machine(), _start_of(pid)
    except OSError:
        machine = start = ""
    return "/".join([_host(), machine, str(pid), start, uuid.uuid4().hex[:12]])


def is_certainly_dead(worker_id: str) -> bool:
    """Whether that process ran on this machine and does no more. False where that can't be known."""
    match worker_id.split("/"):
        case [_, machine, pid, start, _] if machine and start and pid.isascii() and pid.isdigit():
            try:
                return machine == _machine() and _is_gone(int(pid), start)
            except (OSError, OverflowError):  # such as too many open files, or a /proc that hides others
                return False
    return False


def _is_gone(pid: int, start: str) -> bool:
    try:
        os.kill(pid, 0)  # does nothing on Linux; and elsewhere no machine has a name
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's
    found, is_zombie = _start_of(pid)
    return found != start or (is_zombie and pid != os.getpid())


def _host() -> str:
    try:
        return socket.gethostname().replace("/", "-")
    except OSError:
        return ""


@cache  # but for what is raised
def _machine() -> str:
    """This boot of this machine, and the processes that see each other on it. Empty where that can't be known.

    Raises:
        OSError: if it can't be known now.
    """
    if sys.platform != "linux":
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id")
    is_ours = boot.exists() and Path("/proc/self").readlink().name == str(os.getpid())  # and no outer namespace's
    return f"{boot.read_text('ascii').strip()}:{Path('/proc/self/ns/pid').stat().st_ino}" if is_ours else ""


def _start_of(pid: int) -> tuple[str, bool]:
    """When a process was started, in ticks since the boot: with this its number is unique; and whether it has ended.

    Raises:
        OSError: if that can't be known now. The process may be there all the same.
    """
    stat = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before it may hold anything
    is_zombie = fields[0] in "ZX" and int(fields[17]) <= 1  # else only its main thread has ended
    return fields[19], is_zombie
