"""What a tool knows of its job and can do in it."""

import asyncio
import json
from typing import Any, ClassVar

import ivcap_service
import pytest

from lambda_kit import (
    BaseEvent,
    GenericEvent,
    Job,
    JobCancelledError,
    JobContext,
    JobFailedError,
    LambdaTool,
    MemoryJobStore,
)
from lambda_kit.adapters.executors.process.messages import RunJob
from lambda_kit.core.jobs.submission import Submission
from lambda_kit.core.model.job import Payload, Progress
from lambda_kit.core.tools.context import current_job
from lambda_kit.core.tools.run import JobSpec, ToolRun
from lambda_kit.core.tools.tool import BoundTool
from tests.core.running_tools import Ask, a_server, the_job, until


async def run(tool: type[LambdaTool]) -> tuple[Any, Job, list[dict[str, Any]]]:
    store = MemoryJobStore()
    result = await a_server(tool, store=store).run_tool(tool, Ask())
    job = await the_job(store)
    page = await store.read_events(job.id)
    assert page is not None
    events = [{**json.loads(e.body), "schema": e.schema} for e in page.events if e.status is None]
    return result, job, events


async def test_it_knows_its_job() -> None:
    class Knows(LambdaTool):
        def run(self, req: Ask, ctx: JobContext) -> list[Any]:
            return [ctx.job_id, ctx.job_urn, ctx.tool, ctx.attempt, ctx.deadline, ctx.cancelled, ctx.job_authorization]

    result, job, _ = await run(Knows)
    assert result == [job.id, f"urn:ivcap:job:{job.id}", "knows", 1, None, False, None]


async def test_ivcap_services_context_may_be_asked_for() -> None:
    class Asks(LambdaTool):
        def run(self, req: Ask, ctx: ivcap_service.JobContext) -> str:
            assert isinstance(ctx, JobContext)
            return ctx.job_id

    result, job, _ = await run(Asks)
    assert result == job.id


async def test_steps_and_events_land_in_the_log_in_order() -> None:
    class Custom(BaseEvent):
        SCHEMA: ClassVar[str] = "urn:example:schema:custom.1"
        colour: str

    class Reports(LambdaTool):
        def run(self, req: Ask, ctx: JobContext) -> str:
            with ctx.report.step("greet", "Starting...") as step:
                step.info({"half": "way"})
                step.finished("Done")
            ctx.report.emit(GenericEvent(name="plain", options={"a": 1}))
            ctx.report.emit(Custom(colour="red"))
            return "done"

    _, _, events = await run(Reports)
    assert [event["schema"] for event in events] == [
        "urn:ivcap:schema:service.event.step.start.1",
        "urn:ivcap:schema:service.event.generic.1",
        "urn:ivcap:schema:service.event.step.finish.1",
        "urn:ivcap:schema:service.event.generic.1",
        "urn:example:schema:custom.1",
    ]
    assert events[-1]["colour"] == "red"


async def test_progress_is_an_event_and_the_jobs_record() -> None:
    class Progresses(LambdaTool):
        async def run(self, req: Ask, ctx: JobContext) -> str:
            ctx.progress(1)
            ctx.progress(2.5, 10, "a line")
            return "done"

    _, job, events = await run(Progresses)
    assert [(event["name"], event["options"]) for event in events] == [
        ("progress", {"done": 1}),
        ("progress", {"done": 2.5, "total": 10, "message": "a line"}),
    ]
    assert job.progress == Progress(2.5, 10, "a line")


@pytest.mark.parametrize("numbers", [(float("nan"),), (float("inf"),), (1, float("inf")), ("half",), (1, "10")])
async def test_progress_that_is_no_number_is_refused(numbers: Any) -> None:
    class Odd(LambdaTool):
        def run(self, req: Ask, ctx: JobContext) -> str:
            ctx.progress(*numbers)
            return "done"

    with pytest.raises(JobFailedError, match=r"TypeError: ctx.progress\((done|total)=.*\): must be a finite number"):
        await run(Odd)


