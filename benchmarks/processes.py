"""Processes on a core of their own, which end with the benchmark whatever happens to it."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import ContestantError

__all__ = ["ROOT", "Cores", "choose_cores", "cpu_seconds", "keep_to", "rss_bytes", "run", "running"]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: every child starts here, so that `lambda_kit` is the one of the checkout."""

_PR_SET_PDEATHSIG = 1
_FORGOTTEN_PREFIXES = ("IVCAP_", "OTEL_", "LAMBDA_KIT_", "PYTHON", "UVICORN_")
_FORGOTTEN = {"HOST", "PORT", "VERSION", "WEB_CONCURRENCY"}


@dataclass(frozen=True, kw_only=True)
class Cores:
    """Who runs where; `None` where the system can't pin processes."""

    server: int | None
    load: int | None
    available: int
    """How many cores this process may use."""

    def __str__(self) -> str:
        if self.server is None:
            return "not pinned (this system can't, or has one core)"
        return f"server on core {self.server}, load on core {self.load}"


def choose_cores() -> Cores:
    """The first two cores that this process may use."""
    if sys.platform != "linux":
        return Cores(server=None, load=None, available=os.cpu_count() or 1)
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(server=None, load=None, available=1)
    return Cores(server=allowed[0], load=allowed[1], available=len(allowed))


def keep_to(core: int | None) -> None:
    """Keep this process itself to a core, out of the server's way."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})


def _environment() -> dict[str, str]:
    """The caller's, without what would configure a contestant or its interpreter."""
    return {k: v for k, v in os.environ.items() if k not in _FORGOTTEN and not k.startswith(_FORGOTTEN_PREFIXES)}


def _prepare(core: int | None, niceness: int) -> Callable[[], None]:
    """What a child does between fork and exec."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None and sys.platform == "linux":
            os.sched_setaffinity(0, {core})
        os.nice(niceness)
        # The original opens an event loop, and so three files, for each async job.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return prepare


@contextmanager
def running(
    command: Sequence[str],
    *,
    core: int | None,
    niceness: int = 0,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child for the length of the `with` block; it and its children are ended and reaped at its end."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=_prepare(core, niceness),  # noqa: PLW1509 - the benchmark has one thread
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, then kill the group: a contestant may wait for its jobs or freeze; that is not measured here."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def run(command: Sequence[str], *, core: int | None, timeout_seconds: float, niceness: int = 0) -> str:
    """Run a command to its end and return what it wrote to stdout.

    Raises:
        ContestantError: it failed or took longer than `timeout_seconds`.
    """
    pipe = subprocess.PIPE
    with running(command, core=core, niceness=niceness, stdout=pipe, stderr=pipe) as process:
        try:
            out, err = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            raise ContestantError(f"not done after {timeout_seconds:g} s: {' '.join(command)}") from None
    if process.returncode != 0:
        raise ContestantError(f"exit {process.returncode}: {' '.join(command)}\n{err.decode(errors='replace')[-2000:]}")
    return out.decode()


def cpu_seconds(pid: int) -> float | None:
    """The processor time that a process has used so far, where the system tells it (`/proc`)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold spaces; user and system time are the 14th and 15th field.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int | None:
    """The resident memory of a process, where the system tells it (`/proc`)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return None
