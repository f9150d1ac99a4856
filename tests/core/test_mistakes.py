"""What newcomers get wrong ends in one message that names the mistake and the remedy."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lambda_kit import (
    ConfigurationError,
    GenericEvent,
    JobContext,
    JobFailedError,
    JobObserver,
    JobSink,
    LambdaTool,
    MemoryJobStore,
    ProcessExecutor,
    Service,
    ThreadExecutor,
    ToolDefinitionError,
    ToolOptions,
    ToolServer,
    with_schema,
)
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server, a_service


class Greet(LambdaTool):
    def run(self, req: Ask) -> str:
        return req.text


class Sink(JobSink):
    name = "sink"

    async def deliver(self, *_: Any, **__: Any) -> None:
        return None


def tool(**members: Any) -> type[LambdaTool]:
    return type("T", (Greet,), members)


def without_self() -> None:
    class T(LambdaTool):
        def run(req: Ask, ctx: JobContext) -> str:  # type: ignore[misc]  # noqa: N805
            return ""


def with_an_instance() -> None:
    class T(LambdaTool):
        def run(self, req: Ask(text="x")) -> str:  # type: ignore[valid-type]
            return ""


def yields(self: LambdaTool) -> Any:
    yield


async def yields_too(self: LambdaTool) -> AsyncIterator[None]:
    yield


def wants_more(self: LambdaTool, model: str) -> None:
    return None


def server(**options: Any) -> Callable[[], object]:
    return lambda: ToolServer(a_service(), **{"tools": [Greet], **options})


MISTAKES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a class for a list": (
        server(tools=Greet),
        ToolDefinitionError,
        "ToolServer(tools=Greet): must be a list of tools: write tools=[Greet]",
    ),
    "an instance for a list": (server(tools=Greet()), ToolDefinitionError, "must be a list of tools: write tools=["),
    "a dict for a list": (
        server(tools={"greet": Greet}),
        ToolDefinitionError,
        "must be a list of tools: write tools=[",
    ),
    "a text for a list": (server(tools="Greet"), ToolDefinitionError, "must be a list of tools: write tools=["),
    "a model for a tool": (server(tools=[Ask]), ToolDefinitionError, "Ask is no tool: pass a subclass of LambdaTool"),
    "a service for a text": (
        lambda: ToolServer("x", [Greet]),  # type: ignore[arg-type]
        ConfigurationError,
        "ToolServer('x', ...): the first argument must be a Service(name=..., contact={...})",
    ),
    "a service without contact": (
        lambda: Service(name="x"),  # type: ignore[call-arg]
        ConfigurationError,
        "Service(contact=...): Field required: write Service(name='...', contact={'name': '...', 'email': '...'})",
    ),
    "a text as contact": (
        lambda: Service(name="x", contact="a@example.com"),  # type: ignore[arg-type]
        ConfigurationError,
        "Service(contact=...): Input should be a valid dictionary",
    ),
    "a misspelled member": (
        lambda: Service(name="x", contact={}, licence={}),  # type: ignore[call-arg]
        ConfigurationError,
        "Service(licence=...): there is no such member; there are name, version, contact, license, description",
    ),
    "a service by position": (
        lambda: Service("x", {}),  # type: ignore[call-arg]
        ConfigurationError,
        "Service(...) takes its members by name: Service(name='...'",
    ),
    "no self": (without_self, ToolDefinitionError, "T.run has no 'self': its first parameter is 'req'"),
    "an instance as annotation": (
        with_an_instance,
        ToolDefinitionError,
        "parameter 'req' is annotated with Ask(text='x'), which nothing can supply",
    ),
    "a path without slash": (server(tools=[tool(path="greet")]), ToolDefinitionError, "T.path = 'greet': must be '/'"),
    "options as a dict": (
        server(tools=[tool(options={"max_wait_time": 3})]),
        ToolDefinitionError,
        "T.options must be a ToolOptions, not {'max_wait_time': 3}: write options = ToolOptions(...)",
    ),
    "a number as label": (
        lambda: ToolOptions(name=3),  # type: ignore[arg-type]
        ToolDefinitionError,
        "ToolOptions(name=3): must be a string, or None",
    ),
    "numbers as tags": (
        lambda: ToolOptions(tags=[3]),  # type: ignore[list-item]
        ToolDefinitionError,
        "ToolOptions(tags=[3]): must be a list of strings",
    ),
    "a list as route options": (
        lambda: ToolOptions(post_route_opts=[3]),  # type: ignore[arg-type]
        ToolDefinitionError,
        "ToolOptions(post_route_opts=[3]): must be a dict, such as {'guards': [...]}",
    ),
    "a dict as executor options": (
        lambda: ToolOptions(executor_opts={"max_workers": 2}),  # type: ignore[arg-type]
        ToolDefinitionError,
        "must be an ExecutorOpts, or None: write executor_opts=ExecutorOpts(...)",
    ),
    "a property as hook": (
        server(tools=[tool(is_ready=property(lambda _self: True))]),
        ToolDefinitionError,
        "T.is_ready is a property: remove '@property', it must be a method, 'def is_ready(self) -> bool'",
    ),
    "a value as hook": (
        server(tools=[tool(is_ready=True)]),
        ToolDefinitionError,
        "T.is_ready = True: it must be a method, 'def is_ready(self) -> bool'",
    ),
    "a generator as hook": (
        server(tools=[tool(setup=yields)]),
        ToolDefinitionError,
        "T.setup is a generator (it has a 'yield'): prepare in 'setup', and clean up in 'teardown'",
    ),
    "an async generator as hook": (
        server(tools=[tool(setup=yields_too)]),
        ToolDefinitionError,
        "T.setup is a generator",
    ),
    "a hook that takes something": (
        server(tools=[tool(setup=wants_more)]),
        ToolDefinitionError,
        "T.setup takes 'model', which nothing can supply: write 'def setup(self) -> None'",
    ),
    "an executor by name": (
        server(executor="process"),
        ConfigurationError,
        "an instance of Executor; a built-in one is chosen by name in the tool: ToolOptions(executor='process')",
    ),
    "an executor as class": (
        server(executor=ProcessExecutor),
        ConfigurationError,
        "ToolServer(executor=ProcessExecutor): it is a class: pass an instance, ProcessExecutor(...)",
    ),
    "a store as class": (
        server(store=MemoryJobStore),
        ConfigurationError,
        "ToolServer(store=MemoryJobStore): it is a class: pass an instance, MemoryJobStore(...)",
    ),
    "a sink as class": (server(sinks=[Sink]), ConfigurationError, "ToolServer(sinks=Sink): it is a class"),
    "an observer of another kind": (
        server(observers=[5]),
        ConfigurationError,
        "ToolServer(observers=5): must be an instance of JobObserver",
    ),
    "settings as a dict": (
        server(settings={"grace_seconds": 2}),
        ConfigurationError,
        "ToolServer(settings={'grace_seconds': 2}): must be an instance of JobSettings",
    ),
    "limits as a dict": (
        server(http={"header_bytes": 2}),
        ConfigurationError,
        "ToolServer(http={'header_bytes': 2}): must be an instance of HttpLimits",
    ),
    "a file of keys as text": (
        server(authenticator="keys.txt"),
        ConfigurationError,
        "ToolServer(authenticator='keys.txt'): must be an instance of Authenticator, such as ApiKeys('keys.txt') or ",
    ),
    "MCP as text": (
        server(mcp="yes"),
        ConfigurationError,
        "ToolServer(mcp='yes'): must be an instance of McpOptions, or True for its defaults",
    ),
    "compression by name": (
        server(compression="gzip"),
        ConfigurationError,
        "ToolServer(compression='gzip'): must be an instance of CompressionConfig",
    ),
    "a size as text": (
        server(max_body_bytes="16M"),
        ConfigurationError,
        "ToolServer(max_body_bytes='16M'): must be a whole number of at least 1",
    ),
    "a schema without its name": (
        lambda: with_schema(Ask),  # type: ignore[arg-type]
        TypeError,
        "@with_schema needs the URN of the schema",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(mistake: str) -> None:
    make, kind, message = MISTAKES[mistake]
    with pytest.raises(kind) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"sinks": Sink()}, {"observers": JobObserver()}, {"executor": ThreadExecutor(2)}, {"tools": (Greet,)}]
)
async def test_one_part_need_not_be_in_a_list(options: dict[str, Any]) -> None:
    made = ToolServer(a_service(), **{"tools": [Greet], "store": MemoryJobStore(), **options})
    assert await made.run_tool("greet", Ask(text="hi")) == "hi"


REPORTS: list[tuple[Callable[[Any], object], str]] = [
    (
        lambda ctx: ctx.report.emit({"name": "loaded"}),
        "report.emit takes an event, such as GenericEvent(name='loaded', options={'rows': 3}), not a dict",
    ),
    (lambda ctx: ctx.report.emit("loaded"), "not a str"),
    (lambda ctx: ctx.report.emit(GenericEvent), "not the class GenericEvent"),
    (lambda ctx: ctx.report.step(5), "report.step takes the name of the step, and a message: report.step('load'"),
    (lambda ctx: ctx.report.step_finished(None), "not a NoneType as the name"),
    (lambda ctx: ctx.progress("half"), "ctx.progress(done='half'): must be a finite number"),
    (lambda ctx: ctx.progress(1, "all"), "ctx.progress(total='all'): must be a finite number"),
    (lambda ctx: ctx.progress(1, 2, 3), "ctx.progress(message=...): must be a str, not a int"),
]


@pytest.mark.parametrize("at", range(len(REPORTS)))
async def test_a_report_of_the_wrong_type_fails_where_it_is_made(at: int) -> None:
    act, message = REPORTS[at]

    class Reports(LambdaTool):
        def run(self, req: Ask, ctx: JobContext) -> None:
            act(ctx)

    with pytest.raises(JobFailedError) as caught:
        await a_server(Reports).run_tool(Reports, Ask())
    assert isinstance(caught.value.__cause__, TypeError)
    assert message in str(caught.value.__cause__)


def test_a_tool_that_does_not_say_whether_it_is_ready_is_told_so() -> None:
    class Forgets(Greet):
        def is_ready(self) -> bool:
            return None  # type: ignore[return-value]

    with TestClient(a_server(Forgets)) as client:
        answer = client.get("/_healtz")
    assert answer.status_code == 503
    assert "its is_ready returned None, not True or False" in answer.json()["detail"]


async def test_what_a_setup_returns_is_told_to_be_of_no_use(caplog: pytest.LogCaptureFixture) -> None:
    class Returns(Greet):
        def setup(self) -> None:
            return {"model": "loaded"}  # type: ignore[return-value]

    async with a_server(Returns):
        pass
    assert "tool 'returns': setup returned a dict, which nothing uses: keep it in self" in caplog.text
