"""Promises of `take_token`, and of `create` with `max_of_share`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.errors import QueueFullError, RateLimitedError
from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import REQUEST, StorePromises

__all__ = ["SharePromises"]

SHARE, OTHER = b"\x00share of one\xff", b"share of another"
_FINAL = [status for status in JobStatus if status.is_final]


class SharePromises(StorePromises):
    """How much one caller may have."""

    # --- tokens ---

    async def test_a_new_bucket_is_full(self, store: JobStore) -> None:
        answers = [await self._take(store, burst=3) for _ in range(5)]
        assert [answer for answer, _ in answers] == [True, True, True, False, False]
        assert [round(left, 1) for _, left in answers[:3]] == [2.0, 1.0, 0.0]

    async def test_of_many_that_come_at_once_as_many_get_a_token_as_there_are(self, store: JobStore) -> None:
        taken = await asyncio.gather(*(self._take(store, burst=7) for _ in range(40)))
        assert sum(is_taken for is_taken, _ in taken) == 7

    async def test_large_buckets_are_exact(self, store: JobStore) -> None:
        taken = [(await self._take(store, burst=100, per_unit=1 / 3))[0] for _ in range(101)]
        assert sum(taken) == 100

    async def test_who_waits_as_told_gets_a_token(self, store: JobStore, clock: ManualClock) -> None:
        rate = 3 / self.time_unit_seconds
        while (taken := await store.take_token(SHARE, rate_per_second=rate, burst=2)).is_taken:
            pass
        for _ in range(3):
            await self.pass_time(clock, taken.wait_seconds(rate) / self.time_unit_seconds)
            assert (await store.take_token(SHARE, rate_per_second=rate, burst=2)).is_taken
            if self.has_manual_clock:  # real time goes on between two calls
                taken = await store.take_token(SHARE, rate_per_second=rate, burst=2)
                assert not taken.is_taken

    async def test_tokens_come_in_by_and_by_and_no_more_than_the_bucket_holds(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        assert [(await self._take(store, burst=2))[0] for _ in range(3)] == [True, True, False]
        await self.pass_time(clock, 1.1)
        assert (await self._take(store, burst=2))[0]
        await self.pass_time(clock, 20)
        assert [(await self._take(store, burst=2))[0] for _ in range(3)] == [True, True, False]

    async def test_what_is_refused_costs_nothing(self, store: JobStore, clock: ManualClock) -> None:
        await self._take(store)
        for _ in range(5):
            assert not (await self._take(store))[0]
        await self.pass_time(clock, 1.1)
        assert (await self._take(store))[0]

    async def test_each_bucket_is_one_of_its_own(self, store: JobStore) -> None:
        assert (await self._take(store))[0]
        assert (await store.take_token(OTHER, rate_per_second=1.0, burst=1)).is_taken
        assert not (await self._take(store))[0]

    async def test_a_bucket_that_is_forgotten_is_full(self, store: JobStore, clock: ManualClock) -> None:
        await self._take(store)
        await store.purge()
        assert not (await self._take(store))[0]
        await self.pass_time(clock, 2)
        await store.purge()
        assert [(await self._take(store))[0] for _ in range(2)] == [True, False]

    async def test_another_size_and_rate_hold_from_then_on(self, store: JobStore) -> None:
        for _ in range(10):
            await self._take(store, burst=10)
        is_taken, left = await self._take(store, burst=2)
        assert not is_taken
        assert left <= 0.1
        assert (await self._take(store, burst=20))[0]

    # --- unfinished jobs ---

    async def test_a_new_job_is_refused_at_the_limit_of_its_share_and_nothing_is_written(self, store: JobStore) -> None:
        self._need_shares(store)
        await self.pending(store, "a", share=SHARE)
        await self.claimed(store, "b", share=SHARE, tool="other")
        job = self.new_job(share=SHARE, idempotency_key="key")
        with pytest.raises(RateLimitedError):
            await store.create(job, REQUEST, max_of_share=2)
        assert await store.get("job-1") is None
        assert await store.find_by_key("key") is None
        assert [job.id for job in (await store.list_jobs()).jobs] == ["b", "a"]
        assert (await store.create(job, REQUEST, max_of_share=3)).job == job

    async def test_other_shares_and_jobs_without_one_have_room(self, store: JobStore) -> None:
        self._need_shares(store)
        await self.pending(store, "a", share=SHARE)
        await self.pending(store, "b")
        assert (await store.create(self.new_job("c", share=OTHER), REQUEST, max_of_share=1)).is_new
        assert (await store.create(self.new_job("d"), REQUEST)).is_new

    async def test_at_the_limit_of_a_share_the_job_that_is_there_is_found(self, store: JobStore) -> None:
        self._need_shares(store)
        first = await self.pending(store, idempotency_key="key", share=SHARE)
        for job_id in ("job-1", "job-2"):
            job = self.new_job(job_id, idempotency_key="key", share=SHARE)
            created = await store.create(job, REQUEST, max_of_share=1)
            assert (created.is_new, created.job) == (False, first)

    async def test_both_limits_hold(self, store: JobStore) -> None:
        self._need_shares(store)
        await self.pending(store, "a", share=OTHER)
        with pytest.raises(QueueFullError):
            await store.create(self.new_job("b", share=SHARE), REQUEST, max_unfinished=1, max_of_share=5)
        await store.create(self.new_job("b", share=SHARE), REQUEST, max_unfinished=2, max_of_share=1)
        with pytest.raises(RateLimitedError):
            await store.create(self.new_job("c", share=SHARE), REQUEST, max_unfinished=5, max_of_share=1)

    @pytest.mark.parametrize("status", _FINAL)
    async def test_a_job_that_ended_makes_room_in_its_share(self, store: JobStore, status: JobStatus) -> None:
        self._need_shares(store)
        await self.in_status(store, status, "a", share=SHARE)
        assert (await store.create(self.new_job("b", share=SHARE), REQUEST, max_of_share=1)).is_new

    async def test_a_job_counts_until_its_end_whatever_happens_to_it(self, store: JobStore, clock: ManualClock) -> None:
        self._need_shares(store)
        await self.pending(store, "a", share=SHARE, max_attempts=3)
        await store.release(await self.claim(store, "a"))
        await self.claim(store, "a")
        await self.pass_time(clock, 1.1)
        await store.reap()
        with pytest.raises(RateLimitedError):
            await store.create(self.new_job("b", share=SHARE), REQUEST, max_of_share=1)
        await store.request_cancel("a")
        assert (await store.create(self.new_job("b", share=SHARE), REQUEST, max_of_share=1)).is_new

    async def test_a_job_claimed_as_it_is_made_counts_too(self, store: JobStore) -> None:
        self._need_shares(store)
        job, claim = self.new_job("a", share=SHARE), self.claim_request()
        assert (await store.create(job, REQUEST, max_of_share=1, claim=claim)).is_new
        with pytest.raises(RateLimitedError):
            await store.create(self.new_job("b", share=SHARE), REQUEST, max_of_share=1, claim=claim)

    async def test_of_many_creates_at_once_no_more_than_the_limit_of_the_share_are_taken(self, store: JobStore) -> None:
        self._need_shares(store)
        jobs = [self.new_job(f"job-{n}", share=SHARE, tool=f"tool-{n % 3}") for n in range(20)]
        made = await asyncio.gather(
            *(store.create(job, REQUEST, max_of_share=5) for job in jobs), return_exceptions=True
        )
        assert sum(isinstance(outcome, RateLimitedError) for outcome in made) == 15
        assert len((await store.list_jobs()).jobs) == 5

    async def _take(self, store: JobStore, *, burst: int = 1, per_unit: float = 1.0) -> tuple[bool, float]:
        rate = per_unit / self.time_unit_seconds
        taken = await store.take_token(SHARE, rate_per_second=rate, burst=burst)
        return taken.is_taken, taken.left

    def _need_shares(self, store: JobStore) -> None:
        if not store.counts_shares:
            pytest.skip("this store does not count the jobs of one caller")
