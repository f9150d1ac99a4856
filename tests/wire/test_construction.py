"""docs/wire.md, Routes: which paths a tool can have, and what is said of the others."""

import sys
from pathlib import Path

import pytest
from litestar import Litestar
from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolDefinitionError, ToolServer
from tests.support.service_process import ServiceProcess

RESERVED = [
    "/jobs",
    "/api",
    "/openapi.json",
    "/_healtz",
    "/_livez",
    "/_readyz",
    "/mcp",
    "/metrics",
    "/console",
    "/1",
    "/.well-known",
]

service = Service(name="Test", contact={"name": "Alice", "email": "alice@example.com"})


class Request(BaseModel):
    text: str = ""


def tool_at(tool_path: str, tool_name: str = "mine") -> type[LambdaTool]:
    class Mine(LambdaTool):
        path = tool_path
        name = tool_name

        def run(self, req: Request) -> str:
            return req.text

    return Mine


@pytest.mark.parametrize("path", RESERVED)
def test_a_reserved_path_is_refused_when_the_server_is_made(path):
    with pytest.raises(ToolDefinitionError) as caught:
        ToolServer(service, [tool_at(path)])
    text = str(caught.value)
    assert f"'{path}'" in text
    assert "mine" in text.lower()
    assert "reserved" in text


@pytest.mark.parametrize(
    "path",
    ["/jobs/", "/api/", "/jobs/{id}", "/jobs/latest", "/api/assets/x", "/mcp/x", "/1/jobs", "/.well-known/x"],
)
def test_a_path_that_would_hide_a_reserved_one_is_refused(path):
    with pytest.raises(ToolDefinitionError):
        ToolServer(service, [tool_at(path)])


@pytest.mark.parametrize("path", ["", "echo", "/a b", "//", "/a//b", "/{id}", "/a?b", "/é", "/a/", "/a/{x:int}"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ToolDefinitionError) as caught:
        ToolServer(service, [tool_at(path)])
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["/", "/job", "/jobs2", "/apis", "/healtz", "/x/jobs2", "/a.b/c-d_e~f", "/tools/api", "/x/metrics", "/12", "/v/1"],
)
def test_a_path_beside_the_reserved_ones_is_fine(path):
    assert isinstance(ToolServer(service, [tool_at(path)]).app, Litestar)


def test_a_path_given_to_two_tools_is_refused_with_both_names():
    class First(LambdaTool):
        path = "/same"

        def run(self, req: Request) -> str:
            return ""

    class Second(First):
        pass

    with pytest.raises(ToolDefinitionError) as caught:
        ToolServer(service, [First, Second])
    for word in ("First", "Second", "'/same'"):
        assert word in str(caught.value)


def test_a_tool_given_twice_is_refused():
    tool = tool_at("/twice")
    with pytest.raises(ToolDefinitionError):
        ToolServer(service, [tool, tool])


def test_a_name_given_to_two_tools_is_refused():
    with pytest.raises(ToolDefinitionError) as caught:
        ToolServer(service, [tool_at("/a", "same"), tool_at("/b", "same")])
    assert "'same'" in str(caught.value)


@pytest.mark.parametrize("path", ["/deep/jobs/x", "/deep/jobs/x/status"])
def test_a_tool_below_the_jobs_of_another_is_refused_or_hides_nothing(path):
    try:
        app = ToolServer(service, [tool_at("/deep", "one"), tool_at(path, "two")]).app
    except ToolDefinitionError:
        return
    assert {"/deep", "/deep/jobs/{job_id:str}", path} <= {route.path_format for route in app.routes} | {
        route.path for route in app.routes
    }


def test_a_service_file_with_a_reserved_path_does_not_start_and_says_why(tmp_path: Path):
    file = tmp_path / "wrong.py"
    file.write_text(
        "from lambda_kit import LambdaTool, Service, ToolServer\n"
        "from pydantic import BaseModel\n"
        "class Request(BaseModel):\n    text: str\n"
        "class Wrong(LambdaTool):\n    path = '/jobs'\n    def run(self, req: Request) -> str: return ''\n"
        "if __name__ == '__main__':\n"
        "    ToolServer(Service(name='T', contact={'name': 'A', 'email': 'a@example.com'})).serve()\n"
    )
    process = ServiceProcess(file)
    with pytest.raises(AssertionError, match="exited with 1"), process:
        pass
    assert "'/jobs' is reserved" in process.log
    assert process.command[0] == sys.executable
