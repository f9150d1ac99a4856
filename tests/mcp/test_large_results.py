"""docs/mcp.md, Results: what is too large for a chat is a preview and a link, and all of it a resource."""

import asyncio
import base64
import json
from typing import Any

import pytest
from mcp_types import BlobResourceContents, CallToolResult, ResourceLink, TextContent, TextResourceContents
from pydantic import BaseModel

from lambda_kit import BinaryResult, JobContext, LambdaTool, McpOptions
from tests.core.running_tools import a_server
from tests.mcp.asking import ERAS, NEWEST, VERSIONS, asking, official_client

MIB = 2**20


class SizeRequest(BaseModel):
    size: int


class Table(BaseModel):
    rows: list[str]


class LongText(LambdaTool):
    """Return a long text"""

    async def run(self, req: SizeRequest) -> str:
        return "ü" * (req.size // 2)


class LongTable(LambdaTool):
    """Return a long table"""

    async def run(self, req: SizeRequest) -> Table:
        return Table(rows=["0123456789" * 10] * (req.size // 103))


class LongDict(LambdaTool):
    """Return a long table of which no schema is known"""

    async def run(self, req: SizeRequest) -> Any:
        return {"rows": ["0123456789" * 10] * (req.size // 103)}


class LargeFile(LambdaTool):
    """Return a large file"""

    async def run(self, req: SizeRequest) -> BinaryResult:
        return BinaryResult(content_type="image/png", content=b"\x89PNG\r\n\x1a\n" + bytes(req.size - 8))


class SlowTable(LambdaTool):
    """Return a long table, and tell of the progress"""

    async def run(self, req: SizeRequest, ctx: JobContext) -> Table:
        ctx.progress(1, 2)
        await asyncio.sleep(0.2)  # longer than is waited before a stream begins
        return Table(rows=["0123456789" * 10] * (req.size // 103))


class OwnBlocks(LambdaTool):
    """Return a long text in a result of one's own"""

    async def run(self, req: SizeRequest) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text="a" * req.size)])


TOOLS = (LongText, LongTable, LongDict, LargeFile, SlowTable, OwnBlocks)
EVENTS = {"accept": "text/event-stream"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_large_text_is_its_beginning_and_names_all_of_it(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("long_text", size=100_000)
        text, *links = result["content"]
        assert text["text"].startswith("The result is 100,000 bytes of text/plain: too large to be shown here.")
        assert text["text"].endswith("It begins:\n\n" + "ü" * 4096)
        if version < "2025-06-18":
            assert not links
            uri = text["text"].partition("resource ")[2].partition(". It begins")[0]
        else:
            [link] = links
            assert link["type"] == "resource_link"
            assert link["size"] == 100_000
            assert link["mimeType"] == "text/plain; charset=utf-8"
            assert link["name"]
            uri = link["uri"]
            assert uri in text["text"]
        [whole] = (await client.result("resources/read", uri=uri))["contents"]
    assert whole == {"uri": uri, "mimeType": "text/plain", "text": "ü" * 50_000}


async def test_a_file_counts_as_its_base64_does():
    async with asking(a_server(*TOOLS, mcp=McpOptions(max_result_bytes=4096))) as client:
        [block] = (await client.call("large_file", size=3072))["content"]
        assert block["type"] == "image"
        text, link = (await client.call("large_file", size=3073))["content"]
        assert text["text"].startswith("The result is 3,073 bytes of image/png: too large")
        assert "It begins" not in text["text"]
        assert link["mimeType"] == "image/png"
        [whole] = (await client.result("resources/read", uri=link["uri"]))["contents"]
        assert len(base64.b64decode(whole["blob"])) == 3073


async def test_a_text_at_the_limit_is_whole():
    async with asking(a_server(*TOOLS, mcp=McpOptions(max_result_bytes=4096))) as client:
        assert len((await client.call("long_text", size=4096))["content"]) == 1
        assert len((await client.call("long_text", size=4098))["content"]) == 2


@pytest.mark.parametrize(
    ("era", "size"),
    [
        *((era, 100_000) for era in ERAS),
        (NEWEST, 20 * MIB),
        pytest.param("legacy", 20 * MIB, marks=pytest.mark.slow),
    ],
)
async def test_a_large_result_with_a_schema_is_whole_as_structure_and_a_preview_as_text(era: str, size: int):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        result = await client.call_tool("long_table", {"size": size})
        assert not result.is_error
        assert len(result.structured_content["rows"]) == size // 103
        text, link = result.content
        assert isinstance(text, TextContent)
        assert len(text.text) < 10_000
        assert isinstance(link, ResourceLink)
        [whole] = (await client.read_resource(link.uri)).contents
        assert isinstance(whole, TextResourceContents)
        assert json.loads(whole.text) == result.structured_content


@pytest.mark.parametrize("era", ERAS)
async def test_an_event_too_large_for_the_official_client_is_not_sent_but_its_preview(era: str):
    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        """Progress makes the answer an event of a stream."""

    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        result = await client.call_tool("slow_table", {"size": MIB // 2}, progress_callback=on_progress)
        assert not result.is_error
        result = await client.call_tool("slow_table", {"size": 2 * MIB}, progress_callback=on_progress)
        assert result.is_error
        excuse, preview, link = result.content
        assert isinstance(excuse, TextContent)
        assert "the tool has succeeded" in excuse.text
        assert isinstance(preview, TextContent)
        assert isinstance(link, ResourceLink)
        [whole] = (await client.read_resource(link.uri)).contents
        assert isinstance(whole, TextResourceContents)
        assert len(json.loads(whole.text)["rows"]) == 2 * MIB // 103


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_that_takes_only_events_has_none_that_is_too_large(version: str):
    options = McpOptions(max_result_bytes=10 * MIB)
    async with asking(a_server(*TOOLS, mcp=options), version) as client:
        for tool in ("long_text", "long_table", "long_dict", "large_file", "own_blocks"):
            answer = await client.result("tools/call", EVENTS, name=tool, arguments={"size": 2 * MIB})
            assert answer.get("isError", False) is (tool == "long_table" and version >= "2025-06-18")
            assert len(json.dumps(answer, ensure_ascii=False).encode()) < 2 * MIB
            assert "All of it is the resource urn:ivcap:job:" in str(answer)
            small = await client.result("tools/call", EVENTS, name=tool, arguments={"size": 10_000})
            assert "All of it is the resource" not in str(small)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= "2025-06-18"])
async def test_a_large_result_without_a_schema_has_no_structure(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        assert "structuredContent" in await client.call("long_dict", size=10_000)
        result = await client.call("long_dict", size=100_000)
        assert "structuredContent" not in result
        assert [block["type"] for block in result["content"]] == ["text", "resource_link"]


@pytest.mark.parametrize("era", [NEWEST, pytest.param("legacy", marks=pytest.mark.slow)])
async def test_20_mib_of_a_file_come_as_a_resource(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        result = await client.call_tool("large_file", {"size": 20 * MIB})
        assert isinstance(result.content[1], ResourceLink)
        assert result.content[1].size == 20 * MIB
        [whole] = (await client.read_resource(result.content[1].uri)).contents
        assert isinstance(whole, BlobResourceContents)
        assert base64.b64decode(whole.blob) == b"\x89PNG\r\n\x1a\n" + bytes(20 * MIB - 8)


@pytest.mark.parametrize("limit", [65_536, 10_000_000])
async def test_claude_code_is_told_how_long_results_may_be(limit: int):
    async with asking(a_server(*TOOLS, mcp=McpOptions(max_result_bytes=limit))) as client:
        said = {json.dumps(tool["_meta"]) for tool in (await client.result("tools/list"))["tools"]}
        assert said == {json.dumps({"anthropic/maxResultSizeChars": min(limit + 4096, 500_000)})}
    async with asking(a_server(*TOOLS, mcp=True), "2024-11-05") as client:
        assert all("_meta" not in tool for tool in (await client.result("tools/list"))["tools"])


async def test_what_is_too_large_for_a_message_is_not_read_as_a_resource():
    async with asking(a_server(*TOOLS, mcp=True), NEWEST) as client:
        result = await client.call("large_file", size=64 * MIB + 1)
        error = await client.error("resources/read", uri=result["content"][1]["uri"])
    assert "too many for one message; GET /jobs/" in error["message"]
