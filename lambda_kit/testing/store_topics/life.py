"""Promises of `start` and `stop`, and of the records."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

from lambda_kit.core.model.job import Job, Progress
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.ports.store_records import job_members
from lambda_kit.testing.store_topics.base import RESULT, StorePromises, new_event

__all__ = ["LifePromises", "NewerJob"]


class NewerJob(Job, frozen=True, gc=False):
    """The record of a version of lambda_kit that is still to come."""

    flavour: str = "vanilla"


class LifePromises(StorePromises):
    """How the store itself is opened and closed."""

    async def test_a_stop_is_safe_twice(self, store: JobStore) -> None:
        await store.stop()
        await store.stop()
        await store.start()
        await self.pending(store)

    async def test_a_store_can_be_started_again(self, store: JobStore) -> None:
        await self.finished(store, "ended")
        lease = await self.claimed(store, "runs")
        waits = await self.pending(store, "waits")
        await store.stop()
        await store.start()
        if self.keeps_jobs_when_stopped:
            assert await store.get_result("ended") == RESULT
            assert await store.get("waits") == waits
            assert await store.finish(lease, RESULT) == await store.get("runs")
        else:
            assert (await store.list_jobs()).jobs == []
        await self.finished(store, "new")

    async def test_the_key_of_callers_stays_the_same(self, store: JobStore) -> None:
        key = await store.caller_key()
        assert 1 <= len(key) <= 64
        assert await store.caller_key() == key
        await store.stop()
        await store.start()
        assert await store.caller_key() == key

    async def test_records_are_snapshots(self, store: JobStore) -> None:
        pending = await self.pending(store)
        lease = await self.claim(store)
        executing = await self.existing(store)
        before = (str(pending), str(executing))
        await store.request_cancel("job-1")
        await store.finish(lease, RESULT)
        assert (str(pending), str(executing)) == before
        assert pending != executing

    async def test_what_a_newer_version_wrote_into_a_record_is_kept(self, store: JobStore) -> None:
        await store.create(NewerJob(id="job-1", tool="greet", requested_at=1_800_000_000.0, max_attempts=2), RESULT)
        await store.release(await self.claim(store))
        assert job_members(await self.existing(store))["flavour"] == "vanilla"
        lease = await self.claim(store)
        await store.append_events(lease, [new_event(1, progress=Progress(1))])
        await store.renew([lease], lease_seconds=self.time_unit_seconds)
        await store.finish(lease, RESULT)
        ended = await self.existing(store)
        assert job_members(ended)["flavour"] == "vanilla"
        assert ended.progress == Progress(1)
