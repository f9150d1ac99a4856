"""docs/mcp.md, Results: what an agent is told of a call that failed. It can act on it, and learns no internals."""
# ruff: noqa: ASYNC110 - what is waited for has no event

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import ivcap_service
import pytest
from litestar.exceptions import HTTPException
from pydantic import BaseModel, Field

from lambda_kit import CallerLimits, JobContext, LambdaTool, ToolError, ToolOptions
from lambda_kit.core.errors import StoreError
from tests.core.flaky_store import FlakyStore
from tests.core.running_tools import Ask, a_server
from tests.mcp.asking import ERAS, NEWEST, VERSIONS, Asker, asking, official_client
from tests.mcp.test_results import text_of

INTERNAL = "/srv/models/secret.bin"


class BusyError(ToolError):
    """The model is used by others."""

    status = 503
    type = "busy"
    retry_after = 3.2


class Fail(LambdaTool):
    """Fail in the way that is asked for"""

    def run(self, req: Ask, ctx: JobContext) -> Any:
        match req.text:
            case "value":
                raise ValueError("the box must have four corners")
            case "tool":
                raise BusyError("the model is in use")
            case "http":
                raise HTTPException("no such region", status_code=404)
            case "returned":
                return ivcap_service.ExecutionError(error="the box is empty", type="EmptyBox")
            case "authorization":
                raise ToolError(f"the platform refused {ctx.job_authorization}", status=502)
            case "crash":
                raise FileNotFoundError(INTERNAL)
            case "no JSON":
                return {"module": os}
            case _:
                return None


class Promise(LambdaTool):
    """Promise a text, and return nothing"""

    async def run(self, req: Ask) -> str:
        return None  # type: ignore[return-value]


class Sleep(LambdaTool):
    """Sleep for long"""

    options = ToolOptions(time_limit_seconds=0.1)

    async def run(self, req: Ask) -> str:
        await asyncio.Event().wait()
        return ""


class Vanish(LambdaTool):
    """End the process that runs it"""

    options = ToolOptions(executor="process")

    def run(self, req: Ask) -> str:
        os._exit(1)


class Wait(LambdaTool):
    """Wait for ever"""

    options = ToolOptions(max_concurrency=1, max_queue=0)

    async def run(self, req: Ask) -> str:
        await asyncio.Event().wait()
        return ""


class Corner(BaseModel):
    x: Annotated[int, Field(ge=0)]
    y: int


class Box(BaseModel):
    corners: list[Corner]
    label: str


class Circle(BaseModel):
    radius: float


class DrawBox(LambdaTool):
    """Draw a box"""

    async def run(self, req: Box) -> str:
        return "drawn"


class Draw(LambdaTool):
    """Draw a shape"""

    async def run(self, req: Box | Circle) -> str:
        return "drawn"


TOOLS = (Fail, Promise, Sleep, Wait, DrawBox, Draw)


async def told(client: Asker, tool: str, /, **arguments: Any) -> str:
    """The text of a call that failed."""
    result = await client.call(tool, **arguments)
    assert result["isError"] is True
    assert "structuredContent" not in result
    return text_of(result)


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_the_tool_says_is_told(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        assert await told(client, "fail", text="value") == "the box must have four corners"
        assert await told(client, "fail", text="tool") == "the model is in use; try again in 4 s"
        assert await told(client, "fail", text="http") == "no such region"
        assert await told(client, "fail", text="returned") == "the box is empty"
        assert await told(client, "promise") == "service did not return a result"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ["crash", "no JSON"])
