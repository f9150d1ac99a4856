"""Asks a server for its health while something else goes on."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.contestants import Server
from benchmarks.errors import ContestantError
from benchmarks.processes import Cores, running

__all__ = ["Probe", "probing"]

_INTERVAL_SECONDS = 0.01


@dataclass
class Probe:
    """What the health probe saw, once it has ended."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    """When a request began and how long it took, in seconds."""
    failures: int = 0


@contextmanager
def probing(server: Server, cores: Cores) -> Iterator[Probe]:
    """Ask for the health of the server in the block; what was seen is filled in at its end."""
    probe = Probe()
    command = [sys.executable, "-m", "benchmarks.clients.probe", "--port", str(server.port)]
    command += ["--interval", str(_INTERVAL_SECONDS)]
    pipe = subprocess.PIPE
    with running(command, core=cores.load, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"ready":
            raise ContestantError("the health probe did not start")
        yield probe
        try:
            out, _ = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            raise ContestantError("the health probe got no answer") from None
        seen = json.loads(out)
        probe.samples = [(begin, latency) for begin, latency in seen["samples"]]
        probe.failures = seen["failures"]
