"""Promises of `Outbox`: for how long a job is kept for sinks that have not confirmed it, and for nobody else."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import msgspec
import pytest

from lambda_kit.core.model.job import FINAL_STATUSES, Job, JobStatus, Payload
from lambda_kit.core.ports.outbox import Delivery, Dropped, DropReason
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import REQUEST, RESULT, StorePromises, new_event

__all__ = ["KeptForSinksPromises"]

_LONG_UNITS = 1e6


class KeptForSinksPromises(StorePromises):
    """What is kept of a job that has expired."""

    async def unconfirmed(self, store: JobStore, job_id: str = "job-1", **members: float | str | None) -> Delivery:
        """A job that expires after one unit, and is to be told to the sink ``a`` alone."""
        await store.register_sink("a")
        short = {"ttl_seconds": self.time_unit_seconds, "delivery_seconds": 5 * self.time_unit_seconds}
        await self.finished(store, job_id, **{**short, **members})
        return [delivery for delivery in await store.undelivered("a") if delivery.job_id == job_id][-1]

    async def dropped(self, store: JobStore, *, silent_units: float = _LONG_UNITS) -> list[Dropped]:
        """All that is given up now."""
        found: list[Dropped] = []
        while some := await store.drop_undelivered(silent_seconds=silent_units * self.time_unit_seconds, limit=3):
            found += some
        return found

    @pytest.mark.parametrize("status", sorted(FINAL_STATUSES))
    @pytest.mark.parametrize("is_purged", [False, True])
    async def test_a_job_that_has_expired_is_gone_for_clients_and_there_for_the_sink(
        self, store: JobStore, clock: ManualClock, status: JobStatus, is_purged: bool
    ) -> None:
        await store.register_sink("a")
        unit = self.time_unit_seconds
        job = await self.in_status(
            store, status, ttl_seconds=unit, delivery_seconds=100 * unit, idempotency_key="key", principal="ann"
        )
        log = await self.events(store)
        [delivery] = await store.undelivered("a")
        await self.pass_time(clock, 1.1)
        if is_purged:
            assert await store.purge() == 1
            assert await store.purge() == 0
        assert await store.get("job-1") is None
        assert await store.find_by_key("key") is None
        assert await store.get_result("job-1") is None
        assert await store.read_events("job-1") is None
        assert await store.request_cancel("job-1") is None
        assert (await store.list_jobs()).jobs == (await store.list_jobs(principal="ann")).jobs == []
        assert await store.counts() == {}
        assert await store.undelivered("a") == [delivery]
        part = await store.read_delivery("a", delivery)
        assert part is not None
        assert (part.job, part.events, part.is_last) == (job, log, True)
        assert part.result == (RESULT if status is JobStatus.SUCCEEDED else None)

    async def test_a_job_without_entries_goes_when_it_expires(self, store: JobStore, clock: ManualClock) -> None:
        await self.finished(store, ttl_seconds=self.time_unit_seconds)
        await store.register_sink("a")
        await self.pass_time(clock, 1.1)
        assert await store.purge() == 1
        assert await store.undelivered("a") == []
        assert await self.dropped(store) == []

    async def test_a_time_to_live_of_zero_takes_nothing_from_a_sink(self, store: JobStore) -> None:
        await store.register_sink("a")
        await self.finished(store, ttl_seconds=0.0)
        assert await store.get("job-1") is None
        [delivery] = await store.undelivered("a")
        part = await store.read_delivery("a", delivery)
        assert part is not None
        assert (part.job.status, part.result) == (JobStatus.SUCCEEDED, RESULT)

    async def test_what_the_last_sink_has_confirmed_is_forgotten(self, store: JobStore, clock: ManualClock) -> None:
        await store.register_sink("b")
        delivery = await self.unconfirmed(store)
        await self.pass_time(clock, 1.1)
        await store.purge()
        assert await store.mark_delivered("a", delivery, after_seq=3, is_complete=True)
        assert await store.undelivered("a") == []
        assert await store.undelivered("b") == [delivery]
        part = await store.read_delivery("b", delivery)
        assert part is not None
        assert part.result == RESULT
        assert await store.mark_delivered("b", delivery, after_seq=3, is_complete=True)
        assert await store.read_delivery("b", delivery) is None
        await self.pass_time(clock, 5)
        assert await self.dropped(store) == []

    async def test_what_was_confirmed_of_a_job_that_has_expired_is_not_waiting(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        delivery = await self.unconfirmed(store)
        assert await store.mark_delivered("a", delivery, after_seq=1, is_complete=False)
        await self.pass_time(clock, 1.1)
        await store.purge()
        [waiting] = await store.undelivered("a")
        assert waiting == msgspec.structs.replace(delivery, after_seq=1)
        assert await store.mark_delivered("a", waiting, after_seq=2, is_complete=False)
        assert [after.after_seq for after in await store.undelivered("a")] == [2]

    async def test_a_lease_on_a_delivery_outlives_the_job(self, store: JobStore, clock: ManualClock) -> None:
        await self.unconfirmed(store)
        long = 10 * self.time_unit_seconds
        [delivery] = await store.undelivered("a", worker_id="one", lease_seconds=long)
        await self.pass_time(clock, 1.1)
        await store.purge()
        assert await store.undelivered("a", worker_id="two", lease_seconds=long) == []
        assert await store.read_delivery("a", delivery, worker_id="two", lease_seconds=long) is None
        assert await store.undelivered("a", worker_id="one", lease_seconds=long) == [delivery]

    # --- the same id again ---

    async def remade(self, store: JobStore, key: str | None = None) -> Job:
        """Another job of the same id, executing, with an event."""
        request = Payload(b"other", "text/plain")
        created = await store.create(
            self.new_job(tool="other", requested_at=1_900_000_000.0, idempotency_key=key), request
        )
        assert created.is_new
        claim = await store.claim("job-1", worker_id="w", lease_seconds=1000 * self.time_unit_seconds)
        assert claim is not None
        assert claim.request == request
        await store.append_events(await self.lease_of(store), [new_event(7)])
        return await self.existing(store)

    @pytest.mark.parametrize("is_purged", [False, True])
    @pytest.mark.parametrize("key", [None, "key"])
    async def test_a_new_job_of_the_same_id_is_another_one(
        self, store: JobStore, clock: ManualClock, key: str | None, is_purged: bool
    ) -> None:
        old = await self.unconfirmed(store, idempotency_key=key)
        await self.pass_time(clock, 1.1)
        if is_purged:
            await store.purge()
        job = await self.remade(store, key)
        assert await self.statuses(store) == [JobStatus.PENDING, JobStatus.EXECUTING]
        assert await store.get_result("job-1") is None
        first, second = await store.undelivered("a")
        assert first == old
        assert (second.job_id, second.after_seq) == ("job-1", 0)
        assert second.number != first.number
        part = await store.read_delivery("a", first)
        assert part is not None
        assert (part.job.tool, part.result, len(part.events)) == ("greet", RESULT, 3)
        part = await store.read_delivery("a", second)
        assert part is not None
        assert (part.job, part.is_last, len(part.events)) == (job, False, 3)
        assert part.events[-1].body == new_event(7).body

    async def test_confirmations_of_two_jobs_of_one_id_are_kept_apart(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        old = await self.unconfirmed(store)
        assert await store.mark_delivered("a", old, after_seq=2, is_complete=False)
        await self.pass_time(clock, 1.1)
        await self.remade(store)
        [_, new] = await store.undelivered("a")
        assert await store.mark_delivered("a", new, after_seq=1, is_complete=False)
        assert [delivery.after_seq for delivery in await store.undelivered("a")] == [2, 1]
        assert await store.mark_delivered("a", old, after_seq=3, is_complete=True)
        assert [delivery.number for delivery in await store.undelivered("a")] == [new.number]
        ended = await store.finish(await self.lease_of(store), Payload(b"2", "text/plain"))
        part = await store.read_delivery("a", new)
        assert part is not None
        assert (part.job, part.result) == (ended, Payload(b"2", "text/plain"))
        assert await store.mark_delivered("a", new, after_seq=4, is_complete=True)
        assert await store.undelivered("a") == []
        assert await self.existing(store) == ended

    async def test_many_jobs_of_one_id_wait_in_their_order(self, store: JobStore) -> None:
        await store.register_sink("a")
        for n in range(5):
            lease = await self.claimed(store, ttl_seconds=0.0)
            await store.finish(lease, Payload(str(n).encode(), "text/plain"))
        waiting = await store.undelivered("a")
        parts = [await store.read_delivery("a", delivery) for delivery in waiting]
        assert [part.result.content for part in parts if part and part.result] == [b"0", b"1", b"2", b"3", b"4"]
        for delivery in waiting:
            assert await store.mark_delivered("a", delivery, after_seq=3, is_complete=True)
        assert await store.undelivered("a") == []

    # --- what is given up ---

    async def test_what_is_overdue_is_given_up_and_told_once(self, store: JobStore, clock: ManualClock) -> None:
        await store.register_sink("b")
        delivery = await self.unconfirmed(store)
        await self.unconfirmed(store, "later", delivery_seconds=1000 * self.time_unit_seconds)
        await self.pass_time(clock, 4)
        await store.purge()
        assert await self.dropped(store) == []
        await self.pass_time(clock, 1.5)
        dropped = [Dropped(sink, "job-1", DropReason.OVERDUE) for sink in ("a", "b")]
        assert sorted(await self.dropped(store), key=lambda one: one.sink) == dropped
        assert await self.dropped(store) == []
        assert await store.read_delivery("a", delivery) is None
        assert not await store.mark_delivered("a", delivery, after_seq=3, is_complete=True)
        for sink in ("a", "b"):
            assert [waiting.job_id for waiting in await store.undelivered(sink)] == ["later"]

    async def test_the_time_for_sinks_begins_at_the_end(self, store: JobStore, clock: ManualClock) -> None:
        await store.register_sink("a")
        unit = self.time_unit_seconds
        lease = await self.claimed(store, ttl_seconds=unit, delivery_seconds=2 * unit)
        await self.pass_time(clock, 3)
        await store.finish(lease, RESULT)
        await self.pass_time(clock, 1.5)
        await store.purge()
        assert await self.dropped(store) == []
        assert len(await store.undelivered("a")) == 1

    async def test_more_than_a_batch_is_given_up(self, store: JobStore, clock: ManualClock) -> None:
        for n in range(10):
            await self.unconfirmed(store, f"job-{n}")
        await self.pass_time(clock, 6)
        await store.purge()
        assert sorted(one.job_id for one in await self.dropped(store)) == sorted(f"job-{n}" for n in range(10))
        assert await store.undelivered("a") == []

    async def test_jobs_that_are_kept_do_not_hold_up_a_purge(self, store: JobStore, clock: ManualClock) -> None:
        for n in range(30):
            await self.unconfirmed(store, f"kept-{n}")
        other = await self.finished(store, "confirmed", ttl_seconds=self.time_unit_seconds)
        [*_, delivery] = await store.undelivered("a")
        assert delivery.job_id == other.id
        await store.mark_delivered("a", delivery, after_seq=3, is_complete=True)
        await self.pass_time(clock, 1.1)
        assert await store.purge() == 31
        assert await store.purge() == 0
        assert len(await store.undelivered("a")) == 30

    # --- sinks that are no more ---

    async def test_a_sink_that_nobody_registers_any_more_is_forgotten_with_what_waits_for_it(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        kept = self.time_unit_seconds * 1000
        await store.register_sink("b")
        for n in range(4):
            await self.unconfirmed(store, f"job-{n}", delivery_seconds=kept)
        await self.pass_time(clock, 1.1)
        await store.purge()
        await self.unconfirmed(store, "job-4", ttl_seconds=kept, delivery_seconds=kept)
        await self.pass_time(clock, 2)
        await store.register_sink("a")  # it is served
        assert await self.dropped(store, silent_units=4) == []
        dropped = await self.dropped(store, silent_units=2.5)
        assert {(one.sink, one.reason) for one in dropped} == {("b", DropReason.SINK_GONE)}
        assert sorted(one.job_id for one in dropped) == [f"job-{n}" for n in range(5)]
        assert await self.dropped(store, silent_units=2.5) == []
        assert await store.undelivered("b") == []
        assert len(await store.undelivered("a")) == 5
        await self.pending(store, "new")
        assert await store.undelivered("b") == []
        await store.register_sink("b")  # it is back
        await self.pending(store, "newer")
        assert [delivery.job_id for delivery in await store.undelivered("b")] == ["newer"]
        assert (await self.existing(store, "job-4")).status.is_final

    async def test_without_its_sink_a_job_is_kept_no_longer_than_any(self, store: JobStore, clock: ManualClock) -> None:
        delivery = await self.unconfirmed(store, delivery_seconds=1000 * self.time_unit_seconds)
        await self.pass_time(clock, 2)
        await store.purge()
        assert len(await self.dropped(store, silent_units=1)) == 1
        assert await store.read_delivery("a", delivery) is None
        assert (await store.create(self.new_job(), REQUEST)).is_new
        await self.pass_time(clock, 1000)
        assert await self.dropped(store) == []
