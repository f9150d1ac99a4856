"""A job whose request can't be run, of which only the sinks can tell: it is made, and ends with its failure."""

import asyncio
from collections.abc import Sequence

from pydantic import BaseModel

from lambda_kit import Job, JobStatus, LambdaTool, Service, ToolServer
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Failure, FailureKind, Payload
from lambda_kit.spi import JobEnd, JobSink

SERVICE = Service(name="Refused", contact={"name": "A", "email": "a@example.com"})
REFUSAL = Failure(FailureKind.TOOL, "validation-error", "name: Field required", status=422)


class Request(BaseModel):
    name: str


class Greet(LambdaTool):
    """Greet, and remember whom."""

    def __init__(self) -> None:
        self.called = 0

    def run(self, req: Request) -> str:
        self.called += 1
        return req.name


class Ends(JobSink):
    name = "ends"

    def __init__(self) -> None:
        self.ends: list[tuple[str, str | None]] = []
        self.has_one = asyncio.Event()

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        if end is not None and end.failure is not None:
            self.ends.append((job.id_as_given, end.failure.type))
            self.has_one.set()


async def test_it_ends_with_its_failure_and_the_sinks_hear_of_it() -> None:
    tool, sink = Greet(), Ends()
    async with ToolServer(SERVICE, tools=[tool], sinks=[sink]) as server:
        ended = await server.jobs.submit_and_wait(
            "greet", Payload(b"{}", "text/plain"), wait_seconds=30, job_id="b8", given_id="urn:b8", refusal=REFUSAL
        )
        async with asyncio.timeout(60):
            await sink.has_one.wait()
    assert ended.job.status is JobStatus.FAILED
    assert ended.job.failure == REFUSAL
    assert sink.ends == [("urn:b8", "validation-error")]
    assert tool.called == 0


async def test_it_is_made_also_while_the_service_stops() -> None:
    tool, sink = Greet(), Ends()
    async with ToolServer(SERVICE, tools=[tool], sinks=[sink]) as server:
        server.begin_stop()
        ended = await server.jobs.submit_and_wait("greet", Payload(b"{}", ""), wait_seconds=30, refusal=REFUSAL)
        assert ended.job.status is JobStatus.FAILED
    assert len(sink.ends) == 1
    assert tool.called == 0