async def test_of_a_crash_no_internals_are_told(version: str, how: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        answer = await client.answer("tools/call", name="fail", arguments={"text": how})
    text = text_of(answer["result"])
    assert text.startswith("the tool failed inside.")
    assert "The service's log has the details: job '" in text
    for internal in (INTERNAL, "FileNotFoundError", "module", "Traceback", __file__):
        assert internal not in str(answer)


async def test_in_debug_mode_a_crash_is_told_with_its_traceback():
    async with asking(a_server(*TOOLS, mcp=True, debug=True)) as client:
        text = await told(client, "fail", text="crash")
    assert text.startswith(INTERNAL)
    assert "Traceback (most recent call last)" in text


async def test_no_credentials_are_told():
    async with asking(a_server(*TOOLS, mcp=True), authorization="Bearer very-secret-token") as client:
        text = await told(client, "fail", text="authorization")
    assert text.startswith("the platform refused")
    assert "very-secret-token" not in text


async def test_a_time_limit_is_told():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        assert await told(client, "sleep") == "the job ran over its time limit of 0.1 s"


@pytest.mark.processes
async def test_a_lost_worker_is_told_without_internals():
    async with asking(a_server(Vanish, mcp=True)) as client:
        text = await told(client, "vanish")
    assert "was lost: the process that ran it has ended. Call the tool again" in text
    assert "exit" not in text


async def test_a_cancel_by_others_is_told():
    server = a_server(*TOOLS, mcp=True)
    async with asking(server) as client:
        call = asyncio.ensure_future(told(client, "wait"))
        job = await a_running_job(server)
        await server.jobs.cancel(job)
        assert await call == f"job '{job}' was cancelled"


async def a_running_job(server: Any) -> str:
    """The id of the only job, when it is there."""
    async with asyncio.timeout(60):
        while not (jobs := (await server.jobs.list()).jobs):
            await asyncio.sleep(0.01)
    [job] = jobs
    return str(job.id)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_full_queue_is_told_with_a_time(version: str):
    server = a_server(*TOOLS, mcp=True)
    async with asking(server, version) as client:
        call = asyncio.ensure_future(client.call("wait"))
        job = await a_running_job(server)
        text = await told(client, "wait")
        assert text.startswith("tool 'wait' has 1 jobs waiting or running; try again in ")
        assert text.endswith(" s")
        await server.jobs.cancel(job)
        await call


async def test_a_limit_of_the_caller_is_told_with_a_time():
    server = a_server(DrawBox, mcp=True, caller_limits=CallerLimits(rate_per_second=0.01, burst=1, by_address=True))
    async with asking(server) as client:
        await client.call("draw_box", corners=[], label="")
        text = await told(client, "draw_box", corners=[], label="")
    assert text.startswith("you may start ")
    assert "try again in " in text


async def test_an_absent_store_is_told_without_its_place(tmp_path: Path):
    store = FlakyStore(tmp_path / "jobs.db")
    async with asking(a_server(DrawBox, mcp=True, store=store)) as client:
        store.is_away = True
        text = await told(client, "draw_box", corners=[], label="")
        store.is_away = False
    assert text == "the job store can't be reached now; try again in 1 s"


async def test_a_fault_of_the_service_is_told_without_its_text_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store = FlakyStore(tmp_path / "jobs.db")
    async with asking(a_server(DrawBox, mcp=True, store=store)) as client:
        store.errors["create"] = [StoreError(INTERNAL)]
        text = await told(client, "draw_box", corners=[], label="")
    assert text == "the service failed inside; its log has the details"
    assert INTERNAL in caplog.text


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_wrong_argument_is_named(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        text = await told(client, "draw_box", corners=[{"x": -1, "y": 2}, {"x": "secret", "y": 1}, {"x": 1}])
    assert text.splitlines() == [
        "the arguments do not fit the tool's input schema:",
        "- corners.0.x: Input should be greater than or equal to 0",
        "- corners.1.x: Input should be a valid integer, unable to parse string as an integer",
        "- corners.2.y: Field required",
        "- label: Field required",
    ]


async def test_of_many_wrong_arguments_twenty_are_named():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        text = await told(client, "draw_box", corners=[{}] * 30, label="a")
    assert text.count("\n- corners.") == 20
    assert text.endswith("- and 40 more")


async def test_the_arguments_of_a_union_are_named_as_they_were_sent():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        assert "- request" in await told(client, "draw", request={"radius": "large"})
        text = await told(client, "draw", radius=1.5)
        assert text.splitlines()[1] == '- request: Field required: send {"request": ...}'
        assert (await client.call("draw", request={"radius": 1.5}))["content"][0]["text"] == "drawn"


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_takes_failures_of_tools_with_a_schema(era: str):
    async with official_client(a_server(FailBox, mcp=True), era) as client:
        result = await client.call_tool("fail_box", {"text": "a"})
        assert result.is_error
        assert result.structured_content is None


class FailBox(LambdaTool):
    """Fail where a box is promised"""

    async def run(self, req: Ask) -> Box:
        raise ValueError("no box")


async def test_after_a_stop_the_call_is_refused_in_words():
    server = a_server(DrawBox, mcp=True)
    async with asking(server, NEWEST) as client:
        await server.drain()  # as at a SIGTERM
        text = await told(client, "draw_box", corners=[], label="")
    assert text == "the service is not taking jobs now; try again in 1 s"
