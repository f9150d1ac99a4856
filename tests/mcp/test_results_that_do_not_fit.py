"""docs/mcp.md, Results: a result that does not fit its own output schema. Clients would drop it; no agent loses it."""

import json
import logging
from typing import Annotated, Literal

import httpx
import msgspec
import pytest
from mcp_types import TextContent
from pydantic import BaseModel, ConfigDict, Field

from lambda_kit import LambdaTool, McpOptions
from tests.core.running_tools import Ask, a_server
from tests.mcp.asking import ERAS, NEWEST, URL, VERSIONS, asking, official_client

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

STRUCTURED = [version for version in VERSIONS if version >= "2025-06-18"]


class Point(BaseModel):
    x: int
    names: list[str] = []


class Count(BaseModel):
    number: Annotated[int, Field(ge=0, le=9)]
    kind: Literal["a", "b"] = "a"
    code: Annotated[str, Field(pattern="^[a-z]+$", max_length=3)] = "abc"
    at: tuple[int, str] | None = None
    point: Point | None = None
    either: Point | int | None = None


class Grain(msgspec.Struct):
    size: float
    label: str | None = None


class CountThings(LambdaTool):
    """Count"""

    async def run(self, req: Ask) -> Count:
        given = json.loads(req.text)
        if isinstance(given.get("point"), dict):
            given["point"] = Point.model_construct(**given["point"])
        return Count.model_construct(**{"number": 1, **given})


class Tally(LambdaTool):
    """Return a dict"""

    async def run(self, req: Ask) -> dict[str, int]:
        return json.loads(req.text)  # type: ignore[no-any-return]


class Numbers(LambdaTool):
    """Return a list"""

    async def run(self, req: Ask) -> list[float]:
        return json.loads(req.text)  # type: ignore[no-any-return]


class Mill(LambdaTool):
    """Return a Struct"""

    async def run(self, req: Ask) -> Grain:
        return Grain(**json.loads(req.text))


class Odd(BaseModel):
    """With a schema of its author's own, of which parts are none."""

    model_config = ConfigDict(
        json_schema_extra={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": {
                "a": {"type": "integer"},
                'odd "name"': {"type": "string"},
                "none": {"anyOf": []},
                "kind": {"type": {"no": "type"}},
                "least": {"type": "integer", "minimum": "one"},
                "unreadable": {"type": "string", "pattern": "("},
                "empty": {"enum": []},
                "first": {"type": "array", "prefixItems": 3},
                "not": False,
            },
        }
    )
    a: int = 0


class OddSchema(LambdaTool):
    """Return what its schema can't describe"""

    async def run(self, req: Ask) -> Odd:
        return Odd.model_construct(a=req.text or 1)  # type: ignore[arg-type]


TOOLS = (CountThings, Tally, Numbers, Mill)

MISFITS = [
    ("count_things", {"number": "many"}, "$.number: 'many' is not of type 'integer'"),
    ("count_things", {"number": 10}, "$.number: 10 is greater than the maximum of 9"),
    ("tally", {"a": True}, "$.a: True is not of type 'integer'"),
    ("count_things", {"kind": "c"}, "$.kind: 'c' is not one of ['a', 'b']"),
    ("count_things", {"code": "A"}, "$.code: 'A' does not match '^[a-z]+$'"),
    ("count_things", {"code": "abcd"}, "$.code: 'abcd' is too long"),
    ("count_things", {"at": [1, 2]}, "$.at[1]: 2 is not of type 'string'"),
    ("count_things", {"point": {"x": 1, "names": [None]}}, "$.point.names[0]: None is not of type 'string'"),
    ("tally", {"a": 1, "b": "two"}, "$.b: 'two' is not of type 'integer'"),
    ("numbers", [1, 2.5, "x"], "$.result[2]: 'x' is not"),
    ("mill", {"size": "fine"}, "$.size: 'fine' is not"),
    ("mill", {"size": 1, "label": ["a"]}, "$.label: ['a'] is not"),
]
FITS = [
    ("count_things", {"number": 9, "more": "of a subclass"}),
    ("count_things", {"number": 1.0}),  # for JSON Schema a whole number
    ("count_things", {"at": [1, "b"], "point": {"x": 1}, "either": {"x": 2}}),
    ("count_things", {"either": 3, "point": None}),
    ("tally", {"a": 2**70}),
    ("tally", {}),
    ("numbers", [1, 2.5, None, 10**400]),
    ("mill", {"size": 1}),
]


@pytest.mark.parametrize("era", ERAS)
async def test_the_agent_gets_it_as_a_text_and_is_told_what_does_not_fit(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        for tool, value, fault in MISFITS:
            result = await client.call_tool(tool, {"text": json.dumps(value)})
            assert result.is_error, fault
            said, shown = (block.text for block in result.content if isinstance(block, TextContent))
            assert "the tool has succeeded, but its result does not fit its output schema: " + fault in said
            data = json.loads(shown)
            assert {**data, **value} == data if isinstance(value, dict) else data == {"result": value}


@pytest.mark.parametrize("era", ERAS)
async def test_what_fits_is_structured_content(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        for tool, value in FITS:
            result = await client.call_tool(tool, {"text": json.dumps(value)})
            assert not result.is_error, value
            [block] = result.content
            assert isinstance(block, TextContent)
            assert json.loads(block.text) == result.structured_content


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_version_without_structured_content_has_the_text_alone(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("tally", text='{"b": "two"}')
    assert result.get("isError", False) is (version in STRUCTURED)
    assert "structuredContent" not in result
    assert json.loads(result["content"][-1]["text"]) == {"b": "two"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_job_result_says_the_same(version: str):
    server = a_server(*TOOLS, mcp=True)
    async with (
        asking(server, version) as client,
        httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url=URL) as http,
    ):
        await http.post("/tally", json={"text": '{"b": "two"}'}, headers={"job-id": "one"})
        assert await client.call("job_result", job_id="one") == await client.call("tally", text='{"b": "two"}')


async def test_a_schema_that_nobody_can_read_keeps_no_result_back():
    async with asking(a_server(OddSchema, mcp=True)) as client:
        assert (await client.call("odd_schema"))["structuredContent"] == {"a": 1}
        assert "a" in (await client.call("odd_schema", text="one"))["content"][0]["text"]


async def test_the_log_says_it_once(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "lambda_kit.mcp")
    async with asking(a_server(*TOOLS, mcp=True), NEWEST) as client:
        for _ in range(3):
            await client.call("tally", text='{"b": "two"}')
    [record] = [record for record in caplog.records if record.name == "lambda_kit.mcp"]
    assert "tool 'tally'" in record.getMessage()
    assert "$.b: type: integer" in record.getMessage()
    assert "two" not in record.getMessage()  # what a tool returns is nothing for a log


async def test_a_large_one_is_a_preview_with_its_link():
    async with asking(a_server(*TOOLS, mcp=McpOptions(max_result_bytes=1024))) as client:
        result = await client.call("tally", text=json.dumps({"a" * 2000: "x"}))
    said, preview, link = result["content"]
    assert "does not fit" in said["text"]
    assert "too large" in preview["text"]
    assert len(said["text"]) < 1024
    assert link["type"] == "resource_link"
