"""What limits cost: refusing jobs when there are too many, and watching the time of those that run."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mean

from benchmarks.clients.jobs import JobClient, run_bounded
from benchmarks.contestants import ECHO_BODY, MESSAGE, OURS, OURS_CONTROL, Contestant, Server, serving
from benchmarks.errors import ContestantError
from benchmarks.load import Expected
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.services.sizes import MAX_QUEUE
from benchmarks.settings import Settings

__all__ = ["ACCEPTED", "LIMITED", "REFUSED", "UNLIMITED", "LimitsScenario"]

_CONNECTIONS = 32
_HOLD_SECONDS = 600.0
_FILL_SECONDS = 60.0

_WHERE = f"{_CONNECTIONS} connections"
ACCEPTED = Row(key="limits.accepted", title=f"bounded async echo with room, {_WHERE}: done", unit="jobs/s")
REFUSED = Row(
    key="limits.refused", title=f"the same with {MAX_QUEUE} jobs held, so full: refused (429)", unit="requests/s"
)
UNLIMITED = Row(key="limits.unlimited", title=f"async echo without a time limit, {_WHERE}", unit="jobs/s")
LIMITED = Row(key="limits.limited", title=f"async echo with a time limit, {_WHERE}", unit="jobs/s")


class LimitsScenario:
    """Answers per second with and without each limit, of the same server."""

    name = "limits"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        settings = bench.settings
        with serving(OURS_CONTROL, bench.pythons[contestant.name], bench.cores) as server:
            if settings.warmup_seconds:
                _rate(bench, server, "/async", settings.warmup_seconds)
            # What is compared is almost the same: what drifts must not meet only one side. So in two halves, A B B A.
            seconds = max(1, settings.control_seconds // 2)
            rates: dict[Row, list[float]] = {UNLIMITED: [], LIMITED: [], ACCEPTED: [], REFUSED: []}
            for row in (UNLIMITED, LIMITED, LIMITED, UNLIMITED):
                rates[row].append(_rate(bench, server, "/limited" if row is LIMITED else "/async", seconds))
            rates[ACCEPTED].append(_rate(bench, server, "/bounded", seconds))
            with _full(server) as refusal:
                rates[REFUSED] += [_rate(bench, server, "/bounded", seconds, refusal) for _ in range(2)]
            rates[ACCEPTED].append(_rate(bench, server, "/bounded", seconds))
        for row, values in rates.items():
            yield Measurement(row, mean(values))


@contextmanager
def _full(server: Server) -> Iterator[Expected]:
    """Leave the bounded tool no room for the length of the block; how it refuses one more job."""
    held = run_bounded("holding jobs", _hold(server.port), seconds=_FILL_SECONDS)
    status, _, refusal = server.request("POST", "/bounded", body=ECHO_BODY)
    if status != 429:
        raise ContestantError(f"with {len(held)} jobs held one more was answered {status} {refusal[:300]!r}")
    yield Expected(status, refusal)
    run_bounded("letting go of jobs", _let_go(server.port, held), seconds=_FILL_SECONDS)


def _rate(bench: Bench, server: Server, path: str, seconds: int, expected: Expected | None = None) -> float:
    """Answers per second, all of which must be the right one."""
    result = bench.load.measure(
        server, path, connections=_CONNECTIONS, seconds=seconds, cores=bench.cores, expected=expected
    )
    if result.failures or not result.requests:
        raise ContestantError(f"POST {path}: {result.failures} of {result.requests} requests failed")
    return result.requests / result.seconds


async def _hold(port: int) -> list[str]:
    """Use up all the room of the bounded tool."""
    client = await JobClient.open(port)
    try:
        request = {"message": MESSAGE, "hold_seconds": _HOLD_SECONDS}
        return [await client.submit("/bounded", request) for _ in range(MAX_QUEUE)]
    finally:
        client.close()


async def _let_go(port: int, held: list[str]) -> None:
    client = await JobClient.open(port)
    try:
        for location in held:
            await client.cancel(location)
    finally:
        client.close()