@pytest.mark.parametrize(
    "act",
    [
        lambda ctx: ctx.progress(1),
        lambda ctx: ctx.raise_if_cancelled(),
        lambda ctx: ctx.report.emit(GenericEvent(name="x")),
        lambda ctx: ctx.report.step("s", "Starting").__enter__(),
    ],
    ids=["progress", "raise_if_cancelled", "emit", "step"],
)
async def test_every_report_of_a_cancelled_job_stops_it_and_except_exception_does_not_swallow_that(act: Any) -> None:
    seen: list[str] = []

    class Goes(LambdaTool):
        def run(self, req: Ask, ctx: JobContext) -> str:
            with ctx.report.step("open", "Starting") as step:
                seen.append("begun")
                while not ctx.cancelled:
                    pass
                step.finished("the end of a step is exempt")
                seen.append("finished")
            try:
                act(ctx)
            except Exception:  # noqa: BLE001
                seen.append("swallowed")
            except JobCancelledError as error:
                seen.append(str(error))
                raise
            return "never"

    store = MemoryJobStore()
    server = a_server(Goes, store=store)
    async with server:
        call = asyncio.create_task(server.run_tool(Goes, Ask()))
        await until(lambda: "begun" in seen)
        job_id = (await the_job(store)).id
        await server.cancel(job_id)
        with pytest.raises(JobFailedError, match="cancelled"):
            await call
    assert seen == ["begun", "finished", f"job '{job_id}' was cancelled"]


async def test_code_deep_below_a_tool_finds_the_job_that_it_runs_in() -> None:
    def deep() -> str:
        ctx = current_job()
        assert ctx is not None
        return ctx.job_id

    class Plain(LambdaTool):
        def run(self, req: Ask) -> str:
            return deep()

    class NotPlain(LambdaTool):
        async def run(self, req: Ask) -> str:
            await asyncio.sleep(0)
            (inner,) = await asyncio.gather(asyncio.to_thread(deep))
            return inner

    assert current_job() is None
    for tool in (Plain, NotPlain):
        result, job, _ = await run(tool)
        assert result == job.id
    assert current_job() is None


async def test_a_job_cancelled_error_out_of_the_blue_is_a_failure() -> None:
    class Pretends(LambdaTool):
        def run(self, req: Ask) -> str:
            raise JobCancelledError("I say so")

    with pytest.raises(JobFailedError, match="JobCancelledError: I say so"):
        await run(Pretends)


def test_a_context_can_be_made_for_a_test_without_a_server() -> None:
    ctx = JobContext(job_id="a")
    ctx.progress(1)
    ctx.raise_if_cancelled()
    with ctx.report.step("s", "Starting") as step:
        step.finished("Done")
    assert (ctx.job_urn, ctx.cancelled) == ("urn:ivcap:job:a", False)


def test_no_repr_shows_the_authorization() -> None:
    secret = "Bearer not-to-be-shown"
    ctx = JobContext(job_id="j", job_authorization=secret, tool="t")
    assert ctx.job_authorization == secret
    for text in (repr(ctx), str(ctx), f"{ctx}", repr([ctx]), repr(ctx.report)):
        assert "not-to-be-shown" not in text
    assert "job_id='j'" in repr(ctx)


class Quiet(LambdaTool):
    """Says nothing"""

    def run(self, req: Ask) -> str:
        return "ok"


def test_the_repr_of_a_submission_and_of_a_run_shows_no_request() -> None:
    job = Job(id="j", tool="t", requested_at=0.0)
    spec = JobSpec(job=job, request=b"not-to-be-shown", authorization="Bearer not-to-be-shown")
    tool = BoundTool.bind(Quiet())
    submission = Submission(tool=tool, body=Payload(b"not-to-be-shown", "text/plain"), authorization="not-to-be-shown")
    for value in (spec, submission, ToolRun(tool, spec, lambda _event: None), RunJob(spec)):
        assert "not-to-be-shown" not in repr(value)
