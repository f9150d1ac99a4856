"""Promises of `Outbox`: what is to be delivered, and who delivers it. For how long: `kept_for_sinks`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import msgspec
import pytest

from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.outbox import Delivery, DeliveryPart
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import FAILURE, RESULT, StorePromises, new_event

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
        [delivery] = await store.undelivered("a")
        assert not await store.mark_delivered("b", delivery, after_seq=1, is_complete=True)
        assert await self._waiting(store, "a") == [("job-1", 0)]

    async def test_to_register_again_has_no_effect(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.pending(store)
        [delivery] = await store.undelivered("a")
        assert await store.mark_delivered("a", delivery, after_seq=1, is_complete=False)
        await store.register_sink("a")
        assert await self._waiting(store, "a") == []
        await self.pending(store, "job-2")
        assert await self._waiting(store, "a") == [("job-2", 0)]

    async def test_what_was_confirmed_is_not_waiting(self, store: JobStore) -> None:
        await store.register_sink("a")
        lease = await self.claimed(store)
        await store.append_events(lease, [new_event(1)])
        [delivery] = await store.undelivered("a")
        assert await store.mark_delivered("a", delivery, after_seq=2, is_complete=False)
        assert await self._waiting(store, "a") == [("job-1", 2)]
        assert await store.mark_delivered("a", delivery, after_seq=3, is_complete=False)
        assert await self._waiting(store, "a") == []
        await store.append_events(lease, [new_event(2)])
        assert await self._waiting(store, "a") == [("job-1", 3)]

    async def test_a_job_that_was_quiet_comes_back_to_its_place(self, store: JobStore) -> None:
        await store.register_sink("a")
        lease = await self.claimed(store, "old")
        [delivery] = await store.undelivered("a")
        assert await store.mark_delivered("a", delivery, after_seq=2, is_complete=False)
        assert await self._waiting(store, "a") == []
        await self.pending(store, "new")
        assert await self._waiting(store, "a") == [("new", 0)]
        await store.append_events(lease, [new_event(1)])
        assert await self._waiting(store, "a") == [("old", 2), ("new", 0)]
        [first] = await store.undelivered("a", limit=1)
        assert first.job_id == "old"

    async def test_one_sinks_progress_is_not_anothers(self, store: JobStore) -> None:
        await store.register_sink("a")
        await store.register_sink("b")
        await self.pending(store)
        [delivery] = await store.undelivered("a")
        assert await store.mark_delivered("a", delivery, after_seq=1, is_complete=False)
        assert await self._waiting(store, "a") == []
        assert await self._waiting(store, "b") == [("job-1", 0)]

    async def test_an_end_is_waiting_until_it_is_confirmed(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.finished(store)
        [delivery] = await store.undelivered("a")
        assert await store.mark_delivered("a", delivery, after_seq=3, is_complete=False)
        assert await self._waiting(store, "a") == [("job-1", 3)]
        assert await store.mark_delivered("a", delivery, after_seq=3, is_complete=True)
        assert await self._waiting(store, "a") == []
        assert await store.get_result("job-1") == RESULT

    async def test_an_older_confirmation_does_not_set_it_back(self, store: JobStore) -> None:
        await store.register_sink("a")
        lease = await self.claimed(store)
        [delivery] = await store.undelivered("a")
        assert await store.mark_delivered("a", delivery, after_seq=2, is_complete=False)
        assert await store.mark_delivered("a", delivery, after_seq=1, is_complete=False)
        await store.append_events(lease, [new_event(1)])
        assert await self._waiting(store, "a") == [("job-1", 2)]

    async def test_a_completed_entry_does_not_come_back(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.finished(store)
        [delivery] = await store.undelivered("a")
        assert await store.mark_delivered("a", delivery, after_seq=3, is_complete=True)
        for is_complete in (False, True):
            assert not await store.mark_delivered("a", delivery, after_seq=1, is_complete=is_complete)
        assert await store.read_delivery("a", delivery) is None
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
        nowhere = Delivery("nowhere", 0, 1_000_000)
        assert not await store.mark_delivered("a", nowhere, after_seq=1, is_complete=True)
        assert await store.read_delivery("a", nowhere) is None
        assert await store.undelivered("a") == []

    # --- what is read of a delivery ---

    async def test_a_delivery_is_read_part_by_part(self, store: JobStore) -> None:
        await store.register_sink("a")
        lease = await self.claimed(store)
        await store.append_events(lease, [new_event(n) for n in range(1, 4)])
        [delivery] = await store.undelivered("a")
        part = await self._part(store, "a", delivery, limit=3)
        assert [event.seq for event in part.events] == [1, 2, 3]
        assert part.events == (await self.events(store))[:3]
        assert (part.last_seq, part.is_last, part.result) == (5, False, None)
        assert part.job == await self.existing(store)
        part = await self._part(store, "a", msgspec.structs.replace(delivery, after_seq=3))
        assert ([event.seq for event in part.events], part.is_last) == ([4, 5], False)
        ended = await store.finish(lease, RESULT)
        part = await self._part(store, "a", msgspec.structs.replace(delivery, after_seq=3), limit=2)
        assert ([event.seq for event in part.events], part.is_last, part.result) == ([4, 5], False, None)
        part = await self._part(store, "a", msgspec.structs.replace(delivery, after_seq=5), limit=2)
        assert ([event.seq for event in part.events], part.is_last, part.result) == ([6], True, RESULT)
        assert part.job == ended
        part = await self._part(store, "a", msgspec.structs.replace(delivery, after_seq=6))
        assert (part.events, part.last_seq, part.is_last, part.result) == ([], 6, True, RESULT)

    async def test_a_failure_is_read_without_a_result(self, store: JobStore) -> None:
        await store.register_sink("a")
        ended = await store.finish(await self.claimed(store), FAILURE)
        [delivery] = await store.undelivered("a")
        part = await self._part(store, "a", delivery)
        assert (part.job, part.is_last, part.result) == (ended, True, None)

    @pytest.mark.parametrize("size", [0, 70_000, 3_000_000])
    async def test_a_result_of_any_size_is_read(self, store: JobStore, clock: ManualClock, size: int) -> None:
        await store.register_sink("a")
        result = Payload(b"r" * size, "application/octet-stream")
        await store.finish(await self.claimed(store, ttl_seconds=self.time_unit_seconds), result)
        [delivery] = await store.undelivered("a")
        assert (await self._part(store, "a", delivery)).result == result
        await self.pass_time(clock, 1.1)
        await store.purge()
        assert (await self._part(store, "a", delivery)).result == result

    # --- who delivers ---

    async def test_a_worker_that_was_given_a_delivery_goes_on_while_it_has_its_lease(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        unit = self.time_unit_seconds
        await store.register_sink("a")
        await self.pending(store)
        [delivery] = await store.undelivered("a", worker_id="one", lease_seconds=unit)
        assert await self._may_read(store, delivery, "one")
        assert not await self._may_read(store, delivery, "two")
        await self.pass_time(clock, 0.6)
        assert await self._may_read(store, delivery, "one")  # renews it
        await self.pass_time(clock, 0.6)
        assert await store.undelivered("a", worker_id="two", lease_seconds=unit) == []
        assert not await store.mark_delivered("a", delivery, after_seq=1, is_complete=False, worker_id="two")
        assert await store.mark_delivered("a", delivery, after_seq=1, is_complete=False, worker_id="one")

    async def test_a_worker_that_slept_over_its_lease_learns_that_another_delivers(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        unit = self.time_unit_seconds
        await store.register_sink("a")
        await self.finished(store)
        [delivery] = await store.undelivered("a", worker_id="one", lease_seconds=unit)
        await self.pass_time(clock, 1.1)
        assert await store.undelivered("a", worker_id="two", lease_seconds=unit) == [delivery]
        assert not await self._may_read(store, delivery, "one")
        for is_complete in (False, True):
            assert not await store.mark_delivered("a", delivery, after_seq=3, is_complete=is_complete, worker_id="one")
        assert await self._waiting(store, "a") == [("job-1", 0)]
        assert await store.mark_delivered("a", delivery, after_seq=3, is_complete=True, worker_id="two")
        assert not await self._may_read(store, delivery, "one")

    async def test_a_home_that_was_silent_leaves_a_delivery_to_who_has_begun_it(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        unit = self.time_unit_seconds
        await store.register_sink("a")
        await store.heartbeat("home", lease_seconds=unit)
        await self.finished(store, home="home")
        [delivery] = await store.undelivered("a", worker_id="home", lease_seconds=unit)
        assert await self._may_read(store, delivery, "home")
        await self.pass_time(clock, 1.1)
        assert await store.undelivered("a", worker_id="other", lease_seconds=unit) == [delivery]
        await store.heartbeat("home", lease_seconds=100 * unit)
        assert not await self._may_read(store, delivery, "home")
        assert await store.undelivered("a", worker_id="home", lease_seconds=unit) == []
        assert await self._may_read(store, delivery, "other")  # it goes on
        assert await store.undelivered("a", worker_id="other", lease_seconds=unit) == []  # and begins no more
        await self.pass_time(clock, 1.1)
        assert not await self._may_read(store, delivery, "other")
        assert await store.undelivered("a", worker_id="home", lease_seconds=unit) == [delivery]
        assert await self._may_read(store, delivery, "home")

    async def test_a_silent_home_takes_a_lease_before_it_delivers(self, store: JobStore, clock: ManualClock) -> None:
        unit = self.time_unit_seconds
        await store.register_sink("a")
        await store.heartbeat("home", lease_seconds=unit)
        await self.finished(store, home="home")
        [delivery] = await store.undelivered("a", worker_id="home", lease_seconds=unit)
        await self.pass_time(clock, 1.1)
        assert await self._may_read(store, delivery, "home")
        assert await store.undelivered("a", worker_id="other", lease_seconds=unit) == []
        await store.expire_worker("home")
        assert await store.undelivered("a", worker_id="other", lease_seconds=unit) == [delivery]

    async def _may_read(self, store: JobStore, delivery: Delivery, worker_id: str) -> bool:
        lease_seconds = self.time_unit_seconds
        part = await store.read_delivery("a", delivery, worker_id=worker_id, lease_seconds=lease_seconds)
        return part is not None

    async def _part(self, store: JobStore, sink: str, delivery: Delivery, limit: int = 100) -> DeliveryPart:
        part = await store.read_delivery(sink, delivery, limit=limit)
        assert part is not None
        return part

    async def _waiting(self, store: JobStore, sink: str) -> list[tuple[str, int]]:
        return [(delivery.job_id, delivery.after_seq) for delivery in await store.undelivered(sink)]
