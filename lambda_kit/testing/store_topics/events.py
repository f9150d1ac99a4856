"""Promises of `append_events` and `read_events`, and of the events that changes of status make."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.model.events import STATUS_SCHEMA, EventKind, EventPage
from lambda_kit.core.model.job import JobStatus, Progress
from lambda_kit.core.ports.store import JobStore, Lease
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import FAILURE, RESULT, StorePromises, new_event

__all__ = ["EventPromises"]


class EventPromises(StorePromises):
    """What a job's log holds."""

    async def test_each_change_of_status_is_one_event(self, store: JobStore, clock: ManualClock) -> None:
        lease = await self.claimed(store, max_attempts=3)
        await store.release(lease)
        await self.claim(store)
        await self.pass_time(clock, 1.1)
        await store.reap()
        await store.finish(await self.claim(store), FAILURE)
        log = await self.events(store)
        assert [event.status for event in log] == [
            JobStatus.PENDING,
            JobStatus.EXECUTING,
            JobStatus.PENDING,
            JobStatus.EXECUTING,
            JobStatus.PENDING,
            JobStatus.EXECUTING,
            JobStatus.FAILED,
        ]
        assert [event.seq for event in log] == [1, 2, 3, 4, 5, 6, 7]
        assert {(event.kind, event.schema, event.body) for event in log} == {(EventKind.STATUS, STATUS_SCHEMA, b"")}
        assert [event.timestamp for event in log] == sorted(event.timestamp for event in log)

    async def test_what_a_tool_reports_is_kept_in_order(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        assert await store.append_events(lease, [new_event(1), new_event(2)]) == 4
        assert await store.append_events(lease, [new_event(3)]) == 5
        await store.finish(lease, RESULT)
        log = await self.events(store)
        assert [event.seq for event in log] == [1, 2, 3, 4, 5, 6]
        reported = log[2:5]
        assert [(e.kind, e.status) for e in reported] == [(EventKind.REPORT, None)] * 3
        expected = [new_event(n) for n in (1, 2, 3)]
        assert [(e.schema, e.body, e.timestamp) for e in reported] == [
            (e.schema, e.body, e.timestamp) for e in expected
        ]

    async def test_a_batch_that_is_sent_again_is_not_appended_again(self, store: JobStore) -> None:
        lease = await self.claimed(store, max_attempts=2)
        assert await store.append_events(lease, [new_event(1)], batch=1) == 3
        assert await store.append_events(lease, [new_event(2), new_event(3)], batch=2) == 5
        assert await store.append_events(lease, [new_event(2), new_event(3)], batch=2) == 5
        assert await store.append_events(lease, [new_event(4)], batch=3) == 6
        await store.release(lease)
        lease = await self.claim(store)  # another lease counts anew
        assert await store.append_events(lease, [new_event(5)], batch=1) == 9
        reported = [event.schema for event in await self.events(store) if event.body]
        assert reported == [new_event(n).schema for n in (1, 2, 3, 4, 5)]

    async def test_dropped_events_leave_a_hole_ahead_of_the_first(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        assert await store.append_events(lease, [new_event(1), new_event(2)], dropped=5) == 9
        assert [event.seq for event in await self.events(store)] == [1, 2, 8, 9]
        await store.finish(lease, RESULT)
        assert [event.seq for event in await self.events(store)] == [1, 2, 8, 9, 10]

    async def test_appends_at_once_do_not_share_numbers(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        last = await asyncio.gather(
            *(store.append_events(lease, [new_event(2 * n), new_event(2 * n + 1)]) for n in range(20))
        )
        assert sorted(last) == list(range(4, 43, 2))
        log = (await self.events(store))[2:]
        assert [event.seq for event in log] == list(range(3, 43))
        assert {event.body for event in log} == {new_event(n).body for n in range(40)}

    async def test_the_last_progress_becomes_the_jobs(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        await store.append_events(lease, [new_event(1)])
        assert (await self.existing(store)).progress is None
        half = Progress(5, 10.0, "half")
        await store.append_events(
            lease, [new_event(1, progress=Progress(1)), new_event(2, progress=half), new_event(3)]
        )
        kept = (await self.existing(store)).progress
        assert kept == half
        assert kept is not None
        assert [type(number) for number in (kept.done, kept.total)] == [int, float]  # JSON tells them apart
        await store.append_events(lease, [new_event(4)])
        assert (await store.finish(lease, RESULT)).progress == half

    async def test_reading_goes_on_behind_a_number(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        await store.append_events(lease, [new_event(n) for n in range(10)], dropped=3)
        seqs = [event.seq for event in await self.events(store)]
        assert seqs == [1, 2, *range(6, 16)]
        for after in range(-1, 18):
            expected = [seq for seq in seqs if seq > after]
            assert [event.seq for event in await self.events(store, after=after)] == expected

    async def test_a_page_has_at_most_limit_events_and_says_whether_there_are_more(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        await store.append_events(lease, [new_event(n) for n in range(5)])
        page = await self._page(store, limit=3)
        assert ([e.seq for e in page.events], page.last_seq, page.final) == ([1, 2, 3], 7, False)
        rest = await self._page(store, after=3, limit=100)
        assert ([e.seq for e in rest.events], rest.last_seq) == ([4, 5, 6, 7], 7)
        assert (await self._page(store, after=7)).events == []

    async def test_the_page_says_when_nothing_will_come_any_more(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        assert not (await self._page(store)).final
        await store.finish(lease, RESULT)
        page = await self._page(store)
        assert page.final
        assert page.events[-1].status is JobStatus.SUCCEEDED
        assert page.events[-1].seq == page.last_seq

    async def test_a_page_that_was_read_does_not_change(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        page = await self._page(store)
        job = await self.existing(store)
        before, record = list(page.events), str(job)
        await store.append_events(lease, [new_event(1, progress=Progress(1))])
        await store.finish(lease, RESULT)
        assert (page.events, page.last_seq, page.final) == (before, 2, False)
        assert str(job) == record

    async def test_nothing_is_reported_to_a_job_that_has_ended(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        await store.finish(lease, RESULT)
        page = await self._page(store)
        with pytest.raises(LeaseLostError):
            await store.append_events(lease, [new_event(1)])
        assert await self._page(store) == page

    async def test_a_job_that_is_not_there_has_no_log(self, store: JobStore) -> None:
        assert await store.read_events("job-1") is None
        with pytest.raises(LeaseLostError):
            await store.append_events(Lease("job-1", 1), [new_event(1)])

    async def test_the_log_of_an_expired_job_is_gone(self, store: JobStore, clock: ManualClock) -> None:
        await self.finished(store, ttl_seconds=self.time_unit_seconds)
        await self.pass_time(clock, 1.1)
        assert await store.read_events("job-1") is None

    async def test_after_any_number_that_is_not_there_yet_there_is_nothing(self, store: JobStore) -> None:
        await self.claimed(store)
        whole = await self._page(store)
        for number in (whole.last_seq, 10**6, 10**15 - 1, 2**53 - 1):
            page = await self._page(store, after=number)
            assert (page.events, page.last_seq, page.final) == ([], whole.last_seq, whole.final)

    async def test_where_the_log_is_full_the_oldest_go(self, store: JobStore) -> None:
        if self.event_log_size is None:
            pytest.skip("the store of this fixture has no small log: set event_log_size")
        size = self.event_log_size
        lease = await self.claimed(store)
        await store.append_events(lease, [new_event(n) for n in range(2 * size)])
        last = await store.append_events(lease, [new_event(2 * size)])
        assert last == 2 * size + 3
        log = await self.events(store)
        assert [event.seq for event in log] == list(range(last - size + 1, last + 1))
        assert log[-1].body == new_event(2 * size).body
        await store.finish(lease, RESULT)
        log = await self.events(store)
        assert len(log) == size
        assert log[-1].status is JobStatus.SUCCEEDED

    async def _page(self, store: JobStore, *, after: int = 0, limit: int = 1000) -> EventPage:
        page = await store.read_events("job-1", after=after, limit=limit)
        assert page is not None
        return page
