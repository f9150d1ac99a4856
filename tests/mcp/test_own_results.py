"""docs/mcp.md, Results: tools that say themselves what a call answers, and links to artifacts."""

import base64
import json
from typing import Any

import mcp_types as types
import pytest

from docs_src import mixed_answer
from lambda_kit import BinaryResult, LambdaTool, McpOptions
from tests.core.running_tools import Ask, a_server
from tests.mcp.asking import ERAS, NEWEST, VERSIONS, asking, official_client
from tests.mcp.test_results import Place

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
ARTIFACT = "urn:ivcap:artifact:8d7a0c51-2f0b-4d2e-9f0f-9a2f7f0c3d11"


class Mixed(LambdaTool):
    """Say it in several ways"""

    async def run(self, req: Ask) -> types.CallToolResult:
        blocks: list[types.ContentBlock] = [
            types.TextContent(type="text", text=req.text, _meta={"a": 1}),
            types.ImageContent(type="image", data=PIXEL, mime_type="image/png"),
            types.AudioContent(type="audio", data="AAAA", mime_type="audio/wav"),
            types.ResourceLink(type="resource_link", uri="https://example.org/a", name="a", size=3),
        ]
        return types.CallToolResult(content=blocks, structured_content={"n": 2**70}, _meta={"org.example/a": 1})


class Refuse(LambdaTool):
    """Fail in one's own words"""

    async def run(self, req: Ask) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text="not today")], is_error=True)


class ListOfOnes(LambdaTool):
    """Structure that is no object"""

    async def run(self, req: Ask) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text="[1]")], structured_content=[1])


class Either(LambdaTool):
    """Say it, or return a place"""

    async def run(self, req: Ask) -> types.CallToolResult | Place:
        if req.text:
            return Place(name=req.text)
        return types.CallToolResult(content=[types.TextContent(type="text", text="nowhere")])


class NameArtifacts(LambdaTool):
    """Name artifacts"""

    async def run(self, req: Ask) -> dict[str, Any]:
        return {"made": f"see {ARTIFACT}.", "again": ARTIFACT, "others": req.text}


class SayArtifacts(LambdaTool):
    """Name artifacts in a text"""

    async def run(self, req: Ask) -> str:
        return f"It is <{ARTIFACT}>, {req.text}"


class Odd(LambdaTool):
    """Say that something is JSON which is none, or no such result"""

    async def run(self, req: Ask) -> types.CallToolResult | BinaryResult:
        return BinaryResult(content_type="application/json", content=req.text.encode(errors="surrogateescape"))


class Huge(LambdaTool):
    """Say more than is looked at"""

    async def run(self, req: Ask) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text="x" * 9 * 2**20)])


TOOLS = (Mixed, Refuse, ListOfOnes, Either, NameArtifacts, SayArtifacts, Odd, Huge)


async def test_a_result_of_ones_own_is_passed_through():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        result = await client.call("mixed", text="hello")
        assert result.pop("_meta")["org.example/a"] == 1
        assert result == {
            "content": [
                {"type": "text", "text": "hello", "_meta": {"a": 1}},
                {"type": "image", "data": PIXEL, "mimeType": "image/png"},
                {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
                {"type": "resource_link", "uri": "https://example.org/a", "name": "a", "size": 3},
            ],
            "structuredContent": {"n": 2**70},
            "isError": False,
            "resultType": "complete",
        }
        assert (await client.call("refuse"))["isError"] is True


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_has_what_the_version_has(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("mixed", text="hello")
        ones = await client.call("list_of_ones")
    assert ("structuredContent" in result) is (version >= "2025-06-18")
    assert ("structuredContent" in ones) is (version == NEWEST)
    kinds = [block["type"] for block in result["content"]]
    audio = "resource" if version == "2024-11-05" else "audio"
    assert kinds == ["text", "image", audio, "resource_link" if version >= "2025-06-18" else "text"]
    if version < "2025-06-18":
        assert result["content"][3]["text"] == "a: https://example.org/a"
        assert "_meta" not in result["content"][0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_none_is_shown_as_what_it_is(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        for text in ("nonsense", "[1]", "{}", '{"content":null}', '{"content":[1]}', '{"content":[],"x":"\\ud83d"}'):
            result = await client.call("odd", text=text)
            assert text in json.dumps(result["content"]) or result["content"][0]["type"] in ("text", "resource")
        structured = '{"content":[],"structuredContent":{"a":' + "[" * 100 + "]" * 100 + "}}"
        assert "content" in await client.call("odd", text=structured)


@pytest.mark.parametrize("version", VERSIONS)
async def test_one_that_is_huge_is_a_preview(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("huge")
    assert "too large to be shown here" in result["content"][0]["text"]


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_takes_it_and_its_tool_has_no_output_schema(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in ("mixed", "refuse", "list_of_ones", "either"):
            assert tools[name].output_schema is None
        result = await client.call_tool("mixed", {"text": "hello"})
        assert [block.type for block in result.content] == ["text", "image", "audio", "resource_link"]
        assert result.structured_content == {"n": 2**70}
        place = await client.call_tool("either", {"text": "Uluru"})
        assert place.structured_content == {"name": "Uluru", "height": None}
        nowhere = await client.call_tool("either", {})
        assert [block.type for block in nowhere.content] == ["text"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tool", ["name_artifacts", "say_artifacts"])
async def test_artifacts_of_the_platform_are_linked_to_once(version: str, tool: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        text, *links = (await client.call(tool, text="urn:ivcap:artifact:2; urn:ivcap:job:3"))["content"]
    assert ARTIFACT in text["text"]
    expected = [] if version < "2025-06-18" else [ARTIFACT, "urn:ivcap:artifact:2"]
    assert [link["uri"] for link in links] == expected
    for link in links:
        assert link["type"] == "resource_link"
        assert link["name"] == link["uri"].rpartition(":")[2]


async def test_of_many_artifacts_twenty_are_linked_to():
    many = " ".join(f"urn:ivcap:artifact:{number}" for number in range(100))
    async with asking(a_server(*TOOLS, mcp=McpOptions(max_result_bytes=4096))) as client:
        assert len((await client.call("say_artifacts", text=many))["content"]) == 21


async def test_the_example_of_the_page_answers_with_an_image_and_a_text():
    async with official_client(a_server(mixed_answer.Plot, mcp=True), "legacy") as client:
        image, text = (await client.call_tool("plot", {"values": [1, 3, 2]})).content
    assert isinstance(image, types.ImageContent)
    assert base64.b64decode(image.data).startswith(b"\x89PNG")
    assert isinstance(text, types.TextContent)
    assert text.text == "The largest is 3.0."


async def test_an_artifact_is_not_read_here_and_the_error_says_what_is():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        error = await client.error("resources/read", uri=ARTIFACT)
    assert error["code"] == -32602
    assert "the platform gives it" in error["message"]
