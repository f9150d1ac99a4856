"""Names for the processes that share a store, from which others on the same machine can tell whether they live."""

import os
import socket
import uuid
from functools import cache
from pathlib import Path

__all__ = ["is_certainly_dead", "new_owner"]


def new_owner() -> str:
    """A name for this process that no other has, nor had: ``host/machine/pid/start/nonce``."""
    return "/".join([socket.gethostname(), _machine(), str(os.getpid()), _start_of(os.getpid()), uuid.uuid4().hex[:12]])


def is_certainly_dead(owner: str) -> bool:
    """Whether that process ran on this machine and does no more. False where that can't be known."""
    parts = owner.split("/")
    if len(parts) != 5 or not _machine() or parts[1] != _machine() or not parts[2].isdigit():
        return False
    return _start_of(int(parts[2])) != parts[3]


@cache
def _machine() -> str:
    """This boot of this machine, and the processes that see each other on it. Empty where that can't be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """When a process was started, in ticks since the boot: with this its number is unique. Empty: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return ""
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before it may hold anything
    return "" if fields[0] in "ZX" else fields[19]
