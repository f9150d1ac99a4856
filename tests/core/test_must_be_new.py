"""A door may wish for a job's id without attaching to the job that has it (`Submission.must_be_new`)."""

import asyncio
from pathlib import Path

import pytest
from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer
from lambda_kit.core.model.job import Payload

SERVICE = Service(name="Wishes", contact={"name": "A", "email": "a@example.com"})
BODY = Payload(b"{}", "application/json")


class Request(BaseModel):
    pass


class Count(LambdaTool):
    """Count the calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def run(self, req: Request) -> int:
        self.calls += 1
        return self.calls


@pytest.fixture(params=["memory://", "sqlite:///"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param if request.param == "memory://" else f"{request.param}{tmp_path}/jobs.db"


async def test_a_request_gets_the_id_that_it_wishes_for_and_another_where_that_is_taken(store: str) -> None:
    async with ToolServer(SERVICE, tools=[Count()], store=store) as server:
        ends = [
            await server.jobs.submit_and_wait("count", BODY, wait_seconds=30, job_id="wish", must_be_new=True)
            for _ in range(3)
        ]
        assert [end.result.content for end in ends if end.result] == [b"1", b"2", b"3"]
        ids = [end.job.id for end in ends]
        assert ids[0] == "wish"
        assert len(set(ids)) == 3
        assert len(ids[1]) == 36  # random, as where no id was given


async def test_of_requests_at_once_with_one_wish_each_has_a_job_of_its_own(store: str) -> None:
    async with ToolServer(SERVICE, tools=[Count()], store=store) as server:
        waits = [
            server.jobs.submit_and_wait("count", BODY, wait_seconds=30, job_id="wish", must_be_new=True)
            for _ in range(20)
        ]
        ends = await asyncio.gather(*waits)
        assert sorted(int(end.result.content) for end in ends if end.result) == list(range(1, 21))
        assert len({end.job.id for end in ends}) == 20


async def test_what_a_door_keeps_with_a_job_is_in_its_record(store: str) -> None:
    async with ToolServer(SERVICE, tools=[Count()], store=store) as server:
        job = await server.jobs.submit("count", BODY, call=b'{"id":"1"}')
        await server.jobs.wait(job.id, wait_seconds=30)
        assert (await server.jobs.get(job.id)).call == b'{"id":"1"}'
