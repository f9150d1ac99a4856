"""Calls of a tool by MCP: both generations of the protocol, with and without progress, one connection and many."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from benchmarks.contestants import FASTMCP, MCP_SDK, MESSAGE, ORIGINAL, OURS, Contestant, Started, starting
from benchmarks.errors import ContestantError
from benchmarks.processes import cpu_seconds, run
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench

__all__ = ["MCP_CONNECTIONS", "MCP_LOADS", "McpScenario", "mcp_cpu_key", "mcp_rate_key"]

MCP_CONNECTIONS = (1, 16)
_STEPS = 3
_SLICE_SECONDS = 1
_SPARE_SECONDS = 60.0


class McpLoad(NamedTuple):
    """What clients of one kind ask for."""

    era: str
    """``legacy``: 2025-11-25, with a session; ``modern``: 2026-07-28."""
    has_token: bool
    """Whether they ask for progress; the tool reports it three times then."""

    @property
    def key(self) -> str:
        """Part of the keys of rows."""
        return f"{self.era}.{'token' if self.has_token else 'plain'}"

    @property
    def title(self) -> str:
        """For people to read."""
        version = "2025-11-25" if self.era == "legacy" else "2026-07-28"
        return f"MCP call, {version}{', with progress' if self.has_token else ''}"


MCP_LOADS = tuple(McpLoad(era, has_token) for era, has_token in product(("legacy", "modern"), (False, True)))

_SERVICES = {
    OURS: ("mcp_ours", ()),
    ORIGINAL: ("mcp_original", ("--with-mcp",)),
    FASTMCP: ("mcp_fastmcp", ()),
    MCP_SDK: ("mcp_sdk", ()),
}
"""Module and arguments."""


def mcp_rate_key(load: McpLoad, connections: int) -> str:
    """The key of the row with the calls per second."""
    return f"mcp.{load.key}.{connections}.rate"


def mcp_cpu_key(load: McpLoad, connections: int) -> str:
    """The key of the row with the server's processor time per call."""
    return f"mcp.{load.key}.{connections}.cpu"


class McpScenario:
    """``tools/call`` per second, and the processor time that one takes.

    As in `EchoScenario`, all servers run at once, and each load is given in slices of a second, by turns.
    """

    name = "mcp"

    def suits(self, contestant: Contestant) -> bool:
        """See `SideBySide.suits`."""
        return contestant in _SERVICES

    def measure_together(
        self, bench: Bench, contestants: Sequence[Contestant]
    ) -> Iterator[tuple[Contestant, int, Iterable[Measurement] | ContestantError]]:
        """See `SideBySide.measure_together`."""
        settings = bench.settings
        servers: dict[Contestant, Started] = {}
        failed: set[tuple[Contestant, McpLoad]] = set()
        with ExitStack() as stack:
            for contestant in contestants:
                module, arguments = _SERVICES[contestant]
                service = replace(contestant, module=f"benchmarks.services.{module}")
                try:
                    started = starting(service, bench.pythons[contestant.name], bench.cores, arguments=arguments)
                    servers[contestant] = stack.enter_context(started)
                except ContestantError as error:
                    yield contestant, 0, error
            for load, connections in product(MCP_LOADS, MCP_CONNECTIONS):
                for number in range(-1 if settings.warmup_seconds else 0, settings.mcp_slices):
                    taking_part = [contestant for contestant in servers if (contestant, load) not in failed]
                    shift = max(number, 0) % max(1, len(taking_part))
                    for contestant in taking_part[shift:] + taking_part[:shift]:
                        try:
                            found = list(_slice(bench, servers[contestant], contestant, load, connections))
                        except ContestantError as error:
                            failed.add((contestant, load))
                            yield contestant, max(number, 0), error
                            continue
                        if number >= 0:  # else it was to warm up
                            yield contestant, number, found


def _slice(
    bench: Bench, server: Started, contestant: Contestant, load: McpLoad, connections: int
) -> Iterator[Measurement]:
    command = [sys.executable, "-m", "benchmarks.clients.mcp", "--port", str(server.port), "--era", load.era]
    command += ["--tool", "echo", "--arguments", _arguments(contestant, load), "--expected", MESSAGE]
    command += ["--connections", str(connections), "--seconds", str(_SLICE_SECONDS)]
    command += ["--token"] if load.has_token else []
    before = cpu_seconds(server.process.pid)
    timeout_seconds = _SLICE_SECONDS + _SPARE_SECONDS
    result = json.loads(run(command, core=bench.cores.load, timeout_seconds=timeout_seconds))
    after = cpu_seconds(server.process.pid)
    if result["failures"] or not result["requests"]:
        raise ContestantError(
            f"{contestant.name}: {load.title}, on {connections} connections: "
            f"{result['failures']} of {result['requests']} calls failed"
        )
    label = f"{load.title}, {connections} connection{'s' if connections > 1 else ''}"
    rate = Row(key=mcp_rate_key(load, connections), title=label, unit="calls/s")
    yield Measurement(rate, result["requests"] / result["seconds"])
    if before is not None and after is not None:
        title = f"{label}, processor time of the server per call"
        cpu = Row(key=mcp_cpu_key(load, connections), title=title, unit="µs")
        yield Measurement(cpu, 1e6 * (after - before) / result["requests"])


def _arguments(contestant: Contestant, load: McpLoad) -> str:
    request = {"message": MESSAGE, "steps": _STEPS if load.has_token else 0}
    # the original wraps the request into the name of the parameter
    return json.dumps({"req": request} if contestant is ORIGINAL else request)
