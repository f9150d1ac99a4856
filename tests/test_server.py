"""A server is put together: what is refused, and how it lives within other apps and tests."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from lambda_kit import (
    AsyncioExecutor,
    ConfigurationError,
    ExecutorOpts,
    Job,
    JobSink,
    LambdaTool,
    MemoryJobStore,
    ThreadExecutor,
    ToolDefinitionError,
    ToolOptions,
    ToolServer,
)
from lambda_kit.spi import Event, JobEnd
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server, a_service


class Echo(LambdaTool):
    def run(self, req: Ask) -> str:
        return req.text


class AsyncEcho(LambdaTool):
    async def run(self, req: Ask) -> str:
        return req.text


def a_tool(class_name: str, base: type[LambdaTool] = Echo, **attributes: Any) -> type[LambdaTool]:
    return type(class_name, (base,), attributes)


def test_two_tools_of_one_name_are_refused() -> None:
    tools = a_tool("One", name="same"), a_tool("Two", name="same")
    with pytest.raises(ToolDefinitionError, match="One and Two have the same name, 'same': set 'name' in one of them"):
        a_server(*tools)


def test_two_tools_at_one_path_are_refused() -> None:
    tools = a_tool("One", path="/same"), a_tool("Two", path="/same")
    with pytest.raises(ToolDefinitionError, match="One and Two have the same path, '/same': set 'path' in one of them"):
        a_server(*tools)


@pytest.mark.parametrize(
    "path",
    ["/jobs", "/api", "/openapi.json", "/_healtz", "/_livez", "/_readyz", "/mcp", "/metrics", "/console", "/jobs/x"],
)
def test_a_reserved_path_is_refused(path: str) -> None:
    with pytest.raises(ToolDefinitionError, match=rf"tool 'one': path '{path}' is reserved.*choose another"):
        a_server(a_tool("One", path=path))


def test_an_unknown_executor_is_refused_with_the_known_ones() -> None:
    tool = a_tool("One", options=ToolOptions(executor="rocket"))
    with pytest.raises(ToolDefinitionError, match="One: executor='rocket' is not known: use 'asyncio', 'thread'"):
        a_server(tool)


def test_a_plain_tool_on_the_event_loop_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match=r"One\.run is a plain 'def', which would block the event loop"):
        a_server(a_tool("One", options=ToolOptions(executor="asyncio")))


def test_no_tools_are_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="there is no tool to serve: define a subclass of LambdaTool"):
        a_server()


@pytest.mark.parametrize("service", ["Greeter", None, {"name": "x"}])
def test_what_is_no_service_is_refused(service: Any) -> None:
    with pytest.raises(ConfigurationError, match="the first argument must be a Service"):
        ToolServer(service, tools=[Echo])


async def test_an_async_tool_may_run_on_a_thread() -> None:
    tool = a_tool("One", AsyncEcho, options=ToolOptions(executor="thread"))
    assert await a_server(tool).run_tool(tool, Ask(text="x")) == "x"


async def test_a_tool_may_have_threads_of_its_own() -> None:
    tool = a_tool("One", options=ToolOptions(executor_opts=ExecutorOpts(max_workers=1)))
    server = a_server(tool, Echo)
    assert server.tools["one"].executor != server.tools["echo"].executor
    assert await server.run_tool(tool, Ask(text="x")) == "x"


async def test_an_async_tool_may_have_an_executor_of_its_own_too() -> None:
    most = running = 0

    class Counts(LambdaTool):
        options = ToolOptions(executor_opts=ExecutorOpts(max_workers=2))

        async def run(self, req: Ask) -> str:
            nonlocal most, running
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return req.text

    server = a_server(Counts, AsyncEcho)
    assert server.tools["counts"].executor != server.tools["async_echo"].executor
    async with server:
        answers = await asyncio.gather(*(server.run_tool(Counts, Ask(text=str(n))) for n in range(6)))
    assert answers == [str(n) for n in range(6)]
    assert most == 2


@pytest.mark.parametrize(
    ("executor", "name"), [(ThreadExecutor(4), "thread"), (ThreadExecutor(4, name="mine"), "mine")]
)
def test_max_workers_is_refused_where_an_executor_was_passed(executor: ThreadExecutor, name: str) -> None:
    tool = a_tool("One", options=ToolOptions(executor_opts=ExecutorOpts(max_workers=1)))
    with pytest.raises(ToolDefinitionError, match=f"One: max_workers=1 has no meaning for the executor '{name}'"):
        a_server(tool, executor=executor)


class NoSink(JobSink):
    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None: ...


class NamedSink(NoSink):
    name = "same"


class Nameless(ThreadExecutor):
    def __init__(self) -> None:
        super().__init__(1)
        del self.name


def test_executors_that_can_not_be_told_apart_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"executor=\.\.\..*have the same name, 'mine': give one of them another"
    ):
        a_server(Echo, executor=[ThreadExecutor(1, name="mine"), ThreadExecutor(2, name="mine")])
    with pytest.raises(ConfigurationError, match="Nameless has no name: set the attribute 'name'"):
        a_server(Echo, executor=Nameless())


def test_sinks_that_can_not_be_told_apart_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"sinks=\.\.\..*have the same name, 'same': give one of them another"):
        a_server(Echo, sinks=[NamedSink(), NamedSink()])
    with pytest.raises(ConfigurationError, match="NoSink has no name: set the attribute 'name'"):
        a_server(Echo, sinks=[NoSink()])


async def test_a_class_that_is_served_twice_must_be_called_by_instance_or_name() -> None:
    class Says(LambdaTool):
        def __init__(self, name: str) -> None:
            self.name, self.path = name, f"/{name}"

        def run(self, req: Ask) -> str:
            return self.name

    one, two = Says("one"), Says("two")
    server = a_server(one, two)
    with pytest.raises(
        ConfigurationError, match=r"Says is served more than once: pass the instance or the name.*'one', 'two'"
    ):
        await server.run_tool(Says, Ask())
    assert (await server.run_tool(two, Ask()), await server.run_tool("one", Ask())) == ("two", "one")


def test_a_class_name_with_other_letters_needs_a_name_and_a_path() -> None:
    with pytest.raises(ToolDefinitionError, match=r"Größe\.name = 'größe'.*set 'name' in the class"):
        a_server(a_tool("Größe"))
    with pytest.raises(ToolDefinitionError, match=r"Größe\.path = '/größe'.*set 'path' in the class"):
        a_server(a_tool("Größe", name="size"))
    assert list(a_server(a_tool("Größe", name="size", path="/size")).tools) == ["size"]


async def test_an_executor_of_ones_own_runs_the_tools_that_name_none() -> None:
    server = a_server(Echo, AsyncEcho, executor=ThreadExecutor(2, name="mine"))
    assert {tool.executor for tool in server.tools.values()} == {"mine"}
    assert await server.run_tool(AsyncEcho, Ask(text="x")) == "x"


def test_an_executor_with_a_built_ins_name_takes_its_place() -> None:
    server = a_server(Echo, AsyncEcho, executor=AsyncioExecutor(max_concurrency=1))
    assert {name: tool.executor for name, tool in server.tools.items()} == {"echo": "thread", "async_echo": "asyncio"}


@pytest.mark.processes
def test_without_a_list_every_concrete_tool_that_was_defined_is_served() -> None:
    program = """
        from abc import ABC, abstractmethod
        from typing import Generic, TypeVar
        from pydantic import BaseModel
        from lambda_kit import LambdaTool, Service, ToolServer

        class Ask(BaseModel): pass
        T = TypeVar("T")
        class Empty(LambdaTool): pass
        class Abstract(LambdaTool, ABC):
            @abstractmethod
            def run(self, req: Ask) -> str: ...
        class Open(LambdaTool, Generic[T]):
            def run(self, req: T) -> str: return ""
        class One(Abstract):
            def run(self, req: Ask) -> str: return ""
        class Two(Open[Ask]): pass
        class Three(One): pass
        server = ToolServer(Service(name="x", contact={"name": "x", "email": "x@example.com"}))
        print(list(server.tools))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=False
    )
    assert sorted(eval(ended.stdout or "[]")) == ["one", "three", "two"], ended.stderr


