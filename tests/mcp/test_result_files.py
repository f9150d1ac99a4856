"""docs/mcp.md, Results: files, which are shown by their type."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from mcp_types import AudioContent, BlobResourceContents, EmbeddedResource, ImageContent, TextResourceContents
from pydantic import BaseModel

from lambda_kit import BinaryResult, LambdaTool
from tests.core.running_tools import Ask, a_server
from tests.mcp.asking import ERAS, NEWEST, VERSIONS, asking, official_client

PNG = b"\x89PNG\r\n\x1a\n and so on"
JPEG = b"\xff\xd8\xff\xe0 and so on"
GIF = b"GIF89a and so on"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 and so on"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><text>h\xc3\xb6h\xe2\x80\xa8</text></svg>'


class FileRequest(BaseModel):
    content_type: str
    content: str
    """In base64."""


class MakeFile(LambdaTool):
    """Make a file"""

    async def run(self, req: FileRequest) -> BinaryResult:
        return BinaryResult(content_type=req.content_type, content=base64.b64decode(req.content))


class ReadFile(LambdaTool):
    """Open a file, which is read by the server"""

    def run(self, req: Ask) -> BinaryResult:
        return BinaryResult(content_type="application/zip", content=Path(req.text).open("rb"))


class MakeBytes(LambdaTool):
    """Make bytes"""

    async def run(self, req: Ask) -> bytes:
        return req.text.encode()


class MaybeFile(LambdaTool):
    """Make a file, or say why not"""

    async def run(self, req: Ask) -> BinaryResult | str:
        return req.text or BinaryResult(content_type="image/png", content=PNG)


TOOLS = (MakeFile, ReadFile, MakeBytes, MaybeFile)


def the_file(content_type: str, content: bytes) -> dict[str, str]:
    return {"content_type": content_type, "content": base64.b64encode(content).decode()}


async def the_block(version: str, content_type: str, content: bytes) -> dict[str, Any]:
    """The block of content that a file becomes. There is nothing else in the result."""
    async with asking(a_server(*TOOLS, mcp=True), version) as client:
        result = await client.call("make_file", **the_file(content_type, content))
    assert set(result) <= {"content", "resultType", "_meta"}
    [block] = result["content"]
    assert isinstance(block, dict)
    return block


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("content_type", "content"),
    [("image/png", PNG), ("IMAGE/JPEG; q=1", JPEG), ("image/gif", GIF), ("image/webp", WEBP), ("image/png", b"odd")],
)
async def test_an_image_that_model_providers_take_is_an_image(version: str, content_type: str, content: bytes):
    block = await the_block(version, content_type, content)
    essence = content_type.partition(";")[0].lower()
    assert block == {"type": "image", "data": base64.b64encode(content).decode(), "mimeType": essence}


@pytest.mark.parametrize(
    ("said", "content", "true"), [("image/jpeg", PNG, "image/png"), ("image/bmp", GIF, "image/gif")]
)
async def test_an_image_of_another_type_than_said_has_its_own_since_chats_break_else(
    said: str, content: bytes, true: str
):
    assert (await the_block(NEWEST, said, content))["mimeType"] == true


@pytest.mark.parametrize("version", VERSIONS)
async def test_svg_is_a_text_and_other_images_are_files_since_chats_break_at_them(version: str):
    block = await the_block(version, "image/svg+xml", SVG)
    assert block["type"] == "resource"
    assert block["resource"]["mimeType"] == "image/svg+xml"
    assert block["resource"]["text"] == SVG.decode()
    block = await the_block(version, "image/tiff", b"II*\0")
    assert block["type"] == "resource"
    assert base64.b64decode(block["resource"]["blob"]) == b"II*\0"


@pytest.mark.parametrize("version", VERSIONS)
async def test_audio_is_audio_and_a_file_before_there_was_audio(version: str):
    block = await the_block(version, "audio/wav", b"RIFF....WAVE")
    data = base64.b64encode(b"RIFF....WAVE").decode()
    if version == "2024-11-05":
        assert block["type"] == "resource"
        assert block["resource"]["mimeType"] == "audio/wav"
        assert block["resource"]["blob"] == data
    else:
        assert block == {"type": "audio", "data": data, "mimeType": "audio/wav"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "content_type",
    ["text/csv", "text/html; charset=UTF-8", "application/geo+json", "application/xml", "application/yaml"],
)
async def test_what_is_text_by_its_type_is_a_resource_with_text(version: str, content_type: str):
    block = await the_block(version, content_type, "Höhe,1\n".encode())
    uri = block["resource"].pop("uri")
    assert uri.startswith("urn:ivcap:job:")
    assert block == {"type": "resource", "resource": {"mimeType": content_type.partition(";")[0], "text": "Höhe,1\n"}}


async def test_plain_text_is_a_text_in_whatever_charset():
    for charset in ("utf-8", "iso-8859-1", "UTF-16"):
        block = await the_block(NEWEST, f"text/plain; charset={charset}", "Höhe".encode(charset))
        assert block == {"type": "text", "text": "Höhe"}


@pytest.mark.parametrize("content_type", ["text/plain", "text/csv", "text/plain; charset=klingon"])
async def test_a_text_that_can_not_be_read_is_a_file(content_type: str):
    block = await the_block(NEWEST, content_type, b"H\xf6he")
    assert block["resource"]["mimeType"] == content_type
    assert base64.b64decode(block["resource"]["blob"]) == b"H\xf6he"


async def test_json_in_a_file_is_json_and_what_only_says_so_is_a_text():
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        result = await client.call("make_file", **the_file("application/json", b'{"a": [1.50]}'))
        assert result["content"] == [{"type": "text", "text": '{"a": [1.50]}'}]
        assert result["structuredContent"] == {"a": [1.5]}
        whole_pair = json.dumps({"a": "\U0001f600"}).encode()  # as most programs write it
        result = await client.call("make_file", **the_file("application/json", whole_pair))
        assert result["structuredContent"] == {"a": "\U0001f600"}
        for odd in (b'{"a": NaN}', b'{"a"', b'{"a": "\\ud800"}', b"[" * 5000):
            result = await client.call("make_file", **the_file("application/json", odd))
            assert "structuredContent" not in result
            assert result["content"][0]["resource"]["text"] == odd.decode()
        result = await client.call("make_file", **the_file("application/json", b'"\xff"'))
        assert base64.b64decode(result["content"][0]["resource"]["blob"]) == b'"\xff"'


async def test_an_empty_file_is_said_to_be_empty():
    block = await the_block(NEWEST, "image/png", b"")
    assert block == {"type": "text", "text": "(the result is an empty file of the type image/png)"}


async def test_bytes_and_open_files_are_files(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(b"PK\3\4")
    async with asking(a_server(*TOOLS, mcp=True)) as client:
        [block] = (await client.call("make_bytes", text="abc"))["content"]
        assert block["resource"]["mimeType"] == "application/octet-stream"
        assert base64.b64decode(block["resource"]["blob"]) == b"abc"
        [block] = (await client.call("read_file", text=str(tmp_path / "a.zip")))["content"]
        assert block["resource"]["mimeType"] == "application/zip"
        assert base64.b64decode(block["resource"]["blob"]) == b"PK\3\4"


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_takes_each_kind(era: str):
    async with official_client(a_server(*TOOLS, mcp=True), era) as client:

        async def made(content_type: str, content: bytes) -> Any:
            result = await client.call_tool("make_file", the_file(content_type, content))
            assert not result.is_error
            return result.content[0]

        image = await made("image/png", PNG)
        assert isinstance(image, ImageContent)
        assert base64.b64decode(image.data) == PNG
        audio = await made("audio/mpeg", b"ID3")
        assert isinstance(audio, AudioContent)
        assert audio.mime_type == "audio/mpeg"
        drawing = await made("image/svg+xml", SVG)
        assert isinstance(drawing, EmbeddedResource)
        assert isinstance(drawing.resource, TextResourceContents)
        assert drawing.resource.text == SVG.decode()
        archive = await made("application/zip", b"PK\3\4")
        assert isinstance(archive, EmbeddedResource)
        assert isinstance(archive.resource, BlobResourceContents)
        assert base64.b64decode(archive.resource.blob) == b"PK\3\4"
        said = await client.call_tool("maybe_file", {"text": "no file today"})
        assert said.content[0].type == "text"
