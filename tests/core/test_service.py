"""Jobs from their submission to their end, without HTTP."""

import asyncio
import dataclasses
import threading
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from lambda_kit import (
    BinaryResult,
    JobContext,
    JobFailedError,
    JobNotFoundError,
    JobStatus,
    LambdaTool,
    MemoryJobStore,
    RequestInfo,
    RequestValidationError,
    ToolNotFoundError,
)
from tests.core.running_tools import LONG_SECONDS, Ask, AsyncDoor, ThreadDoor, a_server, the_job, until


class Model(BaseModel):
    n: int


class Struct(msgspec.Struct):
    n: int


@dataclasses.dataclass
class Data:
    n: int


VALUES: list[tuple[Any, Any]] = [
    (Model, Model(n=1)),
    (Struct, Struct(n=1)),
    (Data, Data(n=1)),
    (str, "text é"),
    (str, ""),
    (bytes, b"\x00\xff"),
    (dict[str, int], {}),
    (list[Model], [Model(n=1)]),
    (list[Struct], [Struct(n=1)]),
    (int, 0),
    (bool, False),
    (float, 1.5),
    (None, None),
    (Model | None, None),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("annotation", "value"), VALUES)
async def test_run_tool_returns_what_the_tool_returned(annotation: Any, value: Any, is_async: bool) -> None:
    def plain(self: Any, req: Ask) -> Any:
        return value

    async def not_plain(self: Any, req: Ask) -> Any:
        return value

    run = not_plain if is_async else plain
    run.__annotations__["return"] = annotation
    tool: type[LambdaTool] = type("Returns", (LambdaTool,), {"run": run})
    result = await a_server(tool).run_tool(tool, Ask())
    assert result == value
    assert type(result) is type(value)


async def test_run_tool_returns_a_binary_result() -> None:
    class Picture(LambdaTool):
        def run(self, req: Ask) -> BinaryResult:
            return BinaryResult(content_type=req.text, content=b"not json")

    for content_type in ("image/png", "application/json", "application/octet-stream", "text/plain; charset=utf-8"):
        result = await a_server(Picture).run_tool(Picture, Ask(text=content_type))
        assert isinstance(result, BinaryResult)
        assert (result.content_type, result.content) == (content_type, b"not json")


class Echo(LambdaTool):
    def run(self, req: Ask) -> str:
        return req.text


@pytest.mark.parametrize("which", [Echo, "echo"])
@pytest.mark.parametrize("request_", [Ask(text="hi"), {"text": "hi"}])
async def test_a_tool_is_found_by_class_or_name_and_takes_a_model_or_a_dict(which: Any, request_: Any) -> None:
    assert await a_server(Echo).run_tool(which, request_) == "hi"


async def test_a_tool_is_found_by_its_instance() -> None:
    class Adds(LambdaTool):
        def __init__(self, name: str, amount: int) -> None:
            self.name, self.path, self.amount = name, f"/{name}", amount

        def run(self, req: Ask) -> int:
            return int(req.text) + self.amount

    one, two = Adds("one", 1), Adds("two", 2)
    server = a_server(one, two)
    assert await server.run_tool(one, Ask(text="1")) == 2
    assert await server.run_tool(two, Ask(text="1")) == 3
    assert await server.run_tool("two", Ask(text="1")) == 3


async def test_a_tool_that_is_not_served_is_named() -> None:
    with pytest.raises(ToolNotFoundError, match=r"'nowhere' is not served here; the tools are echo"):
        await a_server(Echo).run_tool("nowhere", Ask())


async def test_a_request_that_does_not_fit_is_refused() -> None:
    store = MemoryJobStore()
    with pytest.raises(RequestValidationError) as caught:
        await a_server(Echo, store=store).run_tool(Echo, {"text": 1})
    assert [error["loc"] for error in caught.value.errors] == [["body", "text"]]
    assert await store.counts() == {}


