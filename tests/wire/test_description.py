"""docs/wire.md, GET {path}: the tool description."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
KEYS = ["$schema", "id", "name", "service-id", "description", "fn_signature", "fn_schema"]
ALL_TOOLS = [
    "/greet",
    "/many/things",
    "/",
    "/echo",
    "/echo-async",
    "/struct-tool",
    "/data-tool",
    "/who-asks",
    "/hold",
    "/stepwise",
]


def golden(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / f"tool-description.{name}.json").read_text())
    return content


def description(client: httpx.Client, path: str, headers: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    content: dict[str, Any] = answer.json()
    return content


@pytest.mark.parametrize(("path", "name"), [("/greet", "greet"), ("/many/things", "list_things")])
def test_the_description_is_the_golden_one_to_the_letter(client, path, name):
    content = description(client, path)
    if path == "/greet":
        assert content["service-id"] == str(client.base_url).rstrip("/") + "/greet"
        content["service-id"] = "#SERVICE_ID#"
    assert json.dumps(content) == json.dumps(golden(name))  # the order of the keys counts


@pytest.mark.parametrize("path", ALL_TOOLS)
def test_every_tool_has_a_description_with_the_keys_in_order(client, path):
    content = description(client, path)
    assert list(content) == KEYS
    assert content["$schema"] == "urn:sd-core:schema.ai-tool.1"
    assert content["id"] == f"urn:sd-core:ai-tool.{content['name']}"
    assert content["fn_signature"].startswith(content["name"] + "(")


@pytest.mark.parametrize("path", ALL_TOOLS)
def test_what_the_framework_passes_is_not_in_the_description(client, path):
    text = json.dumps(description(client, path))
    for injected in ("JobContext", "RequestInfo", "ctx", "job_id", "info:"):
        assert injected not in text


@pytest.mark.parametrize("path", ["/echo", "/struct-tool", "/data-tool"])
def test_pydantic_msgspec_and_dataclass_requests_have_the_same_form(client, path):
    content = description(client, path)
    schema = content["fn_schema"]
    assert schema["type"] == "object"
    assert schema["required"] == ["text"]
    assert schema["properties"]["text"]["type"] == "string"
    assert (schema["properties"]["count"]["type"], schema["properties"]["count"]["default"]) == ("integer", 1)
    assert content["fn_signature"].startswith(f"{content['name']}(text: str, count: Optional[int]")
    assert "text: str" in content["description"]


def test_a_schema_urn_is_in_the_schema_of_the_request(client):
    for path, urn in (
        ("/echo", "urn:example:schema:echo.request.1"),
        ("/struct-tool", "urn:example:schema:struct.request.1"),
    ):
        assert description(client, path)["fn_schema"]["properties"]["$schema"]["default"] == urn


FORWARDED: list[tuple[list[tuple[str, str]], str]] = [
    ([("Forwarded", "proto=https;host=api.example.com")], "https://api.example.com"),
    ([("Forwarded", "for=192.0.2.60;proto=https;host=api.example.com;by=203.0.113.43")], "https://api.example.com"),
    (
        [("Forwarded", 'for="[2001:db8::1]:47011";Proto=HTTPS;Host="api.example.com:8443"')],
        "https://api.example.com:8443",
    ),
    ([("Forwarded", "proto=http;host=first.example, proto=https;host=second.example")], "https://second.example"),
    ([("Forwarded", "proto=https;host=first.example"), ("Forwarded", "host=second.example")], "http://second.example"),
    ([("Forwarded", "for=1.2.3.4;host=api.example.com")], "http://api.example.com"),
    ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.example.com")], "https://api.example.com"),
    (
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.example.com"), ("X-Forwarded-Prefix", "/tools/v1")],
        "https://api.example.com/tools/v1",
    ),
    ([("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "a.example, b.example")], "https://b.example"),
    (
        [
            ("Forwarded", "proto=https;host=right.example"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", "wrong.example"),
        ],
        "https://right.example",
    ),
    ([("Host", "asked.example:1234")], "http://asked.example:1234"),
]


@pytest.mark.parametrize(("headers", "public"), FORWARDED)
def test_the_service_id_has_the_public_url(client, headers, public):
    assert description(client, "/greet", headers)["service-id"] == f"{public}/greet"


@pytest.mark.parametrize(
    "headers",
    [
        [("Forwarded", "for=192.0.2.60")],
        [("Forwarded", ";;;")],
        [("Forwarded", 'proto="https')],
        [("Forwarded", 'proto=javascript;host="a b<script>"')],
        [("X-Forwarded-Proto", "ftp://evil"), ("X-Forwarded-Host", "evil/path?x=<y>")],
    ],
)
def test_what_is_no_public_url_is_passed_over(client, headers):
    assert description(client, "/greet", headers)["service-id"] == str(client.base_url).rstrip("/") + "/greet"


def test_without_the_option_the_service_id_comes_from_the_environment(client, client_with_options):
    headers = [("Forwarded", "proto=https;host=api.example.com")]
    assert description(client, "/echo", headers)["service-id"] == "#SERVICE_ID#"
    assert description(client_with_options, "/echo", headers)["service-id"] == "urn:ivcap:service:1234"


def test_the_option_counts_before_the_environment(client_with_options):
    headers = [("Forwarded", "proto=https;host=api.example.com")]
    assert description(client_with_options, "/greet", headers)["service-id"] == "https://api.example.com/greet"
