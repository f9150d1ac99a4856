"""docs/mcp.md, What agents read: ``tools/list``, to the letter."""
# mypy: disable-error-code="empty-body"

import importlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult

from lambda_kit import (
    LambdaTool,
    McpOptions,
    MemoryJobStore,
    Principal,
    Service,
    ToolDefinitionError,
    ToolHints,
    ToolOptions,
    ToolServer,
)
from lambda_kit.adapters.mcp.built_in_tools import built_in_tools
from lambda_kit.adapters.mcp.catalog import catalog_findings, catalog_tools
from lambda_kit.spi import Authenticator, Credentials
from tests.core.running_tools import Ask, a_server
from tests.golden.tools import GreetRequest, GreetResult, greet
from tests.mcp.asking import ERAS, NEWEST, VERSIONS, asking, official_client
from tests.support.agent_schemas import check_schema

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "mcp-tools.json"
BUILT_IN = ["job_result", "job_cancel"]


class Greet(LambdaTool):
    __doc__ = greet.__doc__

    options = ToolOptions(hints=ToolHints(read_only=True, open_world=False))

    def run(self, req: GreetRequest) -> GreetResult:
        return greet(req)


class ListThings(LambdaTool):
    """One liner"""

    path = "/many/things"

    async def run(self, req: list[GreetRequest]) -> list[GreetResult]:
        return [GreetResult(greeting=one.name) for one in req]


class Hidden(LambdaTool):
    """Not for agents"""

    options = ToolOptions(mcp=False)

    def run(self, req: Ask) -> str: ...


class Restricted(LambdaTool):
    """Only for some"""

    options = ToolOptions(scopes=["restricted"])

    def run(self, req: Ask) -> str: ...


class Slow(LambdaTool):
    """Only as a task"""

    options = ToolOptions(mcp="as-task")

    def run(self, req: Ask) -> str: ...


class Direct(LambdaTool):
    """Answer by itself"""

    def run(self, req: Ask) -> CallToolResult: ...


