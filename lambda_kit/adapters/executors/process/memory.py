"""The memory limit of a worker process."""

import contextlib
import sys
from pathlib import Path

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.job import Failure, FailureKind

__all__ = ["limit_memory", "memory_failure"]

_MIB = 1024 * 1024


def limit_memory(limit_bytes: int) -> None:
    """Bound what this process may allocate, all together; beyond it an allocation fails with a `MemoryError`.

    On Linux it is the data that is bounded: what is allocated, not files and libraries that are mapped, and not the
    address space that is only reserved (of which some libraries take a hundred times what they use). Elsewhere it is
    the address space, as far as the system heeds that.

    Raises:
        ConfigurationError: if this system can't do that, or the process already has more.
    """
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        raise ConfigurationError(f"memory_limit_bytes: {sys.platform} has no limits for processes") from None
    used_bytes = _data_bytes()
    if used_bytes >= limit_bytes:
        raise ConfigurationError(
            f"memory_limit_bytes={limit_bytes} ({_mib(limit_bytes)}) is too little: a worker has taken "
            f"{_mib(used_bytes)} before its tools are set up"
        )
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, most = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit_bytes if most == resource.RLIM_INFINITY else min(limit_bytes, most), most))


def memory_failure(limit_bytes: int) -> Failure:
    """How a job ends that needed more."""
    message = f"the job needed more memory than the {_mib(limit_bytes)} that its worker may have"
    return Failure(FailureKind.MEMORY_LIMIT, "memory-limit", message)


def _data_bytes() -> int:
    """What counts against the limit now. 0: not known."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.0f} MiB"
