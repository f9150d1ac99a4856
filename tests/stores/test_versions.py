"""Servers of two versions on one store: what the newer one has written into a record, the older one keeps."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import Lease
from lambda_kit.core.ports.store_records import decode_job, encode_job, job_members
from tests.support.redis_jobs import REQUEST, RESULT
from tests.support.store_opener import Opener, opener


class NewerJob(Job, frozen=True, gc=False):
    """A record as a version that is still to come may write it."""

    flavour: str = "vanilla"


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opener(request.param, tmp_path) as new_store:
        yield new_store


async def test_a_record_of_a_newer_version_goes_through_an_older_one_with_all_its_members(new_store: Opener) -> None:
    async with new_store() as newer, new_store() as older, new_store() as reader:
        await newer.create(NewerJob(id="job", tool="t", requested_at=0.0), REQUEST)
        claim = await older.claim("job", worker_id="old", lease_seconds=60.0)
        assert claim is not None
        assert claim.job.status is JobStatus.EXECUTING
        await older.renew([Lease("job", 1)], lease_seconds=60.0)
        await older.finish(Lease("job", 1), RESULT)
        ended = await reader.get("job")
        assert ended is not None
        assert ended.status is JobStatus.SUCCEEDED
        assert job_members(ended)["flavour"] == "vanilla"


def test_a_record_of_an_older_version_gets_the_defaults_of_what_it_lacks() -> None:
    job = Job(id="job", tool="t", requested_at=0.0, request_digest=b"\xff")
    members = job_members(job)
    del members["principal"], members["tracestate"]
    assert decode_job(msgspec.msgpack.encode(members)) == job


def test_a_record_of_this_version_is_written_and_read_as_it_is() -> None:
    job = Job(id="job", tool="t", requested_at=0.0, request_digest=b"\xff")
    assert type(decode_job(encode_job(job))) is Job
    assert decode_job(encode_job(job)) == job