class ByHeader(Authenticator):
    """The header is a list of scopes."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        return Principal("ann", scopes=frozenset((credentials.headers.get("x-scopes") or "").split()))


def names(result: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in result["tools"]]


async def test_agents_read_what_is_written_in_the_golden_file():
    async with asking(a_server(Greet, ListThings, Hidden, mcp=True)) as asker:
        result = await asker.result("tools/list")
    printed = json.dumps(result["tools"], indent=2, ensure_ascii=False) + "\n"
    if "UPDATE_GOLDEN" in os.environ:
        GOLDEN.write_text(printed)
    assert printed == GOLDEN.read_text()


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_version_gets_what_it_knows(version: str):
    async with asking(a_server(Greet, ListThings, mcp=True), version) as asker:
        result = await asker.result("tools/list")
    first = result["tools"][0]
    assert ("title" in first, "outputSchema" in first) == (version >= "2025-06-18",) * 2
    hints = {"readOnlyHint": True, "openWorldHint": False}
    older = {"2024-11-05": None, "2025-03-26": {**hints, "title": "Greet a person"}}
    assert first.get("annotations") == older.get(version, hints)
    assert ({"resultType", "ttlMs", "cacheScope"} <= result.keys()) == (version == NEWEST)


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_takes_the_list_and_what_the_tools_return(era: str):
    async with official_client(a_server(Greet, ListThings, mcp=True), era) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["greet", "list_things", *BUILT_IN]
        answer = await client.call_tool("list_things", {"request": [{"name": "Ada"}]})
        assert answer.structured_content == {
            "result": [{"$schema": "urn:example:schema:greet.1", "greeting": "Ada", "mood": None}]
        }
        sent = {"$schema": "urn:example:schema:greet.request.1", "name": "Ada"}
        assert not (await client.call_tool("greet", sent)).is_error


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_order_is_that_of_the_server_and_stable(version: str):
    async with asking(a_server(ListThings, Hidden, Greet, mcp=True), version) as asker:
        first = await asker.result("tools/list")
        assert names(first) == ["list_things", "greet", *BUILT_IN]
        assert await asker.result("tools/list") == first


async def test_a_principal_is_told_only_of_what_it_may_run():
    server = a_server(Greet, Restricted, mcp=True, authenticator=ByHeader())
    async with asking(server) as asker:
        few = await asker.result("tools/list")
        all_of_them = await asker.result("tools/list", {"x-scopes": "other restricted"})
        assert await asker.result("tools/list") == few
    assert names(few) == ["greet", *BUILT_IN]
    assert names(all_of_them) == ["greet", "restricted", *BUILT_IN]
    assert (few["cacheScope"], all_of_them["cacheScope"]) == ("private", "private")


async def test_a_list_that_is_the_same_for_all_may_be_shared():
    async with asking(a_server(Greet, mcp=True)) as asker:
        assert (await asker.result("tools/list"))["cacheScope"] == "public"


async def test_who_can_have_no_task_is_not_told_of_tools_that_need_one():
    for version in VERSIONS:
        async with asking(a_server(Greet, Slow, mcp=True), version) as asker:
            assert ("slow" in names(await asker.result("tools/list"))) == (version == NEWEST)


@pytest.mark.parametrize("version", VERSIONS)
async def test_there_is_one_page(version: str):
    async with asking(a_server(Greet, mcp=True), version) as asker:
        assert "nextCursor" not in await asker.result("tools/list")
        error = await asker.error("tools/list", cursor="2")
        assert error["code"] == -32602


async def test_the_longest_wait_is_told():
    async with asking(a_server(Greet, mcp=McpOptions(wait_seconds=7))) as asker:
        tools = {tool["name"]: tool for tool in (await asker.result("tools/list"))["tools"]}
    wait = tools["job_result"]["inputSchema"]["properties"]["wait_seconds"]
    assert (wait["maximum"], wait["default"]) == (7, 7)


async def test_results_that_are_passed_on_are_not_described():
    async with asking(a_server(Direct, mcp=True)) as asker:
        assert "outputSchema" not in (await asker.result("tools/list"))["tools"][0]


# --- when the server is built ---


def test_tools_that_clients_would_refuse_are_all_named():
    class Dotted(Greet):
        name = "greet.people"

    class Job(Greet):
        name = "job_cancel"
        path = "/job"

    with pytest.raises(ToolDefinitionError) as refused:
        a_server(Dotted, Job, mcp=True)
    first, second = str(refused.value).splitlines()
    assert first.startswith("Dotted.name = 'greet.people': ")
    assert second.startswith("Job.name = 'job_cancel': ")
    a_server(Dotted, Job)
    a_server(type("Left", (Dotted,), {"options": ToolOptions(mcp=False)}), mcp=True)


def test_warnings_are_logged_once(caplog: pytest.LogCaptureFixture):
    class Undocumented(LambdaTool):
        def run(self, req: Ask) -> str: ...

    service = Service(name="s", contact={"name": "a", "email": "a@example.com"}, instructions="x" * 3000)
    with caplog.at_level(logging.WARNING, "lambda_kit.mcp"):
        server = ToolServer(service, tools=[Undocumented], mcp=True, store=MemoryJobStore())
        server.add_mcp()
        assert server.app.routes
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "Service(instructions=...)" in caplog.messages[0]
    assert "Undocumented has no docstring" in caplog.messages[1]


# --- of every example ---


def shown_servers() -> Iterator[tuple[str, ToolServer]]:
    for path in sorted([*(ROOT / "docs_src").glob("*.py"), *(ROOT / "examples").glob("*.py")]):
        if "ToolServer(" in path.read_text("utf-8") and not path.stem.startswith("test_"):
            module = importlib.import_module(f"{path.parent.name}.{path.stem}")
            for value in vars(module).values():
                if isinstance(value, ToolServer):
                    yield f"{path.parent.name}/{path.name}", value


SERVERS = dict(shown_servers())
NEEDS_HTTP = {"docs_src/injection.py": ["litestar-request"]}


@pytest.mark.parametrize("name", SERVERS)
def test_every_example_follows_the_rules(name: str):
    built_in = built_in_tools(McpOptions())
    tools = catalog_tools(SERVERS[name].tools.values())
    found = catalog_findings(tools, built_in, getattr(SERVERS[name].service, "instructions", None))
    assert [finding.rule for finding in found] == NEEDS_HTTP.get(name, [])
    for agent in (*(tool.agent for tool in tools), *built_in):
        assert agent.title
        assert agent.description
        check_schema(agent.input_schema)
        if agent.output_schema is not None:
            check_schema(agent.output_schema)


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("docs_src/async_tool.py", "mean_of_sensors", {"sensors": ["a"]}),
    ("docs_src/choosing_types.py", "area", {"request": {"shape": "circle", "radius": 2}}),
    ("docs_src/choosing_types.py", "largest", {"items": [{"shape": "rectangle", "width": 2, "height": 1}]}),
    ("docs_src/choosing_types.py", "count", {"request": ["a", "b", "a"]}),
    ("docs_src/choosing_types.py", "centre", {"request": [{"x": 1, "y": 2}]}),
    ("docs_src/choosing_types.py", "draw", {"shape": "circle", "radius": 2}),
    ("docs_src/fit_line.py", "fit_line", {"x": [1, 2, 3], "y": [2, 4, 7]}),
    ("docs_src/greet.py", "greet", {"name": "Ada"}),
    ("docs_src/other_models.py", "scale", {"values": [1, 2], "factor": 2}),
    ("docs_src/other_models.py", "shift", {"values": [1, 2], "by": 2}),
    ("docs_src/simulation.py", "random_walk", {"steps": 3}),
    ("docs_src/uploads.py", "summarise", {"table": {"content": "MQ==", "filename": "t.txt"}, "scale": 2}),
    ("docs_src/words.py", "count_words", {"text": "to be or not to be"}),
    ("examples/echo.py", "echo", {"message": "a"}),
    ("examples/greeter.py", "greet", {"name": "Ada", "count": 2}),
]


@pytest.mark.parametrize(("name", "tool", "arguments"), CALLS, ids=[f"{name}:{tool}" for name, tool, _ in CALLS])
async def test_what_an_example_answers_fits_what_is_said_of_it(name: str, tool: str, arguments: dict[str, Any]):
    served = [bound.tool for bound in SERVERS[name].tools.values()]
    server = ToolServer(SERVERS[name].service, tools=served, store=MemoryJobStore(), mcp=True)
    async with official_client(server, NEWEST) as client:
        await client.list_tools()
        answer = await client.call_tool(tool, arguments)  # which raises if it does not fit
        assert not answer.is_error, answer.content
