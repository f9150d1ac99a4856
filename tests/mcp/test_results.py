"""docs/mcp.md, Results: what a call answers, as agents and their clients see it."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client.client import Client
from mcp_types import TextContent
from pydantic import BaseModel, RootModel

from lambda_kit import LambdaTool
from tests.core.running_tools import Ask, a_server
from tests.mcp.asking import ERAS, NEWEST, VERSIONS, asking, official_client

STRUCTURED = [version for version in VERSIONS if version >= "2025-06-18"]
WITHOUT_STRUCTURE = [version for version in VERSIONS if version < "2025-06-18"]


class Place(BaseModel):
    name: str
    height: float | None = None


class FindPlace(LambdaTool):
    """Find a place"""

    async def run(self, req: Ask) -> Place:
        return Place(name=req.text, height=math.nan if req.text == "abyss" else 12.5)


class ListPlaces(LambdaTool):
    """List places"""

    async def run(self, req: Ask) -> list[Place]:
        return [Place(name=req.text)]


class MaybePlace(LambdaTool):
    """Find a place, or none"""

    async def run(self, req: Ask) -> Place | None:
        return Place(name=req.text) if req.text else None


class Say(LambdaTool):
    """Say it again"""

    async def run(self, req: Ask) -> str:
        return req.text


class Forget(LambdaTool):
    """Forget something"""

    async def run(self, req: Ask) -> None:
        """Return nothing."""


class Lie(LambdaTool):
    """Return something else than is promised"""

    async def run(self, req: Ask) -> Place:
        return req.text  # type: ignore[return-value]


class AnythingRequest(BaseModel):
    value: Any = None


class Anything(LambdaTool):
    """Return what is sent"""

    async def run(self, req: AnythingRequest) -> Any:
        return req.value


class Wrapped(RootModel[Any]):
    """Any JSON."""


class AsList(LambdaTool):
    """Return what is sent in a list"""

    async def run(self, req: AnythingRequest) -> list[Any]:
        return [req.value]


TOOLS = (FindPlace, ListPlaces, MaybePlace, Say, Forget, Lie, Anything, AsList)


def text_of(result: dict[str, Any]) -> str:
    """The only block, which is a text."""
    [block] = result["content"]
    assert block["type"] == "text"
    text = block["text"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("version", STRUCTURED)
async def test_an_object_is_structured_content_and_the_same_text(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("find_place", text="Uluru")
    assert result["structuredContent"] == {"name": "Uluru", "height": 12.5}
    assert json.loads(text_of(result)) == result["structuredContent"]
    assert "isError" not in result
    assert ("resultType" in result) is (version == NEWEST)


@pytest.mark.parametrize("version", WITHOUT_STRUCTURE)
async def test_before_structured_content_an_object_is_a_text(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        assert await client.call("find_place", text="Uluru") == {
            "content": [{"type": "text", "text": '{"name":"Uluru","height":12.5}'}]
        }
        assert text_of(await client.call("list_places", text="Uluru")) == '[{"name":"Uluru","height":null}]'


@pytest.mark.parametrize("version", STRUCTURED)
async def test_what_is_no_object_is_the_member_result(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("list_places", text="Uluru")
        assert result["structuredContent"] == {"result": [{"name": "Uluru", "height": None}]}
        assert json.loads(text_of(result)) == result["structuredContent"]
        none = await client.call("maybe_place")
        assert none["structuredContent"] == {"result": None}


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_finds_that_results_fit_their_schemas(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        assert [tool.output_schema is not None for tool in (await client.list_tools()).tools[:8]] == [
            *(True, True, True, False, False, True, False, True)
        ]
        for tool, text in (("find_place", "Uluru"), ("find_place", "abyss"), ("list_places", "a"), ("maybe_place", "")):
            result = await client.call_tool(tool, {"text": text})
            assert not result.is_error
            assert json.loads(_first_text(result)) == result.structured_content


def _first_text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_text_is_a_text_and_nothing_else(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("say", text='{"looks": "like JSON"}')
        assert text_of(result) == '{"looks": "like JSON"}'
        assert "structuredContent" not in result


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_blank_text_is_said_to_be_empty_since_chats_break_at_blank_blocks(text: str):
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        assert text_of(await client.call("say", text=text)) == "(the result is an empty text)"


@pytest.mark.parametrize("version", VERSIONS)
async def test_nothing_is_said_to_be_done(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("forget")
        assert text_of(result) == "done; the result is null"
        assert "structuredContent" not in result


@pytest.mark.parametrize("era", ERAS)
async def test_a_result_against_its_schema_is_an_error_that_has_the_result(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        result = await client.call_tool("lie", {"text": "what there is"})
        assert result.is_error
        assert "does not fit its output schema: it is 13 bytes of text/plain" in _first_text(result)
        assert isinstance(result.content[1], TextContent)
        assert result.content[1].text == "what there is"


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_a_schema_structure_is_what_the_version_can_have(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        an_object, a_list = await client.call("anything", value={"a": 1}), await client.call("anything", value=[1])
    assert text_of(an_object) == '{"a":1}'
    assert text_of(a_list) == "[1]"
    assert an_object.get("structuredContent") == ({"a": 1} if version in STRUCTURED else None)
    assert a_list.get("structuredContent") == ([1] if version == NEWEST else None)


@pytest.mark.parametrize("text", ["a\u2028b\u2029c\u0085d", "\u0000\u001f\x7f", "\U0001f600", '\\ud83d "\\" \\\\u'])
@pytest.mark.parametrize("era", ERAS)
async def test_odd_characters_arrive(era: str, text: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        assert _first_text(await client.call_tool("say", {"text": text})) == text
        result = await client.call_tool("find_place", {"text": text})
        assert result.structured_content == {"name": text, "height": 12.5}
        assert json.loads(_first_text(result)) == result.structured_content


async def test_numbers_keep_their_digits_there_and_back():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        for number in (2**53 + 1, 2**63, -(10**30), 0.1, 1e300, 3.141592653589793):
            result = await client.call("as_list", value=number)
            assert result["structuredContent"] == {"result": [number]}


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("era", ERAS)
async def test_text_and_structure_say_the_same_of_any_json(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        await _any_json(client)


async def _any_json(client: Client) -> None:
    values: list[Any] = []

    @settings(max_examples=30, deadline=None, database=None)
    @given(_JSON)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    for value in values:
        result = await client.call_tool("as_list", {"value": value})
        assert not result.is_error
        assert result.structured_content == {"result": [value]}
        assert json.loads(_first_text(result)) == result.structured_content
