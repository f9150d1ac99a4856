"""How fast the events of a job reach those who follow it live."""

import asyncio
import time
from collections.abc import Iterator

from benchmarks.clients.connection import bare_bytes
from benchmarks.clients.jobs import JobClient, run_bounded
from benchmarks.contestants import OURS, OURS_CONTROL, Contestant, serving
from benchmarks.errors import ContestantError
from benchmarks.results import Measurement, Row
from benchmarks.scenarios.base import Bench
from benchmarks.settings import Settings

__all__ = ["EventsScenario"]

_EVENTS = 1000
_WATCHERS = (1, 50)
_SECONDS = 120.0
_READ_BYTES = 256 * 1024


class EventsScenario:
    """A job reports as fast as it can, from a thread, once all of its watchers are connected."""

    name = "events"

    def rounds(self, settings: Settings) -> int:
        """See `Scenario.rounds`."""
        return settings.control_rounds

    def suits(self, contestant: Contestant) -> bool:
        """See `Scenario.suits`."""
        return contestant is OURS

    def measure(self, bench: Bench, contestant: Contestant) -> Iterator[Measurement]:
        """See `Scenario.measure`."""
        with serving(OURS_CONTROL, bench.pythons[contestant.name], bench.cores) as server:
            for watchers in _WATCHERS:
                who = f"{watchers} watcher{'s' if watchers > 1 else ''}"
                seconds = run_bounded(f"events to {who}", _follow(server.port, watchers), seconds=_SECONDS)
                title = f"a job's {_EVENTS:,} events to {who}, live, delivered in all"
                yield Measurement(
                    Row(key=f"events.{watchers}", title=title, unit="events/s"), watchers * _EVENTS / seconds
                )


async def _follow(port: int, watchers: int) -> float:
    """Seconds from letting the job report to the end of the last watcher's stream."""
    client = await JobClient.open(port)
    followers: list[_Follower] = []
    try:
        location = await client.submit_running("/report", {"events": _EVENTS})
        followers += [await _Follower.connect(port, location) for _ in range(watchers)]
        begin = time.perf_counter()
        reading = [asyncio.create_task(follower.read()) for follower in followers]
        await client.submit("/report-now", {})
        await asyncio.gather(*reading)
        seconds = time.perf_counter() - begin
    finally:
        client.close()
        for follower in followers:
            follower.close()
    for follower in followers:
        follower.check()
    return seconds


class _Follower:
    """A stream of events, kept as it comes: it is looked at when the time has been taken."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._text = b""

    @classmethod
    async def connect(cls, port: int, location: str) -> "_Follower":
        """Begin to follow a job; its first event, that it runs, has come when this returns."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_READ_BYTES)
        follower = cls(reader, writer)
        path = "/jobs/" + location.rpartition("/")[2] + "/events"
        writer.write(bare_bytes("GET", path, "Connection: close"))
        follower._text = await reader.readuntil(b"progress")
        return follower

    async def read(self) -> None:
        """Read to the end of the stream."""
        parts = [self._text]
        while part := await self._reader.read(_READ_BYTES):
            parts.append(part)
        self._text = b"".join(parts)

    def close(self) -> None:
        """Leave."""
        self._writer.close()

    def check(self) -> None:
        """Each event must have come once, in order."""
        ids = [int(line[4:]) for line in self._text.splitlines() if line.startswith(b"id: ")]
        reported = self._text.count(b"\nevent: ivcap.job.event\n")
        if reported != _EVENTS or ids != list(range(1, len(ids) + 1)):
            raise ContestantError(f"a watcher saw {reported} of {_EVENTS} events, {len(ids)} with their status")
