"""Names for the processes that share a store, from which others on the same machine can tell whether they live."""

import os
import socket
import sys
import uuid
from functools import cache
from pathlib import Path

__all__ = ["is_certainly_dead", "is_living_neighbour", "is_stopped", "machine_boot", "new_worker_id"]


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
    return _is_there(worker_id) is False


def is_living_neighbour(worker_id: str) -> bool:
    """Whether that is another process on this machine that still runs. False where that can't be known.

    One that is stopped (SIGSTOP) counts as running: it may go on. Another worker of this very process does not count:
    its event loop may have ended.
    """
    return _is_there(worker_id) is True and worker_id.split("/")[2] != str(os.getpid())


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal, and not by a debugger. False where that can't be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :][:1] == b"T"


def machine_boot() -> str:
    """Names this boot of this machine. Empty where that can't be known.

    Raises:
        OSError: if it can't be known now.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text("ascii").strip() if sys.platform == "linux" and boot.exists() else ""


def _is_there(worker_id: str) -> bool | None:
    """Whether that process runs on this machine. None where that can't be known."""
    match worker_id.split("/"):
        case [_, machine, pid, start, _] if machine and start and pid.isascii() and pid.isdigit():
            try:
                return not _is_gone(int(pid), start) if machine == _machine() else None
            except (OSError, OverflowError):  # such as too many open files, or a /proc that hides others
                return None
    return None


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
    boot = machine_boot()
    is_ours = boot and Path("/proc/self").readlink().name == str(os.getpid())  # and no outer namespace's
    return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}" if is_ours else ""


def _start_of(pid: int) -> tuple[str, bool]:
    """When a process was started, in ticks since the boot: with this its number is unique; and whether it has ended.

    Raises:
        OSError: if that can't be known now. The process may be there all the same.
    """
    stat = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before it may hold anything
    is_zombie = fields[0] in "ZX" and int(fields[17]) <= 1  # else only its main thread has ended
    return fields[19], is_zombie
