"""The official Python client lists and calls the examples over HTTP, in every mode that it has."""

from collections.abc import Iterator

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from tests.support.service_command import EXAMPLES
from tests.support.service_process import ServiceProcess

MODES = ["legacy", "auto", "2026-07-28"]


@pytest.fixture(scope="module")
def greeter() -> Iterator[str]:
    with ServiceProcess(EXAMPLES / "greeter.py", ["--with-mcp"]) as service:
        yield f"{service.url}/mcp"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_it_lists_and_calls_the_tools(greeter: str, mode: str, slash: str) -> None:
    async with Client(greeter + slash, mode=mode) as client:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed][:2] == ["greet", "list_things"]
        assert all(tool.description and tool.input_schema["type"] == "object" for tool in listed)
        for _ in range(3):
            result = await client.call_tool("greet", {"name": "Ann"})
            assert not result.is_error
            assert "Ann" in result.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", MODES)
async def test_the_era_is_the_newest_that_the_mode_allows(greeter: str, mode: str) -> None:
    async with Client(greeter, mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        if mode != "2026-07-28":  # which asks nothing before the first call
            assert client.server_info is not None
            assert client.server_capabilities.tools is not None


@pytest.mark.parametrize("mode", MODES)
async def test_it_is_told_what_was_wrong_with_a_call(greeter: str, mode: str) -> None:
    async with Client(greeter, mode=mode) as client:
        misfit = await client.call_tool("greet", {})
        assert misfit.is_error
        with pytest.raises(MCPError, match="nope"):
            await client.call_tool("nope", {})
