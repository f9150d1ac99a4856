"""Promises of `register_sink`, `undelivered` and `mark_delivered`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import RESULT, StorePromises, new_event

__all__ = ["OutboxPromises"]


class OutboxPromises(StorePromises):
    """What is still to be delivered to sinks."""

    async def test_a_new_job_is_to_be_told_to_each_sink(self, store: JobStore) -> None:
        await store.register_sink("a")
        await store.register_sink("b")
        await self.pending(store)
        for sink in ("a", "b"):
            assert await self._waiting(store, sink) == [("job-1", 0)]

    async def test_jobs_from_before_the_registration_are_not_told(self, store: JobStore) -> None:
        await self.pending(store, "before")
        await store.register_sink("a")
        await self.pending(store, "after")
        assert await self._waiting(store, "a") == [("after", 0)]

    async def test_what_one_delivers_nobody_else_is_given(self, store: JobStore, clock: ManualClock) -> None:
        unit = self.time_unit_seconds
        await store.register_sink("a")
        await store.register_sink("b")
        for job_id in ("job-1", "job-2"):
            await self.pending(store, job_id)

        async def given(worker_id: str, sink: str = "a", limit: int = 100) -> list[str]:
            deliveries = await store.undelivered(sink, worker_id=worker_id, lease_seconds=unit, limit=limit)
            return [delivery.job_id for delivery in deliveries]

        assert await given("one", limit=1) == ["job-1"]
        assert await given("two") == ["job-2"]
        assert await given("one") == ["job-1"]
        assert await given("three") == []
        assert await given("three", sink="b") == ["job-1", "job-2"]
        await self.pass_time(clock, 0.6)
        assert await given("one") == ["job-1"]  # renews it
        await self.pass_time(clock, 0.6)
        assert await given("three") == ["job-2"]

    async def test_a_living_process_alone_is_given_its_jobs(self, store: JobStore, clock: ManualClock) -> None:
        unit = self.time_unit_seconds
        await store.register_sink("a")
        for worker_id in ("one", "two"):
            await store.heartbeat(worker_id, lease_seconds=unit)
            await self.pending(store, f"of-{worker_id}", home=worker_id)

        async def given(worker_id: str) -> list[str]:
            deliveries = await store.undelivered("a", worker_id=worker_id, lease_seconds=10 * unit)
            return [delivery.job_id for delivery in deliveries]

        assert [await given("one"), await given("two"), await given("three")] == [["of-one"], ["of-two"], []]
        await store.expire_worker("one")
        assert [await given("three"), await given("two")] == [["of-one"], ["of-two"]]
        await self.pass_time(clock, 1.1)
        await store.heartbeat("three", lease_seconds=unit)
        assert await given("three") == ["of-one", "of-two"]  # the other is silent
        assert await store.undelivered("a", limit=1) != []

    async def test_the_jobs_of_one_that_has_ended_are_its_own_as_well(self, store: JobStore) -> None:
        await store.register_sink("a")
        await store.heartbeat("worker-1", lease_seconds=self.time_unit_seconds)
        await self.finished(store, home="worker-1")
        assert await store.undelivered("a", worker_id="two") == []
        assert len(await store.undelivered("a", worker_id="worker-1")) == 1

    async def test_a_sink_that_nobody_registered_is_told_nothing(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.pending(store)
        assert await store.undelivered("b") == []
        await store.mark_delivered("b", "job-1", after_seq=1, is_complete=True)
        assert await self._waiting(store, "a") == [("job-1", 0)]

    async def test_to_register_again_has_no_effect(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.pending(store)
        await store.mark_delivered("a", "job-1", after_seq=1, is_complete=False)
        await store.register_sink("a")
        assert await self._waiting(store, "a") == []
        await self.pending(store, "job-2")
        assert await self._waiting(store, "a") == [("job-2", 0)]

    async def test_what_was_confirmed_is_not_waiting(self, store: JobStore) -> None:
        await store.register_sink("a")
        lease = await self.claimed(store)
        await store.append_events(lease, [new_event(1)])
        await store.mark_delivered("a", "job-1", after_seq=2, is_complete=False)
        assert await self._waiting(store, "a") == [("job-1", 2)]
        await store.mark_delivered("a", "job-1", after_seq=3, is_complete=False)
        assert await self._waiting(store, "a") == []
        await store.append_events(lease, [new_event(2)])
        assert await self._waiting(store, "a") == [("job-1", 3)]

    async def test_one_sinks_progress_is_not_anothers(self, store: JobStore) -> None:
        await store.register_sink("a")
        await store.register_sink("b")
        await self.pending(store)
        await store.mark_delivered("a", "job-1", after_seq=1, is_complete=False)
        assert await self._waiting(store, "a") == []
        assert await self._waiting(store, "b") == [("job-1", 0)]

    async def test_an_end_is_waiting_until_it_is_confirmed(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.finished(store)
        await store.mark_delivered("a", "job-1", after_seq=3, is_complete=False)
        assert await self._waiting(store, "a") == [("job-1", 3)]
        await store.mark_delivered("a", "job-1", after_seq=3, is_complete=True)
        assert await self._waiting(store, "a") == []
        assert await store.get_result("job-1") == RESULT

    async def test_an_older_confirmation_does_not_set_it_back(self, store: JobStore) -> None:
        await store.register_sink("a")
        lease = await self.claimed(store)
        await store.mark_delivered("a", "job-1", after_seq=2, is_complete=False)
        await store.mark_delivered("a", "job-1", after_seq=1, is_complete=False)
        await store.append_events(lease, [new_event(1)])
        assert await self._waiting(store, "a") == [("job-1", 2)]

    async def test_a_completed_entry_does_not_come_back(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.finished(store)
        await store.mark_delivered("a", "job-1", after_seq=3, is_complete=True)
        await store.mark_delivered("a", "job-1", after_seq=1, is_complete=False)
        assert await self._waiting(store, "a") == []

    async def test_the_oldest_are_first_and_no_more_than_limit(self, store: JobStore) -> None:
        await store.register_sink("a")
        for n in range(5):
            await self.pending(store, f"job-{n}")
        await self.claim(store, "job-0")  # a change makes it no newer
        deliveries = await store.undelivered("a", limit=3)
        assert [delivery.job_id for delivery in deliveries] == ["job-0", "job-1", "job-2"]

    async def test_a_job_that_is_not_there_can_be_marked(self, store: JobStore) -> None:
        await store.register_sink("a")
        await store.mark_delivered("a", "nowhere", after_seq=1, is_complete=True)
        assert await store.undelivered("a") == []

    async def test_nothing_waits_for_a_job_that_was_forgotten(self, store: JobStore, clock: ManualClock) -> None:
        await store.register_sink("a")
        await self.finished(store, ttl_seconds=self.time_unit_seconds)
        await self.pass_time(clock, 1.1)
        await store.purge()
        assert await store.undelivered("a") == []

    async def _waiting(self, store: JobStore, sink: str) -> list[tuple[str, int]]:
        return [(delivery.job_id, delivery.after_seq) for delivery in await store.undelivered(sink)]
