"""docs/mcp.md, Results: the result of a job as a resource."""

import asyncio
import base64
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from lambda_kit import BinaryResult, LambdaTool, ToolOptions, ToolServer
from lambda_kit.spi import Payload
from tests.callers.principals import Tokens, sent_by
from tests.core.running_tools import Ask, a_server
from tests.mcp.asking import ERAS, NEWEST, VERSIONS, Asker, asking, official_client

NOWHERE = "urn:ivcap:job:00000000-0000-4000-8000-000000000000"


class Say(LambdaTool):
    """Say it again"""

    async def run(self, req: Ask) -> str:
        if not req.text:
            raise ValueError("nothing to say")
        return req.text


class Wait(LambdaTool):
    """Wait for ever"""

    async def run(self, req: Ask) -> str:
        await asyncio.Event().wait()
        return ""


class Hidden(LambdaTool):
    """Not for agents"""

    options = ToolOptions(mcp=False)

    async def run(self, req: Ask) -> str:
        return req.text


async def a_job(server: ToolServer, tool: str, text: str = "a", *, is_awaited: bool = True) -> str:
    """The URN of a job, made by the service itself."""
    body = Payload(Ask(text=text).model_dump_json().encode(), "application/json")
    found = await server.jobs.submit_and_wait(tool, body, wait_seconds=20.0 if is_awaited else 0.0)
    return found.job.urn


def is_unknown(client: Asker, error: dict[str, Any], uri: str) -> bool:
    code = -32602 if client.version == NEWEST else -32002
    return bool(error["code"] == code and error["data"] == {"uri": uri} and error["message"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_result_is_read_by_its_urn(version: str):
    server = a_server(Say, mcp=True)
    async with asking(server, version) as client:
        for uri in (urn := await a_job(server, "say", "höh"), urn.replace("urn:ivcap", "URN:IVCAP")):
            result = await client.result("resources/read", uri=uri)
            assert result["contents"] == [{"uri": uri, "mimeType": "text/plain", "text": "höh"}]
            if version == NEWEST:
                assert result["cacheScope"] == "private"
                assert result["ttlMs"] >= 0
                assert result["resultType"] == "complete"
            else:
                assert set(result) == {"contents"}


LARGE = {
    "ascii": ("text/plain", b'a "line"\n' * 200_000),
    "a character at each edge": ("text/plain; charset=utf-8", ("ü\u2028\U0001f600" * 250_000).encode()),
    "utf-16": ("text/csv; charset=utf-16", ("ü\U0001f600" * 250_000).encode("utf-16")),
    "a text that is none at its end": ("text/plain; charset=utf-8", b"a" * 2**21 + b"\xff"),
    "a text that is cut": ("text/plain; charset=utf-8", b"a" * 2**21 + "ü".encode()[:1]),
    "a file": ("application/octet-stream", bytes(range(256)) * 5_000),
}


class Give(LambdaTool):
    """Give something large"""

    async def run(self, req: Ask) -> BinaryResult:
        content_type, content = LARGE[req.text]
        return BinaryResult(content_type=content_type, content=content)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_large_one_arrives_whole(version: str, accept: str):
    server = a_server(Give, mcp=True)
    async with asking(server, version) as client:
        for name, (content_type, content) in LARGE.items():
            uri = await a_job(server, "give", name)
            result = await client.result("resources/read", {"accept": accept}, uri=uri)
            [held] = result["contents"]
            if "none" in name or "cut" in name or "file" in name:
                assert base64.b64decode(held["blob"]) == content
                assert held["mimeType"] == content_type
            else:
                assert held["text"] == content.decode(content_type.partition("charset=")[2] or "utf-8")
            assert ("cacheScope" in result) is (version == NEWEST)


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_no_result_of_a_job_is_an_error_and_never_empty(version: str):
    server = a_server(Say, Wait, Hidden, mcp=True)
    async with asking(server, version) as client:
        running = await a_job(server, "wait", is_awaited=False)
        uris = {
            NOWHERE: "can't be found",
            running: "has not ended",
            await a_job(server, "say", ""): "nothing to say",
            await a_job(server, "hidden"): "can't be found",
            NOWHERE.rpartition(":")[2]: "such as urn:ivcap:job:",
            "file:///etc/passwd": "such as urn:ivcap:job:",
            "urn:ivcap:job:../a": "such as urn:ivcap:job:",
        }
        for uri, why in uris.items():
            error = await client.error("resources/read", uri=uri)
            assert is_unknown(client, error, uri), error
            assert why in error["message"]
        await server.jobs.cancel(running.rpartition(":")[2])


@pytest.mark.parametrize("version", VERSIONS)
async def test_another_principals_result_does_not_exist(version: str):
    async with asking(a_server(Say, mcp=True, authenticator=Tokens(), job_list=True), version) as client:
        ann, bob = sent_by("ann"), sent_by("bob")
        await client.result("tools/call", ann, name="say", arguments={"text": "of Ann"})
        listed = await client._http.get("/jobs", headers=ann)
        [job] = listed.json()["items"]
        assert (await client.result("resources/read", ann, uri=job["id"]))["contents"][0]["text"] == "of Ann"
        error = await client.error("resources/read", bob, uri=job["id"])
        unknown = await client.error("resources/read", bob, uri=NOWHERE)
        assert is_unknown(client, error, job["id"])
        bare = job["id"].rpartition(":")[2]
        assert error["message"].replace(bare, "") == unknown["message"].replace(NOWHERE.rpartition(":")[2], "")


@pytest.mark.parametrize("version", VERSIONS)
async def test_no_results_are_listed_but_a_template_is(version: str):
    server = a_server(Say, mcp=True)
    async with asking(server, version) as client:
        await a_job(server, "say")
        assert (await client.result("resources/list"))["resources"] == []
        [template] = (await client.result("resources/templates/list"))["resourceTemplates"]
        assert template["uriTemplate"] == "urn:ivcap:job:{job_id}"
        if version == NEWEST:
            assert (await client.result("server/discover"))["capabilities"]["resources"] == {}


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_reads_results(era: str):
    server = a_server(Say, mcp=True)
    async with official_client(server, era) as client:
        if era == "legacy":
            assert client.server_capabilities.resources is not None
        assert (await client.list_resources()).resources == []
        assert len((await client.list_resource_templates()).resource_templates) == 1
        urn = await a_job(server, "say", "hello")
        assert (await client.read_resource(urn)).contents[0].text == "hello"  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="can't be found"):
            await client.read_resource(NOWHERE)
