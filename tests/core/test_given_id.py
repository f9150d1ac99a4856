"""The id of a job as the platform gave it: kept beside the bare one (docs/wire.md, Names)."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolServer
from lambda_kit.core.model.job import Payload

SERVICE = Service(name="Ids", contact={"name": "A", "email": "a@example.com"})


class Request(BaseModel):
    pass


class Ids(LambdaTool):
    """Tell the ids of its job."""

    def run(self, req: Request, ctx: JobContext) -> list[str | None]:
        return [ctx.job_id, ctx.given_id]


@pytest.mark.parametrize("store", ["memory://", "sqlite:///"])
async def test_a_job_keeps_the_id_that_the_platform_gave(store: str, tmp_path: Path) -> None:
    url = store if store == "memory://" else f"{store}{tmp_path}/jobs.db"
    async with ToolServer(SERVICE, tools=[Ids], store=url) as server:
        ended = await server.jobs.submit_and_wait(
            "ids", Payload(b"{}", "application/json"), wait_seconds=30, job_id="b1", given_id="urn:ivcap:job:b1"
        )
        assert ended.result is not None
        assert ended.result.content == b'["b1","urn:ivcap:job:b1"]'
        assert (await server.jobs.get("b1")).id_as_given == "urn:ivcap:job:b1"


async def test_a_job_without_one_is_known_by_its_bare_id() -> None:
    async with ToolServer(SERVICE, tools=[Ids]) as server:
        ended = await server.jobs.submit_and_wait("ids", Payload(b"{}", "application/json"), wait_seconds=30)
        assert ended.job.given_id is None
        assert ended.job.id_as_given == ended.job.id
