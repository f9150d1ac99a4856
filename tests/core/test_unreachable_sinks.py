"""A sink without a connection, with a refused token or with slow calls: what that costs, and whom it keeps waiting."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from lambda_kit import Job, MemoryJobStore
from lambda_kit.core.jobs.statistics import SinkStatistics
from lambda_kit.core.model.events import Event, EventKind
from lambda_kit.core.ports.sink import DeliveryError, DeliveryRefusedError, JobEnd
from tests.core.running_tools import LONG_SECONDS, NotedSink, until
from tests.core.test_delivery import QUICK_TIMES, MarkedStore, make, make_finished, relaying


class OneByOne(NotedSink):
    """Takes what tools report, one by one, as the platform's sidecar does."""

    max_events = 1
    takes_status_events = False

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.refused: set[str] = set()

    def forget(self, job_id: str) -> None:
        self.calls.append((job_id, "forgotten"))

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        assert len(events) + (end is not None) == 1
        assert all(event.kind is EventKind.REPORT for event in events)
        self.calls.append((job.id, "end" if end is not None else str(events[0].seq)))
        if self.error is not None and (not self.refused or job.id in self.refused):
            raise self.error
        await super().deliver(job, events, end, authorization=authorization)


async def test_a_sink_that_takes_one_event_at_a_time_gets_nothing_twice() -> None:
    class FailsAtTheEnd(OneByOne):
        tries = 0

        async def deliver(
            self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
        ) -> None:
            self.tries += end is not None
            if end is not None and self.tries <= 3:
                raise ConnectionError("not now")
            await super().deliver(job, events, end, authorization=authorization)

    sink, store = FailsAtTheEnd(), MarkedStore()
    async with relaying(sink, store):
        await make_finished(store, "job", reports=5)
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == ["3", "4", "5", "6", "7", "end"]
    assert store.marks[0] == (7, False)
    assert sink.calls[-1] == ("job", "forgotten")


async def test_a_sink_without_a_connection_is_asked_for_one_job_and_the_others_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink, store, statistics = OneByOne(), MemoryJobStore(), SinkStatistics()
    sink.error = DeliveryError("connection refused", is_unreachable=True)
    async with relaying(sink, store, statistics=statistics):
        for n in range(200):
            await make_finished(store, f"job {n}", reports=1)
        await until(lambda: len(sink.calls) >= 15)
        assert len({job_id for job_id, _ in sink.calls}) <= 8  # those that were begun before it was found out
        assert (statistics.is_unreachable, statistics.retrying) == (True, 0)
        sink.error = None
        await until(lambda: len(sink.ends) == 200)
    assert (statistics.is_unreachable, statistics.retrying) == (False, 0)
    for n in range(200):
        assert [what for job_id, what in sink.told if job_id == f"job {n}"] == ["3", "end"]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([text for text in warnings if "can't be reached (connection refused)" in text]) == 1


async def test_slow_calls_keep_no_others_waiting_however_many_there_are() -> None:
    class Hangs(OneByOne):
        async def deliver(
            self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
        ) -> None:
            if job.id.startswith("slow"):
                await asyncio.Event().wait()
            await super().deliver(job, events, end, authorization=authorization)

    sink, store = Hangs(), MemoryJobStore()
    await store.register_sink(sink.name)
    for n in range(50):
        await make_finished(store, f"slow {n}")
    await make_finished(store, "quick")
    async with relaying(sink, store, times=msgspec.structs.replace(QUICK_TIMES, slow=0.02)):  # nothing wakes it
        await until(lambda: "quick" in sink.ends)
    assert [*sink.ends] == ["quick"]


async def test_events_that_a_sink_gives_up_are_dropped_together_and_the_end_comes_next() -> None:
    sink, store, statistics = OneByOne(), MemoryJobStore(), SinkStatistics()

    class GivesUp(OneByOne):
        async def deliver(
            self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
        ) -> None:
            if events and events[0].seq == 5:
                raise DeliveryRefusedError("tried for long enough", reason="given-up", drops_all_events=True)
            await super().deliver(job, events, end, authorization=authorization)

    sink = GivesUp()
    async with relaying(sink, store, statistics=statistics):
        await make_finished(store, "job", reports=250)
        await until(lambda: sink.ends)
    assert [what for _, what in sink.told] == ["3", "4", "end"]
    assert statistics.dropped["event", "given-up"] == 248
    assert (statistics.delivered_events, statistics.delivered_ends) == (2, 1)


async def test_a_stop_does_not_wait_for_a_job_whose_token_is_refused_but_for_others() -> None:
    sink, store, statistics = OneByOne(), MemoryJobStore(), SinkStatistics()
    sink.refused, sink.error = {"expired"}, DeliveryError("401", is_unauthorized=True)
    excused: list[str] = []
    times = msgspec.structs.replace(QUICK_TIMES, first_back_off=3600.0, longest_back_off=3600.0)
    async with relaying(
        sink, store, statistics=statistics, times=times, flush_seconds=LONG_SECONDS, on_excused=excused.append
    ) as relay:
        await make_finished(store, "expired")
        await until(lambda: statistics.unauthorized)
        await make_finished(store, "good")
        await relay.stop()
    assert [*sink.ends] == ["good"]
    assert excused == ["expired"]
    assert [delivery.job_id for delivery in await store.undelivered(sink.name)] == ["expired"]


async def test_a_stop_tries_at_once_what_waits_for_another_try() -> None:
    sink, store = OneByOne(), MemoryJobStore()
    sink.error = DeliveryError("503", retry_after_seconds=3600.0)
    async with relaying(sink, store, flush_seconds=LONG_SECONDS) as relay:
        await make_finished(store, "job")
        await until(lambda: sink.calls)
        sink.error = None
        await relay.stop()
    assert [*sink.ends] == ["job"]


async def test_events_that_have_left_the_log_before_they_were_delivered_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink, store, statistics = OneByOne(), MemoryJobStore(event_log_size=10), SinkStatistics()
    sink.error = DeliveryError("away", is_unreachable=True)
    async with relaying(sink, store, statistics=statistics):
        await make(store, "job", reports=3)
        await until(lambda: sink.calls)
        await make_finished(store, "other", reports=50)
        sink.error = None
        await until(lambda: "other" in sink.ends)
    assert [what for job_id, what in sink.told if job_id == "job"] == ["3", "4", "5"]
    assert [what for job_id, what in sink.told if job_id == "other"] == [*map(str, range(44, 53)), "end"]
    assert statistics.dropped["event", "not-in-log"] == 43
    assert "job other: 43 events are no longer in its log" in caplog.text