def test_a_client_runs_the_server_and_its_hooks() -> None:
    calls: list[str] = []

    class Hooked(LambdaTool):
        def setup(self) -> None:
            calls.append("setup")

        def teardown(self) -> None:
            calls.append("teardown")

        def run(self, req: Ask) -> str:
            calls.append("run")
            return req.text

    server = a_server(Hooked, store=MemoryJobStore())
    with TestClient(server) as client:
        answer = client.post("/hooked", json={"text": "hi"})
        assert (answer.status_code, answer.text) == (200, "hi")
        assert client.get("/_healtz").status_code == 200
    assert calls == ["setup", "run", "teardown"]
    assert client.server is server


def test_a_server_can_be_had_from_several_clients_one_after_another() -> None:
    server = a_server(Echo, AsyncEcho)
    for text in ("a", "b", "c"):
        with TestClient(server) as client:
            for path in ("/echo", "/async-echo"):
                assert client.post(path, json={"text": text}).text == text


def test_the_app_is_made_once() -> None:
    server = a_server(Echo)
    assert server.app is server.app


def test_tools_can_be_added_to_an_app_that_exists() -> None:
    @dataclass
    class Mine:
        text: str

    @get("/mine", sync_to_thread=False)
    def mine() -> Mine:
        return Mine("mine")

    from litestar.testing import TestClient as LitestarClient  # noqa: PLC0415 - the name is ours

    app = Litestar(
        [mine],
        plugins=[a_server(Echo).plugin()],
        openapi_config=OpenAPIConfig(
            title="Mine",
            version="1",
            path="/docs",
            components=[
                Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
                Components(),
            ],
        ),
    )
    with LitestarClient(app) as client:
        assert client.get("/mine").json() == {"text": "mine"}
        assert client.post("/echo", json={"text": "hi"}).text == "hi"
        refused = client.post("/echo", json={"text": 1})
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        schema = client.get("/docs/openapi.json").json()
        assert schema["info"]["title"] == "Mine"
        assert {"/mine", "/echo"} <= set(schema["paths"])
        schemas = set(schema["components"]["schemas"])
        assert any(name.endswith("Mine") for name in schemas)
        assert {"LambdaKitProblem", "LambdaKitJobRecord"} <= schemas
        assert schema["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}


def test_a_guard_may_answer_with_a_status_that_is_nobodys() -> None:
    def refuse(_connection: object, _handler: object) -> None:
        raise HTTPException(status_code=460, detail="not at this hour")

    with TestClient(a_server(a_tool("One", options=ToolOptions(post_route_opts={"guards": [refuse]})))) as client:
        answer = client.post("/one", json={})
    assert answer.status_code == 460
    body = answer.json()
    assert (body["type"], body["title"], body["detail"]) == ("status-460", "Unknown", "not at this hour")


def test_two_servers_can_be_added_to_apps_of_one_process() -> None:
    one, two = a_server(Echo), a_server(Echo)
    with TestClient(one) as first, TestClient(two) as second:
        job = first.post("/echo", json={"text": "x"}, headers={"job-id": "the-job"})
        assert job.status_code == 200
        assert first.get("/jobs/the-job").text == "x"
        assert second.get("/jobs/the-job").status_code == 404


def test_the_service_is_described_with_its_name() -> None:
    with TestClient(ToolServer(a_service(), tools=[Echo])) as client:
        assert client.get("/openapi.json").json()["info"]["title"] == "Test"
