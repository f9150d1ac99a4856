"""Promises of `list_jobs`, `counts` and `queue_positions`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

from collections.abc import Collection

import pytest

from lambda_kit.core.errors import BadRequestError
from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import FAILURE, RESULT, StorePromises

__all__ = ["ListPromises"]


class ListPromises(StorePromises):
    """How jobs are looked at together."""

    async def test_an_empty_store_lists_nothing(self, store: JobStore) -> None:
        page = await store.list_jobs()
        assert (page.jobs, page.next_cursor) == ([], None)
        assert await store.counts() == {}

    async def test_the_newest_is_first(self, store: JobStore) -> None:
        for name in ("a", "b", "c"):
            await self.pending(store, name)
        lease = await self.claim(store, "a")
        await store.finish(lease, RESULT)  # a change makes it no newer
        jobs = (await store.list_jobs()).jobs
        assert [job.id for job in jobs] == ["c", "b", "a"]
        assert jobs[2] == await store.get("a")

    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
    async def test_pages_follow_each_other(self, store: JobStore, limit: int) -> None:
        expected = [(await self.pending(store, f"job-{n}")).id for n in range(7)][::-1]
        pages = await self._pages(store, limit)
        assert [job_id for page in pages for job_id in page] == expected
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert len(pages[-1]) > 0

    async def test_the_usual_page_has_a_hundred(self, store: JobStore) -> None:
        for n in range(101):
            await self.pending(store, f"job-{n}")
        page = await store.list_jobs()
        assert len(page.jobs) == 100
        assert page.next_cursor is not None
        assert len((await store.list_jobs(limit=1000)).jobs) == 101

    async def test_jobs_that_come_while_paging_are_no_repeats(self, store: JobStore) -> None:
        for n in range(6):
            await self.pending(store, f"old-{n}")
        first = await store.list_jobs(limit=3)
        for n in range(4):
            await self.pending(store, f"new-{n}")
        second = await store.list_jobs(limit=10, cursor=first.next_cursor)
        seen = [job.id for job in (*first.jobs, *second.jobs)]
        assert seen == ["old-5", "old-4", "old-3", "old-2", "old-1", "old-0"]
        assert second.next_cursor is None

    async def test_jobs_that_go_while_paging_leave_no_gaps(self, store: JobStore, clock: ManualClock) -> None:
        for n in range(6):
            ttl = self.time_unit_seconds if n in (3, 2) else 1e6
            await self.finished(store, f"job-{n}", ttl_seconds=ttl)
        first = await store.list_jobs(limit=3)
        await self.pass_time(clock, 1.1)  # the last of the first page goes, and the next one
        await store.purge()
        second = await store.list_jobs(limit=3, cursor=first.next_cursor)
        assert [job.id for job in second.jobs] == ["job-1", "job-0"]

    async def test_only_one_tools_jobs(self, store: JobStore) -> None:
        await self.pending(store, "a", tool="greet")
        await self.pending(store, "b", tool="other")
        await self.pending(store, "c", tool="greet")
        assert await self._ids(store, tool="greet") == ["c", "a"]
        assert await self._ids(store, tool="nobody") == []

    async def test_only_some_statuses(self, store: JobStore) -> None:
        await self.pending(store, "waits")
        await self.claimed(store, "runs")
        await self.finished(store, "done")
        await store.finish(await self.claimed(store, "failed"), FAILURE)
        assert await self._ids(store, statuses={JobStatus.EXECUTING}) == ["runs"]
        both = [JobStatus.FAILED, JobStatus.SUCCEEDED]
        assert await self._ids(store, statuses=both) == ["failed", "done"]
        assert await self._ids(store, statuses=[JobStatus.SCHEDULED]) == []
        assert await self._ids(store, tool="other", statuses=both) == []

    async def test_a_filter_holds_on_every_page(self, store: JobStore) -> None:
        for n in range(9):
            await self.pending(store, f"job-{n}", tool="greet" if n % 2 else "other")
        pages = await self._pages(store, 2, tool="greet")
        assert pages == [["job-7", "job-5"], ["job-3", "job-1"]]

    async def test_only_one_principals_jobs(self, store: JobStore) -> None:
        await self._of_principals(store)
        assert await self._ids(store, principal="ann") == ["ann-3", "ann-2", "ann-1", "ann-0"]
        assert await self._ids(store, principal="nobody") == []
        assert len(await self._ids(store)) == 8

    async def test_only_one_principals_jobs_of_one_tool_or_of_some_statuses(self, store: JobStore) -> None:
        await self._of_principals(store)
        await store.finish(await self.claim(store, "ann-1"), RESULT)
        await store.finish(await self.claim(store, "bob-1"), RESULT)
        await self.claim(store, "ann-2")
        assert await self._ids(store, principal="ann", tool="other") == ["ann-3", "ann-1"]
        ended = [JobStatus.SUCCEEDED, JobStatus.FAILED]
        assert await self._ids(store, principal="ann", statuses=ended) == ["ann-1"]
        assert await self._ids(store, principal="ann", statuses=[*ended, JobStatus.EXECUTING]) == ["ann-2", "ann-1"]
        assert await self._ids(store, principal="ann", tool="greet", statuses=[JobStatus.PENDING]) == ["ann-0"]
        assert await self._ids(store, principal="bob", tool="greet", statuses=ended) == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
    async def test_pages_of_one_principals_jobs_follow_each_other(self, store: JobStore, limit: int) -> None:
        await self._of_principals(store)
        pages = await self._pages(store, limit, principal="bob")
        assert [job_id for page in pages for job_id in page] == ["bob-3", "bob-2", "bob-1"]
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)

    async def test_expired_jobs_of_a_principal_are_not_listed(self, store: JobStore, clock: ManualClock) -> None:
        await self.finished(store, principal="ann", ttl_seconds=self.time_unit_seconds)
        await self.pending(store, "waits", principal="ann")
        await self.pass_time(clock, 1.1)
        assert await self._ids(store, principal="ann") == ["waits"]

    @pytest.mark.parametrize("cursor", ["", "?", "not a cursor", "-1", "1.5", "\x00", "é", "x" * 5000])
    async def test_a_cursor_that_this_store_did_not_give_out_is_refused(self, store: JobStore, cursor: str) -> None:
        await self.pending(store)
        with pytest.raises(BadRequestError):
            await store.list_jobs(cursor=cursor)

    async def test_expired_jobs_are_not_listed_nor_counted(self, store: JobStore, clock: ManualClock) -> None:
        await self.finished(store, ttl_seconds=self.time_unit_seconds)
        await self.pass_time(clock, 1.1)
        assert (await store.list_jobs()).jobs == []
        assert await store.counts() == {}

    async def test_jobs_are_counted_by_tool_and_status(self, store: JobStore) -> None:
        await self.pending(store, "a")
        await self.pending(store, "b")
        await self.pending(store, "c", tool="other")
        await self.claimed(store, "d")
        await self.finished(store, "e")
        await store.request_cancel("b")
        assert await store.counts() == {
            ("greet", JobStatus.PENDING): 1,
            ("other", JobStatus.PENDING): 1,
            ("greet", JobStatus.EXECUTING): 1,
            ("greet", JobStatus.SUCCEEDED): 1,
            ("greet", JobStatus.CANCELLED): 1,
        }

    async def test_the_place_in_the_queue_is_among_the_tools_pending_jobs(self, store: JobStore) -> None:
        for n in range(4):
            await self.pending(store, f"job-{n}")
            await self.pending(store, f"other-{n}", tool="other")
        ids = [f"job-{n}" for n in range(4)]
        assert await store.queue_positions(ids) == {"job-0": 1, "job-1": 2, "job-2": 3, "job-3": 4}
        await self.claim(store, "job-0")
        await store.request_cancel("job-2")
        assert await store.queue_positions([*ids, "nowhere"]) == {"job-1": 1, "job-3": 2}
        assert await store.queue_positions(["job-3"]) == {"job-3": 2}

    async def _of_principals(self, store: JobStore) -> None:
        """Jobs of ann, of bob and of nobody, of two tools, by turns."""
        for n in range(4):
            tool = "other" if n % 2 else "greet"
            await self.pending(store, f"ann-{n}", principal="ann", tool=tool)
            await self.pending(store, f"bob-{n}", principal="bob" if n else None, tool=tool)

    async def _ids(
        self,
        store: JobStore,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        principal: str | None = None,
    ) -> list[str]:
        page = await store.list_jobs(tool=tool, statuses=statuses, principal=principal)
        return [job.id for job in page.jobs]

    async def _pages(
        self, store: JobStore, limit: int, *, tool: str | None = None, principal: str | None = None
    ) -> list[list[str]]:
        page = await store.list_jobs(limit=limit, tool=tool, principal=principal)
        pages = [[job.id for job in page.jobs]]
        while page.next_cursor is not None:
            page = await store.list_jobs(limit=limit, tool=tool, principal=principal, cursor=page.next_cursor)
            pages.append([job.id for job in page.jobs])
        return pages
