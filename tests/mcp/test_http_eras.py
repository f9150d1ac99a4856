"""Streamable HTTP in both eras: versions, envelopes, routing fields and the statuses of errors (docs/wire.md, MCP)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.mcp.http_client import (
    ACCEPT,
    HTTP_SERVICE,
    INITIALIZE,
    NEW,
    OLD,
    envelope,
    error_of,
    modern_fields,
    post,
    request,
)
from tests.support.raw_http import ask
from tests.support.service_process import ServiceProcess

CALL = {"name": "echo", "arguments": {"text": "hi"}}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with (
        ServiceProcess(HTTP_SERVICE, ["--with-mcp"]) as service,
        httpx.Client(base_url=service.url, timeout=30) as http,
    ):
        yield http


def modern(
    client: httpx.Client, method: str, params: dict[str, Any] | None = None, **fields: str | None
) -> httpx.Response:
    """A request of 2026-07-28; a field that is None is left out."""
    name = (params or {}).get("name")
    changed = {key.replace("_", "-"): value for key, value in fields.items()}
    sent = {**modern_fields(method, name), **changed}
    message = request(method, {**(params or {}), "_meta": envelope()})
    return post(client, message, {key: value for key, value in sent.items() if value is not None})


# --- before 2026-07-28 ---


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", OLD])
def test_initialize_agrees_on_each_version_with_sessions(client: httpx.Client, version: str) -> None:
    answer = post(client, request("initialize", {**INITIALIZE, "protocolVersion": version}))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    result = answer.json()["result"]
    assert result["protocolVersion"] == version
    assert result["serverInfo"] == {
        "name": "http",
        "version": "3.2.1",
        "description": "For tests",
        "websiteUrl": "https://example.com/",
    }
    assert result["instructions"] == "Say little."
    assert result["capabilities"]["tools"] == {}
    assert "extensions" not in result["capabilities"]
    assert "resultType" not in result


@pytest.mark.parametrize("version", ["1999-01-01", NEW, "x"])
def test_initialize_offers_its_newest_version_in_place_of_others(client: httpx.Client, version: str) -> None:
    answer = post(client, request("initialize", {**INITIALIZE, "protocolVersion": version}))
    assert answer.json()["result"]["protocolVersion"] == OLD


def test_each_initialize_gets_a_session_of_its_own_and_nothing_else_does(client: httpx.Client) -> None:
    sessions = {post(client, request("initialize", INITIALIZE)).headers["mcp-session-id"] for _ in range(3)}
    assert len(sessions) == 3
    assert all(re.fullmatch(r"[\x21-\x7e]{32,}", session) for session in sessions)
    for method in ("ping", "tools/list"):
        fields = {**ACCEPT, "mcp-session-id": sessions.copy().pop()}
        assert "mcp-session-id" not in post(client, request(method), fields).headers


@pytest.mark.parametrize("session", [None, "4a5e7c92-6f1c-4a02-bb0c-6f6d2a5e9c11", "not ours", "\xff"])
def test_a_session_is_not_needed_and_none_is_refused(client: httpx.Client, session: str | None) -> None:
    fields: Any = {**ACCEPT} if session is None else {**ACCEPT, "mcp-session-id": session.encode("latin-1")}
    assert post(client, request("tools/call", CALL), fields).json()["result"]["content"][0]["text"] == '{"text":"hi"}'


def test_a_version_that_is_served_is_answered_and_none_counts_as_2025_03_26(client: httpx.Client) -> None:
    new = post(client, request("tools/list"), {**ACCEPT, "mcp-protocol-version": OLD}).json()["result"]["tools"]
    unsaid = post(client, request("tools/list")).json()["result"]["tools"]
    assert "outputSchema" in new[0]
    assert "outputSchema" not in unsaid[0]


@pytest.mark.parametrize("version", ["1999-01-01", "2025-11-26", "latest", "2026-07-28 x"])
def test_a_version_that_nobody_knows_is_refused(client: httpx.Client, version: str) -> None:
    fields = {**ACCEPT, "mcp-protocol-version": version}
    answer = post(client, request("tools/list"), fields)
    assert error_of(answer) == (400, -32022, 1)
    assert answer.json()["error"]["data"] == {"supported": [NEW], "requested": version}
    notification = post(client, {"jsonrpc": "2.0", "method": "notifications/initialized"}, fields)
    assert error_of(notification) == (400, -32022, None)


def test_ping_is_answered(client: httpx.Client) -> None:
    assert post(client, request("ping")).json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (request("nope"), -32601),
        (request("server/discover"), -32601),
        (request("tasks/get", {"taskId": "x"}), -32601),
        (request("tools/call", {"name": "nope", "arguments": {}}), -32602),
        (request("tools/call", {"arguments": {}}), -32602),
        (request("tools/call", {"name": 1}), -32602),
        (request("tools/call", {"name": "echo", "arguments": [1]}), -32602),
        (request("initialize", {"protocolVersion": OLD}), -32602),
    ],
)
def test_errors_are_answered_with_200_since_404_would_mean_that_the_session_has_ended(
    client: httpx.Client, message: dict[str, Any], code: int
) -> None:
    assert error_of(post(client, message)) == (200, code, 1)


# --- 2026-07-28 ---


def test_discover_says_what_there_is(client: httpx.Client) -> None:
    answer = modern(client, "server/discover")
    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers
    result = answer.json()["result"]
    assert (result["resultType"], result["supportedVersions"], result["cacheScope"]) == ("complete", [NEW], "public")
    assert result["ttlMs"] >= 0
    assert result["capabilities"]["tools"] == {}
    assert set(result["capabilities"]["extensions"]) == {"io.modelcontextprotocol/tasks"}
    assert result["instructions"] == "Say little."
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["description"] == "For tests"


@pytest.mark.parametrize(
    ("method", "params"), [("tools/list", {}), ("tools/call", CALL), ("resources/list", {}), ("server/discover", {})]
)
def test_every_result_has_its_type_and_who_made_it(client: httpx.Client, method: str, params: dict[str, Any]) -> None:
    result = modern(client, method, params).json()["result"]
    assert result["resultType"] == "complete"
    made_by = result["_meta"]["io.modelcontextprotocol/serverInfo"]
    assert (made_by["name"], made_by["version"]) == ("http", "3.2.1")


@pytest.mark.parametrize(
    "method", ["nope", "initialize", "ping", "logging/setLevel", "resources/subscribe", "x" * 9000]
)
def test_methods_that_this_version_lacks_are_not_found(client: httpx.Client, method: str) -> None:
    assert error_of(modern(client, method)) == (404, -32601, 1)


def test_an_unknown_tool_is_a_bad_request(client: httpx.Client) -> None:
    assert error_of(modern(client, "tools/call", {"name": "nope"})) == (400, -32602, 1)


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        (None, -32602),
        (1, -32602),
        ({}, -32602),
        ({"io.modelcontextprotocol/protocolVersion": NEW}, -32602),
        ({"io.modelcontextprotocol/clientCapabilities": {}}, -32602),
        (envelope(OLD), -32020),
        (envelope("2099-01-01"), -32020),
        (envelope(None), -32020),
        ({**envelope(), "io.modelcontextprotocol/clientCapabilities": 1}, -32602),
        ({**envelope(), "progressToken": [1]}, -32602),
        ({**envelope(), "progressToken": True}, -32602),
        ({**envelope(), "progressToken": 1.5}, -32602),
    ],
)
def test_a_request_without_its_envelope_is_a_bad_request(client: httpx.Client, meta: object, code: int) -> None:
    params = CALL if meta is None else {**CALL, "_meta": meta}
    answer = post(client, request("tools/call", params), modern_fields("tools/call", "echo"))
    assert error_of(answer) == (400, code, 1)


def test_a_version_to_come_is_refused_with_those_that_are_served(client: httpx.Client) -> None:
    message = request("tools/list", {"_meta": envelope("2099-01-01")})
    answer = post(client, message, modern_fields("tools/list", version="2099-01-01"))
    assert error_of(answer) == (400, -32022, 1)
    assert answer.json()["error"]["data"] == {"supported": [NEW], "requested": "2099-01-01"}


@pytest.mark.parametrize(
    "fields",
    [
        {"mcp_protocol_version": None},
        {"mcp_protocol_version": OLD},
        {"mcp_method": None},
        {"mcp_method": "tools/list"},
        {"mcp_name": None},
        {"mcp_name": "route"},
        {"mcp_name": "=?base64?nonsense?="},
    ],
)
def test_routing_fields_that_do_not_fit_the_body_are_refused(client: httpx.Client, fields: dict[str, Any]) -> None:
    answer = modern(client, "tools/call", CALL, **fields)
    if fields == {"mcp_protocol_version": OLD}:  # the field alone decides the era
        assert answer.status_code == 200
    else:
        assert error_of(answer) == (400, -32020, 1)


@pytest.mark.parametrize("name", ["echo", "echo ", "\techo \t", "=?base64?ZWNobw==?=", "=?base64?ZWNobw==?= "])
def test_blanks_around_a_name_do_not_matter_and_encoded_ones_are_decoded(client: httpx.Client, name: str) -> None:
    body = json.dumps(request("tools/call", {**CALL, "_meta": envelope()}))
    fields = {**modern_fields("tools/call", name), "host": "127.0.0.1", "content-length": str(len(body))}
    head = "".join(f"{field}: {value}\r\n" for field, value in fields.items())
    answer = ask(client.base_url.port or 0, [f"POST /mcp HTTP/1.1\r\n{head}\r\n{body}".encode()])
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("field", ["mcp-protocol-version", "mcp-method", "mcp-name"])
def test_a_routing_field_that_comes_twice_is_refused(client: httpx.Client, field: str) -> None:
    fields = modern_fields("tools/call", "echo")
    twice = [*fields.items(), (field, fields[field]), ("content-type", "application/json")]
    answer = client.post("/mcp", json=request("tools/call", {**CALL, "_meta": envelope()}), headers=twice)
    assert error_of(answer) == (400, -32020, 1)


@pytest.mark.parametrize(
    ("arguments", "fields", "status"),
    [
        ({"region": "eu"}, {"mcp-param-region": "eu"}, 200),
        ({"region": "ü"}, {"mcp-param-region": "=?base64?w7w=?="}, 200),
        ({"region": "eu", "count": 3}, {"mcp-param-region": "eu", "mcp-param-count": "3"}, 200),
        ({"region": "eu", "count": None}, {"mcp-param-region": "eu"}, 200),
        ({"region": "eu"}, {}, 400),
        ({"region": "eu"}, {"mcp-param-region": "us"}, 400),
        ({"region": "eu"}, {"mcp-param-region": "eu", "mcp-param-count": "3"}, 400),
        ({"region": "eu", "count": 3}, {"mcp-param-region": "eu"}, 400),
        ({}, {"mcp-param-region": "eu"}, 400),
    ],
)
def test_fields_that_repeat_arguments_have_to_fit_them(
    client: httpx.Client, arguments: dict[str, Any], fields: dict[str, str], status: int
) -> None:
    message = request("tools/call", {"name": "route", "arguments": arguments, "_meta": envelope()})
    answer = post(client, message, {**modern_fields("tools/call", "route"), **fields})
    assert answer.status_code == status
    if status == 400:
        assert error_of(answer) == (400, -32020, 1)


def test_a_session_means_nothing(client: httpx.Client) -> None:
    answer = modern(client, "tools/call", CALL, mcp_session_id="4a5e7c92-6f1c-4a02-bb0c-6f6d2a5e9c11")
    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers


def test_arguments_that_do_not_fit_are_told_to_the_agent(client: httpx.Client) -> None:
    result = modern(client, "tools/call", {"name": "echo", "arguments": {"text": 7}}).json()["result"]
    assert result["isError"] is True
    assert "text" in result["content"][0]["text"]


# --- both ---


@pytest.mark.parametrize("fields", [ACCEPT, {**ACCEPT, "mcp-protocol-version": OLD}, modern_fields("x")])
@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/cancelled", "notifications/nope", "x"])
def test_notifications_are_accepted(client: httpx.Client, fields: dict[str, str], method: str) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": {"requestId": 5}}
    answer = post(client, message, fields)
    assert (answer.status_code, answer.content) == (202, b"")


def test_a_response_is_accepted_where_servers_may_ask_clients(client: httpx.Client) -> None:
    for message in ({"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "id": 1, "error": {"code": 1}}):
        assert post(client, message).status_code == 202
        assert error_of(post(client, message, modern_fields("x"))) == (400, -32600, None)


def test_every_answer_has_the_version_field_and_may_not_be_kept(client: httpx.Client) -> None:
    for answer in (
        post(client, request("ping")),
        post(client, {"jsonrpc": "2.0", "method": "x"}),
        post(client, b"{"),
        modern(client, "nope"),
        client.get("/mcp"),
        client.delete("/mcp"),
    ):
        assert "ivcap-ai-tool-version" in answer.headers
        assert answer.headers["cache-control"] == "no-store"
