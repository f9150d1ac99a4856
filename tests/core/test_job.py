"""Jobs, their statuses, and which may follow which."""

import itertools
import uuid

import pytest

from lambda_kit import IllegalTransitionError, Job, JobStatus
from lambda_kit.core.model.job import FINAL_STATUSES, FailureKind, new_job_id
from lambda_kit.core.model.transitions import check_transition

LEGAL = {
    ("pending", "executing"),
    ("pending", "cancelled"),
    ("pending", "error"),
    ("executing", "succeeded"),
    ("executing", "failed"),
    ("executing", "error"),
    ("executing", "cancelled"),
    ("executing", "pending"),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobStatus, JobStatus)))
def test_only_legal_transitions_are_allowed(before: JobStatus, after: JobStatus) -> None:
    if (before, after) in LEGAL:
        check_transition("a", before, after)
        return
    with pytest.raises(IllegalTransitionError, match=f"job 'a' is {before} and can't become {after}"):
        check_transition("a", before, after)


def test_nothing_follows_a_final_status() -> None:
    assert {status for status in JobStatus if status.is_final} == FINAL_STATUSES
    assert not {before for before, _ in LEGAL} & FINAL_STATUSES


def test_the_statuses_are_the_platforms_words() -> None:
    assert {str(status) for status in JobStatus} == {
        "pending", "scheduled", "executing", "succeeded", "failed", "error", "cancelled",
    }  # fmt: skip


@pytest.mark.parametrize("kind", FailureKind)
def test_the_machinerys_failures_are_errors_and_the_tools_are_failed(kind: FailureKind) -> None:
    machinery = kind in (FailureKind.WORKER_LOST, FailureKind.MEMORY_LIMIT, FailureKind.TIME_LIMIT)
    assert kind.status is (JobStatus.ERROR if machinery else JobStatus.FAILED)


def test_ids_are_random() -> None:
    ids = {new_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {uuid.UUID(job_id).version for job_id in ids} == {4}


def test_a_job_has_its_urn() -> None:
    job = Job(id="a.b:c", tool="t", requested_at=0.0)
    assert job.urn == "urn:ivcap:job:a.b:c"


def test_a_record_can_not_be_changed() -> None:
    job = Job(id="a", tool="t", requested_at=0.0)
    with pytest.raises(AttributeError):
        job.status = JobStatus.FAILED  # type: ignore[misc]
