"""From the arguments of a call to the request of its tool."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from lambda_kit import BinaryRequest, LambdaTool, UploadedFile
from tests.core.running_tools import Ask, a_server
from tests.mcp.asking import ERAS, VERSIONS, Asker, asking, official_client
from tests.mcp.test_results import text_of


class Amount(BaseModel):
    value: Decimal = Decimal(1)


class Pay(LambdaTool):
    """Pay an amount"""

    async def run(self, req: Amount) -> str:
        return str(req.value)


class Add(LambdaTool):
    """Add numbers"""

    async def run(self, req: list[Decimal]) -> str:
        return str(sum(req))


class Names(RootModel[dict[str, int] | list[str]]):
    """Names."""


class Count(LambdaTool):
    """Count names"""

    async def run(self, req: Names) -> str:
        return f"{type(req.root).__name__} of {len(req.root)}"


class Size(LambdaTool):
    """Measure bytes"""

    async def run(self, req: bytes) -> str:
        return f"{len(req)} bytes"


class Look(LambdaTool):
    """Look at a file"""

    async def run(self, req: BinaryRequest) -> str:
        return f"{req.content!r} {req.content_type} {req.filename}"


class Form(BaseModel):
    label: str
    photo: UploadedFile


class Upload(LambdaTool):
    """Take a form"""

    async def run(self, req: Form) -> str:
        return f"{req.label}: {req.photo.read()!r} {req.photo.content_type} {req.photo.filename}"


TOOLS = (Pay, Add, Count, Size, Look, Upload)


async def said(client: Asker, tool: str, /, **arguments: Any) -> str:
    result = await client.call(tool, **arguments)
    assert "isError" not in result, result
    return text_of(result)


@pytest.mark.parametrize("version", VERSIONS)
async def test_without_arguments_defaults_hold(version: str):
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        assert text_of(await client.result("tools/call", name="pay")) == "1"
        assert await said(client, "pay") == "1"


async def test_numbers_keep_their_digits():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        for value in (2**80, 0.1):
            assert await said(client, "pay", value=value) == str(value)
            assert await said(client, "add", request=[value]) == str(value)


async def test_what_is_no_object_is_the_member_request():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        assert await said(client, "add", request=[1, 2.5]) == "3.5"
        assert await said(client, "count", request={"a": 1}) == "dict of 1"
        assert await said(client, "count", request=["a", "b"]) == "list of 2"
        for wrong in ({}, {"request": None}, {"a": 1}):
            result = await client.call("add", **wrong)
            assert result["isError"] is True
            assert "- request: " in text_of(result)


@pytest.mark.parametrize("version", VERSIONS)
async def test_files_come_in_base64(version: str):
    content = base64.b64encode(b"GIF89a").decode()
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        assert await said(client, "size", content=content) == "6 bytes"
        sent = {"content": content, "content_type": "image/gif", "filename": "a.gif"}
        assert await said(client, "look", **sent) == "b'GIF89a' image/gif a.gif"
        assert await said(client, "upload", label="mine", photo=sent) == "mine: b'GIF89a' image/gif a.gif"
        for tool, wrong in (("size", {"content": "no base64!"}), ("look", {}), ("upload", {"label": "a"})):
            result = await client.call(tool, **wrong)
            assert result["isError"] is True
            assert "- content" in text_of(result) or "- photo" in text_of(result)


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_sends_what_the_input_schema_asks_for(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:
        schemas = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
        assert set(schemas["size"]["properties"]) == {"content", "content_type", "filename"}
        assert set(schemas["add"]["properties"]) == {"request"}
        result = await client.call_tool("size", {"content": base64.b64encode(bytes(3)).decode()})
        assert json.dumps([block.model_dump()["text"] for block in result.content]) == '["3 bytes"]'


async def test_a_lone_request_is_read_as_over_http():
    async with asking(a_server(Echo, mcp=True)) as client:
        assert await said(client, "echo", text="a") == "a"


class Echo(LambdaTool):
    """Say it again"""

    async def run(self, req: Ask) -> str:
        return req.text
