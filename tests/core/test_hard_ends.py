"""What tools, stores and systems do that nobody expects must not cost a job its end, or the service its life."""

import asyncio
import threading
from typing import Any

import pytest

from lambda_kit import Job, JobContext, JobFailedError, JobStatus, LambdaTool, MemoryJobStore, ThreadExecutor
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.ports.executor import Run
from lambda_kit.core.ports.store import Lease
from lambda_kit.core.runtime.threads import DaemonPool
from tests.core.running_tools import LONG_SECONDS, Ask, AsyncDoor, ThreadDoor, a_server, statuses, the_job, until


class Leaves(LambdaTool):
    """Raises what ends an event loop, in a task of its own."""

    async def run(self, req: Ask) -> str:
        async def leave() -> None:
            raise SystemExit(3) if req.text == "exit" else KeyboardInterrupt

        if req.text == "wait":
            await asyncio.wait_for(leave(), LONG_SECONDS)
        await asyncio.gather(leave())
        return "never"


@pytest.mark.parametrize("text", ["exit", "wait", "interrupt"])
async def test_what_ends_a_loop_fails_the_job_alone(text: str) -> None:
    door = AsyncDoor()
    async with a_server(Leaves, door) as server:
        other = asyncio.create_task(server.run_tool(door, Ask(text="other")))
        await until(lambda: door.begun)
        with pytest.raises(JobFailedError, match=r"SystemExit|KeyboardInterrupt"):
            await server.run_tool(Leaves, Ask(text=text))
        door.door.set()
        assert await other == "other"
    assert asyncio.get_running_loop().get_task_factory() is None


class Odd(LambdaTool):
    """Reports what is no text."""

    def run(self, req: Ask, ctx: JobContext) -> str:
        ctx.progress(1, 2, "a\ud800b")
        with ctx.report.step("c\ud801", "d\ud802 \N{ROCKET}") as step:
            step.finished("e\ud803")
        return "done"


async def test_text_that_can_not_be_sent_does_not_spoil_the_record_or_the_events() -> None:
    store = MemoryJobStore()
    async with a_server(Odd, store=store) as server:
        assert await server.run_tool(Odd, Ask()) == "done"
    job = await the_job(store)
    assert job.progress is not None
    assert job.progress.message == "a\\ud800b"
    page = await store.read_events(job.id)
    assert page is not None
    bodies = [event.body.decode() for event in page.events if event.body]
    assert len(bodies) == 3
    assert not any("\\ud8" in body.replace("a\\\\ud800b", "") for body in bodies)
    assert "\N{ROCKET}" in bodies[1]


class BrokenLog(MemoryJobStore):
    """Can't append events, for a reason that nobody knows."""

    async def append_events(self, *_: Any, **__: Any) -> int:
        raise ZeroDivisionError("no log")


async def test_a_job_whose_events_can_not_be_written_has_its_result(caplog: pytest.LogCaptureFixture) -> None:
    async with a_server(Odd, store=BrokenLog()) as server:
        assert await server.run_tool(Odd, Ask()) == "done"
    assert "events could not be written" in caplog.text


class AwayForEnds(MemoryJobStore):
    """Away for whoever writes an end or asks for one."""

    is_away = False

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        if self.is_away:
            raise UnavailableError("away")
        return await super().finish(lease, outcome)

    async def request_cancel(self, job_id: str) -> Any:
        if self.is_away:
            raise UnavailableError("away")
        return await super().request_cancel(job_id)


async def test_a_tool_over_its_time_is_told_though_the_store_is_away() -> None:
    store, door = AwayForEnds(), limited(AsyncDoor)
    async with asyncio.timeout(LONG_SECONDS), a_server(door, store=store) as server:
        call = asyncio.create_task(server.run_tool(door, Ask()))
        await until(lambda: door.begun)
        store.is_away = True
        await until(lambda: door.cleaned)
        store.is_away = False
        with pytest.raises(JobFailedError, match="time limit"):
            await call
        assert (await the_job(store)).status is JobStatus.ERROR


def limited(tool: type[AsyncDoor]) -> AsyncDoor:
    class Limited(tool):  # type: ignore[misc, valid-type]
        options = tool.options.__class__(time_limit_seconds=0.1)

    door: AsyncDoor = Limited()
    return door


async def test_a_cancelled_call_is_cancelled_though_the_store_is_away() -> None:
    store, door = AwayForEnds(), AsyncDoor()
    async with a_server(door, store=store) as server:
        call = asyncio.create_task(server.run_tool(door, Ask()))
        await until(lambda: door.begun)
        store.is_away = True
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        store.is_away = False
        door.door.set()
        await until(lambda: not server._engine.load().running[door.name])
        assert (await statuses(store, (await the_job(store)).id))[-1] is JobStatus.SUCCEEDED


async def test_a_call_for_which_there_is_no_thread_is_refused_and_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    pool: DaemonPool[None] = DaemonPool("test")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.call(lambda: calls.append("refused"))
    door = threading.Event()
    busy = pool.call(lambda: _wait(door))
    await pool.call(lambda: calls.append("made"))  # by a thread of its own
    door.set()
    await busy
    assert calls == ["made"]
    pool.close()


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _wait(door: threading.Event) -> None:
    assert door.wait(LONG_SECONDS)


class SelfCancelling(ThreadExecutor):
    """Its `run` is cancelled by something of its own, once."""

    def __init__(self) -> None:
        super().__init__(1, name="odd", stop_seconds=0.2)
        self.runs = 0

    async def run(self, run: Run) -> Outcome:
        self.runs += 1
        if self.runs == 2:
            raise asyncio.CancelledError
        return await super().run(run)


async def test_a_run_that_is_cancelled_by_itself_fails_its_job_and_no_other() -> None:
    door = ThreadDoor()
    async with asyncio.timeout(LONG_SECONDS), a_server(door, executor=SelfCancelling()) as server:
        first = asyncio.create_task(server.run_tool(door, Ask(text="first")))
        await until(lambda: door.begun)
        others = [asyncio.create_task(server.run_tool(door, Ask(text=text))) for text in ("second", "third")]
        await until(lambda: server._engine.load().queued[door.name] == 2)
        door.door.set()
        assert await first == "first"
        with pytest.raises(JobFailedError, match="could not be run: CancelledError"):
            await others[0]
        assert await others[1] == "third"


class Unusual(LambdaTool):
    """Says whether it is ready in an unusual way."""

    error: BaseException = BaseException("x")

    async def is_ready(self) -> bool:
        raise self.error

    def run(self, req: Ask) -> str:
        return "done"


@pytest.mark.parametrize("error", [BaseException("x"), asyncio.CancelledError(), SystemExit(1)], ids=type)
async def test_whatever_is_raised_instead_of_an_answer_is_not_ready(error: BaseException) -> None:
    tool = Unusual()
    tool.error = error
    async with a_server(tool) as server:
        assert await server.why_not_ready() == "tool 'unusual' is not ready"
