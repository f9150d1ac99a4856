"""What HTTP itself asks: Accept, Content-Type, methods, and answers that fit them (docs/wire.md, MCP)."""

from collections.abc import Iterator

import httpx
import pytest

from tests.mcp.http_client import HTTP_SERVICE, INITIALIZE, envelope, error_of, modern_fields, post, request
from tests.support.service_process import ServiceProcess

JSON, EVENTS = "application/json", "text/event-stream"
CALL = {"name": "echo", "arguments": {"text": "hi"}}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with (
        ServiceProcess(HTTP_SERVICE, ["--with-mcp"]) as service,
        httpx.Client(base_url=service.url, timeout=30) as http,
    ):
        yield http


BOTH = {JSON, EVENTS}
ACCEPTS: list[tuple[str | None, set[str]]] = [
    (None, BOTH),
    ("", BOTH),
    ("*/*", BOTH),
    (f"{JSON}, {EVENTS}", BOTH),
    (f"{EVENTS},{JSON}", BOTH),
    (JSON, {JSON}),
    ("application/*", {JSON}),
    ("application/*;q=0.5", {JSON}),
    ("APPLICATION/JSON; charset=utf-8", {JSON}),
    (EVENTS, {EVENTS}),
    ("text/*", {EVENTS}),
    (f"{EVENTS};q=0.1", {EVENTS}),
    (f"{JSON};q=0, {EVENTS}", {EVENTS}),
    (f"{JSON};q=0.0, */*", {EVENTS}),
    ("text/*;q=0, */*;q=0.1", {JSON}),
    (f"{EVENTS};q=0,{JSON}", {JSON}),
    (f"image/png, {JSON};q=0.9", {JSON}),
    ("*/*;q=x", BOTH),
    ("text/html", set()),
    ("image/*, text/plain", set()),
    ("*/*;q=0", set()),
    (f"{JSON};q=0, {EVENTS};q=0.000", set()),
    ("nonsense", set()),
]


@pytest.mark.parametrize(("accept", "types"), ACCEPTS, ids=[repr(accept) for accept, _ in ACCEPTS])
def test_the_answer_is_of_a_type_that_the_client_takes(
    client: httpx.Client, accept: str | None, types: set[str]
) -> None:
    for message, fields in (
        (request("initialize", INITIALIZE), {}),
        (request("tools/call", CALL), {"mcp-protocol-version": "2025-11-25"}),
        (request("tools/call", {**CALL, "_meta": {"progressToken": 1}}), {}),
        (request("tools/call", {**CALL, "_meta": envelope()}), modern_fields("tools/call", "echo")),
    ):
        sent = {name: value for name, value in fields.items() if name != "accept"}
        with httpx.Client(base_url=client.base_url, timeout=30) as http:
            del http.headers["accept"]
            answer = post(http, message, sent if accept is None else {**sent, "accept": accept})
        if not types:
            assert error_of(answer) == (406, -32600, None)
            assert "Accept: " in answer.json()["error"]["message"]
            continue
        assert answer.status_code == 200
        assert answer.headers["content-type"] in types
        assert '"result":' in answer.text
        if answer.headers["content-type"] == EVENTS:
            assert answer.headers["x-accel-buffering"] == "no"


def test_without_a_progress_token_a_quick_answer_is_plain_json(client: httpx.Client) -> None:
    assert post(client, request("tools/call", CALL)).headers["content-type"] == JSON


@pytest.mark.parametrize("content_type", [None, JSON, f"{JSON}; charset=UTF-8", "application/x+json", f"{JSON};"])
def test_json_is_taken(client: httpx.Client, content_type: str | None) -> None:
    fields = {} if content_type is None else {"content-type": content_type}
    answer = client.post("/mcp", content=b'{"jsonrpc":"2.0","id":1,"method":"ping"}', headers=fields)
    assert answer.json()["result"] == {}


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        f"{JSON}; charset=utf-16",
        "x",
    ],
)
def test_what_says_that_it_is_no_json_is_not_read(client: httpx.Client, content_type: str) -> None:
    answer = client.post(
        "/mcp", content=b'{"jsonrpc":"2.0","id":1,"method":"ping"}', headers={"content-type": content_type}
    )
    assert error_of(answer) == (415, -32600, None)
    assert "application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize("version", [None, "2025-11-25", "2026-07-28"])
def test_other_methods_are_refused_and_the_answer_names_those_that_are_not(
    client: httpx.Client, path: str, method: str, version: str | None
) -> None:
    fields = {"accept": EVENTS} if version is None else {"accept": EVENTS, "mcp-protocol-version": version}
    answer = client.request(method, path, headers=fields)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


def test_an_event_id_resumes_nothing_where_there_are_no_such_ids(client: httpx.Client) -> None:
    fields = {"accept": EVENTS, "last-event-id": "4a5e7c92-6f1c-4a02-bb0c-6f6d2a5e9c11/3"}
    assert client.get("/mcp", headers={**fields, "mcp-protocol-version": "2026-07-28"}).status_code == 405


@pytest.mark.parametrize("last_id", ["x", "4a5e7c92-6f1c-4a02-bb0c-6f6d2a5e9c11/3", "/", "a/b/c", "x" * 5000, "\xff/1"])
def test_an_event_that_nobody_knows_is_not_found(client: httpx.Client, last_id: str) -> None:
    fields = {b"accept": EVENTS.encode(), b"last-event-id": last_id.encode("latin-1")}
    answer = client.get("/mcp", headers=fields)
    assert error_of(answer) == (404, -32600, None)
    refused = client.get("/mcp", headers={"accept": JSON, "last-event-id": "x"})
    assert error_of(refused) == (406, -32600, None)


def test_options_names_the_methods(client: httpx.Client) -> None:
    answer = client.options("/mcp")
    assert answer.status_code == 204
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_paths_below_are_not_found(client: httpx.Client) -> None:
    assert client.post("/mcp/x").status_code == 404


def test_with_or_without_a_slash_at_its_end_the_path_is_the_same(client: httpx.Client) -> None:
    for path in ("/mcp", "/mcp/"):
        answer = post(client, request("tools/call", CALL), path=path)
        assert (answer.status_code, len(answer.history)) == (200, 0)


def test_it_is_no_part_of_the_document(client: httpx.Client) -> None:
    assert not [path for path in client.get("/openapi.json").json()["paths"] if "mcp" in path]
