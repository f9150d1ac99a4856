"""Decorated functions, served by MCP: by the flags, by `register_mcp` and by `run_mcp_stdio`."""

from pathlib import Path
from typing import Any

import fastapi
import pytest
from fastapi.testclient import TestClient as FastTestClient
from pydantic import BaseModel

from lambda_kit.compat.function_server import FunctionServer
from lambda_kit.compat.ivcap_lambda import JobContext, add_tool_api_route, get_fast_app, ivcap_lambda, mcp
from lambda_kit.compat.ivcap_lambda.mcp import MCP_CALL_TIMEOUT, register_mcp
from lambda_kit.compat.registry import tools
from lambda_kit.core.errors import ConfigurationError
from tests.compat.conftest import SERVICE, Served
from tests.support.mcp_stdio import McpStdio

FILE = """
from ivcap_service import JobContext, Service
from pydantic import BaseModel
from lambda_kit.compat.ivcap_lambda import *
from lambda_kit.compat.ivcap_lambda.mcp import run_mcp_stdio

class Ask(BaseModel):
    n: int = 0

class Answer(BaseModel):
    n: int

@ivcap_lambda("/double")
def double(req: Ask, ctxt: JobContext) -> Answer:
    '''Double a number

    It may be negative.
    '''
    print("printed")
    with ctxt.report.step("double", "doubling"):
        return Answer(n=2 * req.n)

if __name__ == "__main__":
"""

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


class Ask(BaseModel):
    n: int = 0


def doubled(req: Ask, ctxt: JobContext) -> dict[str, int]:
    """Double a number"""
    return {"n": 2 * req.n}


def call(client: Any, name: str, arguments: Any = None) -> Any:
    """Call a tool over HTTP; returns its result."""
    fields = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
    assert client.post("/mcp", json=message, headers=fields).json()["result"]["serverInfo"]["name"]
    params = {"name": name, "arguments": {"n": 2} if arguments is None else arguments}
    message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
    return client.post("/mcp", json=message, headers=fields).json()["result"]["structuredContent"]


@pytest.mark.processes
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("start", "args"),
    [
        ('start_lambda_server(Service(name="Double", contact={"name": "A", "email": "a@example.com"}))', ()),
        ('run_mcp_stdio("Double", "7.1")', ()),
    ],
)
def test_a_service_file_serves_them_on_stdin_and_stdout(start: str, args: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "service.py"
    file.write_text(f"{FILE}    {start}\n    print('the end')\n")
    with McpStdio(file, *args) as service:
        said = service.initialize()["serverInfo"]
        assert said["name"] == "Double"
        assert said["version"] == ("7.1" if "7.1" in start else "unknown")
        (tool,) = [tool for tool in service.ask("tools/list")["tools"] if tool["name"] == "double"]
        assert "It may be negative." in tool["description"]
        request_id = service.call("double", {"n": 21}, token="t")
        assert service.wait_for_answer(request_id)["result"]["structuredContent"] == {"n": 42}
        service.close()
        assert service.end() == 0, service.log
        assert ("the end" in service.log) == ("run_mcp_stdio" in start)


def test_register_mcp_adds_them_to_the_fast_app_of_the_service(served: Served) -> None:
    ivcap_lambda("/double")(doubled)
    register_mcp(get_fast_app())
    client = served()
    assert call(client, "doubled") == {"n": 4}
    assert client.post("/double", json={"n": 3}).json() == {"n": 6}


class HasReq(BaseModel):
    req: dict[str, int] = {}


class Loose(BaseModel, extra="allow"):
    n: int = 0


def test_a_request_in_the_member_that_it_was_in_is_taken_too() -> None:
    def has_req(req: HasReq) -> dict[str, int]:
        """Give back what is in it"""
        return req.req

    def loose(req: Loose) -> dict[str, list[str]]:
        """Tell what there is besides"""
        return {"extra": sorted(req.model_extra or {})}

    app = fastapi.FastAPI()
    for path, function in (("/double", doubled), ("/has-req", has_req), ("/loose", loose)):
        add_tool_api_route(app, path, function)
    register_mcp(app)
    with FastTestClient(app) as client:
        assert call(client, "doubled", {"req": {"n": 5}}) == {"n": 10}
        assert call(client, "doubled", {"req": {}}) == {"n": 0}
        assert call(client, "doubled", {"req": {"n": 5}, "n": 3}) == {"n": 6}
        assert call(client, "has_req", {"req": {"a": 1}}) == {"a": 1}
        assert call(client, "loose", {"req": {"n": 1}}) == {"extra": ["req"]}


def test_register_mcp_adds_them_to_an_app_of_the_services_own() -> None:
    app = fastapi.FastAPI()
    add_tool_api_route(app, "/double", doubled)
    register_mcp(app)
    with FastTestClient(app) as client:
        assert call(client, "doubled") == {"n": 4}
        assert client.get("/nowhere").status_code == 404


def test_without_it_there_is_no_mcp() -> None:
    app = fastapi.FastAPI()
    add_tool_api_route(app, "/double", doubled)
    with FastTestClient(app) as client:
        assert client.post("/mcp", json={}).status_code == 404


def test_register_mcp_says_what_it_does_not_take() -> None:
    with pytest.raises(ConfigurationError, match=r"MCP is always served at /mcp"):
        register_mcp(fastapi.FastAPI(), "/tools/mcp")
    for nothing in (None, object()):
        with pytest.raises(TypeError, match="is no FastAPI app"):
            register_mcp(nothing)


def test_calls_wait_as_long_as_in_the_original_or_as_the_service_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MCP_CALL_TIMEOUT == 600.0
    ivcap_lambda("/double")(doubled)
    assert FunctionServer(SERVICE, tools, None, None).add_mcp().host.options.wait_seconds == 600.0
    monkeypatch.setattr(mcp, "MCP_CALL_TIMEOUT", 45.0)
    assert FunctionServer(SERVICE, tools, None, None).add_mcp().host.options.wait_seconds == 45.0
