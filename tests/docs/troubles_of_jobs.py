"""What docs/troubleshooting.md says of jobs that fail, reproduced."""

# mypy: disable-error-code="empty-body, no-untyped-def"
# pyright: reportReturnType=false

import asyncio
import tempfile
import threading

from litestar import Request
from pydantic import BaseModel, SecretStr

from lambda_kit import (
    ExecutorOpts,
    JobContext,
    JobSettings,
    LambdaTool,
    MemoryJobStore,
    ProcessExecutor,
    ToolError,
    ToolOptions,
)
from lambda_kit.testing import ManualClock, TestClient
from tests.docs.process_tools import Allocate, Die
from tests.docs.troubles import GreetRequest, Warnings, answer, greeter, refused, served, shows


@shows("the job ran over its time limit of 0.1 s")
def too_slow() -> str:
    class Greet(LambdaTool):
        options = ToolOptions(time_limit_seconds=0.1)

        async def run(self, req: GreetRequest) -> bool:
            return await asyncio.Event().wait()

    return answer(504, Greet, json={"name": "Ada"})


@shows("worker lost: the process that ran the job was killed by SIGKILL (signal 9)")
def a_worker_that_is_killed() -> str:
    return answer(500, Die, path="/die", json={}, options={"executor": ProcessExecutor(max_workers=1)})


@shows("the job needed more memory than the 512 MiB that its worker may have")
def too_much_memory() -> str:
    executor = ProcessExecutor(max_workers=1, memory_limit_bytes=512 * 1024**2)
    return answer(500, Allocate, path="/allocate", json={"megabytes": 1024}, options={"executor": executor})


@shows("Tool 'greet' has blocked the event loop for")
def a_blocked_loop() -> str:
    with Warnings("lambda_kit.watchdog", "blocked") as warnings:

        class Greet(LambdaTool):
            async def run(self, req: GreetRequest) -> bool:
                return warnings.is_there.wait(30)

        with TestClient(served(Greet)) as client:
            assert client.post("/greet", json={"name": "Ada"}).json() is True
        return warnings.message


@shows("did not stop when asked to: its thread is abandoned")
def a_deaf_thread() -> str:
    runs, go_on = threading.Event(), threading.Event()

    class Greet(LambdaTool):
        def run(self, req: GreetRequest) -> bool:
            runs.set()
            return go_on.wait(30)

    settings = JobSettings(cancel_seconds=0.1)
    with (
        Warnings("lambda_kit.executor", "abandoned") as warnings,
        TestClient(served(Greet, settings=settings)) as client,
    ):
        client.post("/greet", json={"name": "Ada"}, headers={"Prefer": "respond-async", "job-id": "my-job"})
        assert runs.wait(30)
        client.delete("/jobs/my-job")
        assert client.get("/jobs/my-job", headers={"Prefer": "wait=30"}).status_code == 410
        go_on.set()
    return warnings.message


@shows("job 'my-job' can't be found: it never existed, or its result is no longer kept")
def expired() -> str:
    clock = ManualClock()
    tool = greeter(options=ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=60)))
    with TestClient(served(tool, store=MemoryJobStore(clock=clock))) as client:
        done = client.post("/greet", json={"name": "Ada"}, headers={"job-id": "my-job"})
        clock.advance(61)
        late = client.get("/jobs/my-job")
    assert (done.status_code, late.status_code) == (200, 404)
    return str(late.json()["detail"])


@shows("service did not return a result")
def none_against_the_annotation() -> str:
    return answer(500, greeter(greeting=None), json={"name": "Ada"})


@shows("can't be encoded: an object of type object can't be encoded as JSON")
def not_encodable() -> str:
    return answer(500, greeter(greeting=object()), json={"name": "Ada"})


@refused("InProcess.run wants a litestar.Request, which there is only over HTTP")
def no_request_in_process() -> None:
    class InProcess(LambdaTool):
        def run(self, req: GreetRequest, request: Request) -> str: ...  # type: ignore[type-arg]

    asyncio.run(served(InProcess).run_tool(InProcess, {"name": "Ada"}))


class NoSuchModelError(ToolError):
    pass


@shows("report.emit takes an event, such as GenericEvent(name='loaded', options={'rows': 3}), not a dict")
def a_dict_for_an_event() -> str:
    class Greet(LambdaTool):
        def run(self, req: GreetRequest, ctx: JobContext) -> str:
            ctx.report.emit({"rows": 3})  # type: ignore[arg-type]
            return ""

    return answer(500, Greet, json={"name": "Ada"})


@shows("NoSuchModelError(status=200): must be an HTTP status of an error, a whole number from 400 to 599")
def a_status_that_is_no_error() -> str:
    class Greet(LambdaTool):
        def run(self, req: GreetRequest) -> str:
            raise NoSuchModelError("fine", status=200)

    return answer(500, Greet, json={"name": "Ada"})


class LoginRequest(BaseModel):
    password: SecretStr


@refused(
    "tool 'login' reads this request from JSON, and LoginRequest.password is another value after it was encoded and "
    "decoded"
)
def a_request_that_json_changes() -> None:
    class Login(LambdaTool):
        def run(self, req: LoginRequest) -> str: ...

    with tempfile.TemporaryDirectory() as folder:
        server = served(Login, store=f"sqlite:///{folder}/jobs.db")
        asyncio.run(server.run_tool(Login, LoginRequest(password=SecretStr("s3cret"))))
