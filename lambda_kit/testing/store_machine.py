"""`JobStoreMachine`: random operations on a store, compared with a model that is a dict. Needs hypothesis.

::

    class MyMachine(JobStoreMachine):
        def new_store(self, clock):
            return MyStore(clock=clock)


    TestRandomOperations = job_store_machine_test(MyMachine)
"""
# ruff: noqa: D102 - a machine is made of assertions, and its rules are named as what they do

import asyncio
import unittest
from collections.abc import Coroutine
from typing import Any, TypeVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Failure, FailureKind, Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.store import ClaimRequest, JobStore, Lease
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_model import ModelJob, ModelStore

__all__ = ["JobStoreMachine", "job_store_machine_test"]

T = TypeVar("T")

_IDS = st.sampled_from([f"job-{n}" for n in range(5)])
_OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(
    [
        Payload(b"1", "application/json"),
        Failure(FailureKind.TOOL, "RuntimeError", "boom"),
        Failure(FailureKind.TIME_LIMIT, "time-limit", "too long"),
        None,
    ]
)
_REQUEST = Payload(b"{}", "application/json")


class JobStoreMachine(RuleBasedStateMachine):
    """Does to a store what it does to a model, and compares what can be seen. Override `new_store`."""

    leases = Bundle("leases")

    def new_store(self, clock: ManualClock) -> JobStore:
        """An empty store, not started, that takes its time from `clock`."""
        raise NotImplementedError(f"{type(self).__name__} must override 'new_store'")

    def await_(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run one call of the store to its end."""
        return self._runner.run(coroutine)

    @initialize()
    def open_the_store(self) -> None:
        self._runner = asyncio.Runner()
        self._clock = ManualClock()
        self._model = ModelStore(self._clock)
        self._store = self.new_store(self._clock)
        self.await_(self._store.start())

    def teardown(self) -> None:
        """Close what `open_the_store` opened."""
        self.await_(self._store.stop())
        self._runner.close()

    @rule(
        job_id=_IDS,
        key=st.sampled_from([None, "k1", "k2"]),
        tool=st.sampled_from(["a", "b"]),
        attempts=st.integers(1, 3),
        ttl=st.sampled_from([0.0, 5.0, 1e6]),
    )
    def create(self, job_id: str, key: str | None, tool: str, attempts: int, ttl: float) -> None:
        job = Job(
            id=job_id,
            tool=tool,
            requested_at=self._clock(),
            idempotency_key=key,
            max_attempts=attempts,
            ttl_seconds=ttl,
        )
        expected = self._model.create(job)
        created = self.await_(self._store.create(job, _REQUEST))
        assert (created.job.id, created.is_new) == expected

    @rule(target=leases, job_id=_IDS, key=st.sampled_from([None, "k1"]), attempts=st.integers(1, 2))
    def create_claimed(self, job_id: str, key: str | None, attempts: int) -> Lease:
        job = Job(id=job_id, tool="a", requested_at=self._clock(), idempotency_key=key, max_attempts=attempts)
        expected = self._model.create(job)
        if expected == (job_id, True):
            self._model.claim(job_id)
        created = self.await_(self._store.create(job, _REQUEST, claim=ClaimRequest("w", 10.0)))
        assert (created.job.id, created.is_new) == expected
        return Lease(created.job.id, 1)

    @rule(target=leases, job_id=_IDS)
    def claim(self, job_id: str) -> Lease:
        expected = self._model.claim(job_id)
        claim = self.await_(self._store.claim(job_id, worker_id="w", lease_seconds=10.0))
        assert (claim is not None) == expected
        if claim is None:
            return Lease(job_id, 1)
        assert claim.request == _REQUEST
        return Lease(job_id, claim.job.lease_token)

    @rule(lease=leases, outcome=_OUTCOMES)
    def finish(self, lease: Lease, outcome: Outcome) -> None:
        held = self._model.held(lease)
        if held is None:
            self._is_refused(self._store.finish(lease, outcome))
            return
        self._model.end(held, None if held.cancel_requested else outcome)
        assert self.await_(self._store.finish(lease, outcome)).status is held.status

    @rule(lease=leases)
    def release(self, lease: Lease) -> None:
        held = self._model.held(lease)
        if held is None:
            self._is_refused(self._store.release(lease))
            return
        self._model.release(held)
        assert self.await_(self._store.release(lease)).status is held.status

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        held = self._model.held(lease)
        (renewal,) = self.await_(self._store.renew([lease], lease_seconds=10.0))
        assert renewal.is_lost == (held is None)
        if held is not None:
            assert renewal.cancel_requested == held.cancel_requested
            held.lease_expires_at = self._clock() + 10.0

    @rule(lease=leases, count=st.integers(1, 3), dropped=st.integers(0, 2))
    def report(self, lease: Lease, count: int, dropped: int) -> None:
        events = [NewEvent("urn:x", b"{}", 0.0)] * count
        held = self._model.held(lease)
        if held is None:
            self._is_refused(self._store.append_events(lease, events, dropped=dropped))
            return
        last = self._model.report(held, count, dropped)
        assert self.await_(self._store.append_events(lease, events, dropped=dropped)) == last

    @rule(job_id=_IDS)
    def request_cancel(self, job_id: str) -> None:
        expected = self._model.request_cancel(job_id)
        job = self.await_(self._store.request_cancel(job_id))
        assert (None if job is None else job.status) == expected

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self._clock.advance(seconds)

    @rule()
    def reap(self) -> None:
        expected = self._model.reap()
        assert {job.id: job.status for job in self.await_(self._store.reap())} == expected

    @rule()
    def purge(self) -> None:
        self.await_(self._store.purge())

    @invariant()
    def every_record_and_log_is_as_in_the_model(self) -> None:
        jobs = self._model.jobs()
        for job_id in (f"job-{n}" for n in range(5)):
            job = self.await_(self._store.get(job_id))
            model = jobs.get(job_id)
            assert (job is None) == (model is None), job_id
            if job is not None and model is not None:
                self._is_same(job, model)

    @invariant()
    def lists_counts_and_queue_are_as_in_the_model(self) -> None:
        jobs = self._model.jobs()
        page = self.await_(self._store.list_jobs(limit=1000))
        assert [job.id for job in page.jobs] == list(reversed(jobs))
        assert self.await_(self._store.counts()) == self._model.counts()
        for tool in ("a", "b"):
            waiting = [j for j, m in jobs.items() if m.tool == tool and m.status is JobStatus.PENDING]
            places = self.await_(self._store.queue_positions(waiting))
            assert sorted(places) == sorted(waiting)
            assert sorted(places.values()) == list(range(1, len(waiting) + 1))

    def _is_same(self, job: Job, model: ModelJob) -> None:
        assert (job.status, job.attempt, job.lease_token) == (model.status, model.attempt, model.token)
        assert job.cancel_requested == model.cancel_requested
        result = self.await_(self._store.get_result(job.id))
        assert (result is not None) == (job.status is JobStatus.SUCCEEDED)
        assert (job.failure is not None) == (job.status in (JobStatus.FAILED, JobStatus.ERROR))
        page = self.await_(self._store.read_events(job.id))
        assert page is not None
        assert [(event.seq, event.status) for event in page.events] == model.log
        assert (page.last_seq, page.final) == (model.last_seq, job.status.is_final)

    def _is_refused(self, call: Coroutine[Any, Any, object]) -> None:
        try:
            self.await_(call)
        except LeaseLostError:
            return
        raise AssertionError("a write with a lost lease was kept")


def job_store_machine_test(
    machine: type[JobStoreMachine], *, examples: int = 60, steps: int = 40
) -> type[unittest.TestCase]:
    """The machine as a test case for pytest or unittest.

    Args:
        machine: Your subclass of `JobStoreMachine`.
        examples: How many sequences of operations are tried.
        steps: How many operations each has at most.
    """
    case: type[unittest.TestCase] = machine.TestCase
    case.settings = hypothesis.settings(  # type: ignore[attr-defined] # hypothesis's own way
        max_examples=examples, stateful_step_count=steps, deadline=None
    )
    return case