async def test_one_bad_tool_does_not_touch_other_jobs() -> None:
    class Leaves(LambdaTool):
        async def run(self, req: Ask) -> str:
            raise SystemExit(1)

    server = a_server(Leaves, Echo)
    async with server:
        calls = [server.run_tool(Leaves if n % 2 else Echo, Ask(text=str(n))) for n in range(20)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[::2] == [str(n) for n in range(0, 20, 2)]
    assert all(isinstance(answer, JobFailedError) for answer in answers[1::2])


async def test_a_request_info_is_made_up_where_there_was_no_request() -> None:
    class Shows(LambdaTool):
        path = "/shows"

        def run(self, req: Ask, info: RequestInfo) -> list[str]:
            return [info.method, info.url, str(info.headers)]

    assert await a_server(Shows).run_tool(Shows, Ask()) == ["POST", "/shows", "{}"]


async def test_two_servers_share_nothing() -> None:
    class Counts(LambdaTool):
        def __init__(self) -> None:
            self.count = 0

        def run(self, req: Ask) -> int:
            self.count += 1
            return self.count

    one, two = a_server(Counts), a_server(Counts)
    async with one, two:
        assert [await one.run_tool(Counts, Ask()) for _ in range(3)] == [1, 2, 3]
        assert await two.run_tool(Counts, Ask()) == 1
        with pytest.raises(JobNotFoundError):
            await two.cancel("nowhere")


async def test_a_server_can_be_stopped_and_started_again() -> None:
    server = a_server(Echo)
    for n in range(3):
        async with server:
            assert await server.run_tool(Echo, Ask(text=str(n))) == str(n)
        assert await server.why_not_ready() is not None


def test_a_server_can_be_used_on_one_event_loop_after_another() -> None:
    class Slow(LambdaTool):
        def setup(self) -> None:
            """On a thread, so that starts overlap."""

        def run(self, req: Ask) -> str:
            return req.text

    server = a_server(Slow)

    async def several() -> list[str]:
        return list(await asyncio.gather(*(server.run_tool(Slow, Ask(text=str(n))) for n in range(4))))

    for _ in range(3):
        assert asyncio.run(several()) == ["0", "1", "2", "3"]


async def test_many_calls_at_once_are_all_answered() -> None:
    class Twice(LambdaTool):
        async def run(self, req: Ask) -> str:
            await asyncio.sleep(0)
            return req.text * 2

    server = a_server(Echo, Twice)
    async with server:
        calls = [server.run_tool(Twice if n % 2 else Echo, Ask(text=str(n))) for n in range(500)]
        answers = await asyncio.gather(*calls)
    assert answers == [str(n) * (1 + n % 2) for n in range(500)]


async def test_reports_of_threads_that_a_tool_starts_are_kept_and_late_ones_dropped() -> None:
    late = threading.Event()
    done = threading.Event()

    def report(ctx: JobContext, n: int) -> None:
        for _ in range(50):
            ctx.progress(n)

    class Spawns(LambdaTool):
        def run(self, req: Ask, ctx: JobContext) -> str:
            threads = [threading.Thread(target=report, args=(ctx, n)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            def too_late() -> None:
                late.wait(LONG_SECONDS)
                ctx.progress(99)
                done.set()

            threading.Thread(target=too_late, daemon=True).start()
            return "done"

    store = MemoryJobStore()
    server = a_server(Spawns, store=store)
    async with server:
        assert await server.run_tool(Spawns, Ask()) == "done"
        job = await the_job(store)
        late.set()
        await until(done.is_set)
        page = await store.read_events(job.id)
        assert page is not None
        assert page.last_seq == 3 + 400
        assert await store.get(job.id) == job


async def test_a_flood_of_events_loses_only_the_oldest_and_the_end_is_kept() -> None:
    class Floods(LambdaTool):
        async def run(self, req: Ask, ctx: JobContext) -> str:
            for n in range(12_000):
                ctx.progress(n)
            return "done"

    store = MemoryJobStore()
    assert await a_server(Floods, store=store).run_tool(Floods, Ask()) == "done"
    job = await the_job(store)
    assert job.progress is not None
    assert job.progress.done == 11_999
    page = await store.read_events(job.id, limit=20_000)
    assert page is not None
    assert page.last_seq == 12_003
    assert page.events[-1].status is JobStatus.SUCCEEDED
    seqs = [event.seq for event in page.events]
    assert seqs == list(range(12_003 - len(seqs) + 1, 12_004))


@pytest.mark.parametrize("tool", [AsyncDoor, ThreadDoor])
async def test_the_store_knows_a_running_job(tool: type[Any]) -> None:
    store, door = MemoryJobStore(), tool()
    server = a_server(door, store=store)
    async with server:
        call = asyncio.create_task(server.run_tool(door, Ask(text="x")))
        await until(lambda: door.begun)
        job = await the_job(store)
        assert (job.status, job.attempt) == (JobStatus.EXECUTING, 1)
        assert job.started_at is not None
        assert job.requested_at <= job.started_at
        door.door.set()
        assert await call == "x"
        assert (await the_job(store)).status is JobStatus.SUCCEEDED
