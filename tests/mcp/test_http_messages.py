"""What comes by POST: any bytes, ids of any form, batches. No message makes the service fail (docs/wire.md, MCP)."""

import json
import socket
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
from tests.mcp.modern import messages_of
from tests.support.raw_http import ask
from tests.support.service_process import ServiceProcess

CALL = {"name": "echo", "arguments": {"text": "hi"}}


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with ServiceProcess(HTTP_SERVICE, ["--with-mcp"]) as process:
        yield process


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as http:
        yield http


def call_with(request_id: bytes, **fields: Any) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":%b}' % (
        request_id,
        json.dumps({**CALL, **fields}).encode(),
    )


# --- ids ---


@pytest.mark.parametrize(
    "request_id",
    [
        b"1", b'"1"', b"0", b"-0", b"-7", b"9223372036854775808", b"-170141183460469231731687303715884105729",
        b"1" + b"0" * 1000, b'""', b'"' + b"x" * 999 + b'"',
        '"é"'.encode(), b'"\\u00e9 \\" \\\\"',
        b'"\\ud83d\\ude00"',
    ],
)  # fmt: skip
def test_an_id_comes_back_as_it_was_sent(client: httpx.Client, request_id: bytes) -> None:
    for params in ({}, {"_meta": envelope()}):
        fields = modern_fields("tools/call", "echo") if params else ACCEPT
        answer = post(client, call_with(request_id, **params), fields)
        assert answer.status_code == 200
        assert answer.content.startswith(b'{"jsonrpc":"2.0","id":%b,"result":' % request_id)


@pytest.mark.parametrize(
    "request_id",
    [
        b"null", b"true", b"1.0", b"1.5", b"1e3", b"[]", b"{}", b'["x"]', b"1" + b"0" * 5000,
        b'"' + b"x" * 5000 + b'"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("fields", [ACCEPT, modern_fields("tools/call", "echo")])
def test_what_is_no_id_is_refused(client: httpx.Client, request_id: bytes, fields: dict[str, str]) -> None:
    answer = post(client, call_with(request_id, _meta=envelope()), fields)
    assert error_of(answer) == (400, -32600, None)
    assert answer.json()["error"]["message"].startswith("id: ")


def test_an_id_may_come_again_and_the_same_digits_in_another_form_are_another_id(client: httpx.Client) -> None:
    session = post(client, request("initialize", INITIALIZE)).headers["mcp-session-id"]
    fields = {**ACCEPT, "mcp-session-id": session}
    for request_id, text in ((1, "a"), (1, "b"), ("1", "c"), (1, "a")):
        params = {"name": "echo", "arguments": {"text": text}}
        answer = post(client, request("tools/call", params, request_id), fields).json()
        assert answer["id"] == request_id
        assert type(answer["id"]) is type(request_id)
        assert json.loads(answer["result"]["content"][0]["text"]) == {"text": text}


@pytest.mark.parametrize("token", [0, "", "0", 7, 2**70, "é"], ids=repr)
def test_a_progress_token_keeps_its_form(client: httpx.Client, token: object) -> None:
    for fields, meta in ((ACCEPT, {}), (modern_fields("tools/call", "ends"), envelope())):
        params = {"name": "ends", "arguments": {}, "_meta": {**meta, "progressToken": token}}
        answer = post(client, request("tools/call", params), fields)
        progress, result = [message for message in messages_of(iter(answer.text.split("\n"))) if message]
        assert progress["params"]["progressToken"] == token
        assert type(progress["params"]["progressToken"]) is type(token)
        assert "result" in result


def test_what_some_clients_take_for_the_end_of_a_line_is_escaped(client: httpx.Client) -> None:
    params = {"name": "ends", "arguments": {}, "_meta": {"progressToken": "\u2028"}}
    for accept in (ACCEPT["accept"], "application/json", "text/event-stream"):
        fields = {"accept": accept, "mcp-protocol-version": OLD}
        answer = post(client, json.dumps(request("tools/call", params, "\u2029"), ensure_ascii=False).encode(), fields)
        assert not {"\u2028", "\u2029", "\u0085"} & set(answer.content.decode())
        text = answer.text if accept == "application/json" else answer.text.rstrip().rpartition("data:")[2]
        message = json.loads(text)
        assert message["id"] == "\u2029"
        assert message["result"]["structuredContent"] == {"text": "a\u2028b\u2029c\u0085d"}


# --- what is no message ---

DEEP = b"[" * 100_000 + b"]" * 100_000
BROKEN = {
    "nothing": b"",
    "blanks": b" \r\n\t ",
    "no JSON": b"hello",
    "half": b'{"jsonrpc":"2.0","id":1,"method":"ping"',
    "more": b'{"jsonrpc":"2.0","id":1,"method":"ping"} {}',
    "NUL": b'{"jsonrpc":"2.0","id":1,"method":"pi\x00ng"}',
    "NUL behind": b'{"jsonrpc":"2.0","id":1,"method":"ping"}\x00',
    "a BOM": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
    "UTF-16": '{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16"),
    "no UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\xff"}}',
    "surrogates as bytes": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\xed\xa0\x80"}}',
    "half of a pair": b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
    "half of a pair in params": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\\udc00\\ud800"}}',
    "half of a pair in a name": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"\\ud800":1}}',
    "half of a pair as id": b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}',
    "a number with zeros": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":01}}',
    "deep": DEEP,
    "deep params": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":' + DEEP + b"}}",
    "single quotes": b"{'jsonrpc':'2.0','id':1,'method':'ping'}",
}  # fmt: skip


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("fields", [ACCEPT, modern_fields("ping")])
def test_what_is_no_json_is_refused(client: httpx.Client, body: bytes, fields: dict[str, str]) -> None:
    assert error_of(post(client, body, fields)) == (400, -32700, None)


@pytest.mark.parametrize(
    "message",
    [
        1, "x", None, True, {}, {"jsonrpc": "2.0"}, {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"id": 1, "method": "ping"},
        {"jsonrpc": 2.0, "id": 1, "method": "ping"}, request("ping", [1]), request("ping", "x"), request("ping", 1),
        {"jsonrpc": "2.0", "id": 1, "method": 5}, {"jsonrpc": "2.0", "id": 1, "method": ""},
        {"jsonrpc": "2.0", "id": 1, "method": None},
    ],
)  # fmt: skip
@pytest.mark.parametrize("fields", [ACCEPT, modern_fields("ping")])
def test_json_that_is_no_message_is_refused(client: httpx.Client, message: object, fields: dict[str, str]) -> None:
    assert error_of(post(client, message, fields)) == (400, -32600, None)


def test_params_may_be_left_out(client: httpx.Client) -> None:
    for message in (request("ping"), b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}'):
        assert post(client, message).json()["result"] == {}


ODD_ARGUMENTS = [
    b'{"text":1e999}', b'{"text":"\\u0000"}', b"[]", b"null",
    b'"x"', b"1",
    b'{"text":' + b"9" * 10_000 + b"}", b'{"text":' + b"[" * 400 + b"]" * 400 + b"}", b'{"text":"a","text":"b"}',
    b'{"text":"' + b"x" * 1_000_000 + b'"}',
]  # fmt: skip


@pytest.mark.parametrize("arguments", ODD_ARGUMENTS, ids=range(len(ODD_ARGUMENTS)))
def test_odd_arguments_are_answered(client: httpx.Client, arguments: bytes) -> None:
    for meta, fields in (
        (b"{}", ACCEPT),
        (json.dumps(envelope()).encode(), modern_fields("tools/call", "echo")),
        (json.dumps({**envelope(), "progressToken": 1}).encode(), modern_fields("tools/call", "echo")),
    ):
        body = b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","arguments":%b,"_meta":%b}}' % (
            arguments,
            meta,
        )
        answer = post(client, body, fields)
        assert answer.status_code in (200, 400)
        text = answer.text
        if answer.headers["content-type"].startswith("text/event-stream"):
            text = text.rstrip().rpartition("data:")[2]
        message = json.loads(text)
        assert message["id"] == 5
        assert message.get("error", {}).get("code", -32602) == -32602


@pytest.mark.parametrize("more", [{"x": "y" * 300_000}, {"_meta": {**envelope(), "x": ["y"] * 100_000}}])
def test_large_params_besides_arguments_are_refused(client: httpx.Client, more: dict[str, Any]) -> None:
    """All others would wait while they are read: 16 MB of them took 5 s."""
    arguments = {"text": "z" * 300_000}
    params = {"name": "echo", "arguments": arguments, "_meta": envelope()}
    for fields in ({**ACCEPT, "mcp-protocol-version": OLD}, modern_fields("tools/call", "echo")):
        assert post(client, request("tools/call", params), fields).json()["result"]["structuredContent"] == arguments
        assert error_of(post(client, request("tools/call", {**params, **more}), fields))[1:] == (-32602, 1)


def test_a_long_progress_token_is_refused(client: httpx.Client) -> None:
    params = {"name": "echo", "_meta": {**envelope(), "progressToken": "x" * 1025}}
    for fields in ({**ACCEPT, "mcp-protocol-version": OLD}, modern_fields("tools/call", "echo")):
        assert error_of(post(client, request("tools/call", params), fields))[1:] == (-32602, 1)


@pytest.mark.parametrize("member", [b"1e999", b"9" * 10_000, b"[" * 400 + b"]" * 400])
def test_odd_params_are_answered(client: httpx.Client, member: bytes) -> None:
    for key in (b"_meta", b"x", b"cursor"):
        body = b'{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"%b":%b}}' % (key, member)
        answer = post(client, body)
        assert answer.status_code == 200
        assert answer.json()["id"] == 5
        assert answer.json().get("error", {}).get("code", -32602) == -32602


@pytest.mark.parametrize("member", ["_meta", "cursor", "x"])
def test_much_is_taken_in_arguments_alone(client: httpx.Client, member: str) -> None:
    answer = post(client, request("tools/list", {member: "x" * 300_000}))
    assert error_of(answer) == (200, -32602, 1)
    assert "besides arguments" in answer.json()["error"]["message"]


def test_the_service_has_not_failed(service: ServiceProcess) -> None:
    service.assert_alive()
    assert "Traceback" not in service.log


# --- batches ---


def test_the_version_that_has_batches_gets_an_answer_to_each_request(client: httpx.Client) -> None:
    batch = [
        request("ping", request_id=1),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request("tools/call", CALL, "1"),
        request("nope", request_id=2),
        request("initialize", INITIALIZE, 3),
        5,
    ]
    for fields in (ACCEPT, {**ACCEPT, "mcp-protocol-version": "2025-03-26"}):
        answer = post(client, batch, fields)
        assert answer.status_code == 200
        first, called, unknown, again, broken = answer.json()
        assert (first["id"], first["result"]) == (1, {})
        assert (called["id"], called["result"]["content"][0]["text"]) == ("1", '{"text":"hi"}')
        assert (unknown["id"], unknown["error"]["code"]) == (2, -32601)
        assert (again["id"], again["error"]["code"]) == (3, -32600)
        assert (broken["id"], broken["error"]["code"]) == (None, -32600)


def test_a_batch_that_asks_nothing_is_accepted(client: httpx.Client) -> None:
    batch = [{"jsonrpc": "2.0", "method": "notifications/x"}, {"jsonrpc": "2.0", "id": 1, "result": {}}]
    assert post(client, batch).status_code == 202


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", OLD, NEW])
def test_other_versions_have_no_batches(client: httpx.Client, version: str) -> None:
    answer = post(client, [request("ping")], {**ACCEPT, "mcp-protocol-version": version})
    assert error_of(answer) == (400, -32600, None)
    assert "send each message by itself" in answer.json()["error"]["message"]


@pytest.mark.parametrize("batch", [[], [request("ping")] * 101, [1] * 100_000])
def test_a_batch_without_messages_or_with_too_many_is_refused(client: httpx.Client, batch: list[Any]) -> None:
    assert error_of(post(client, batch)) == (400, -32600, None)


# --- size ---


def test_a_message_over_the_limit_is_refused_before_it_is_read(service: ServiceProcess) -> None:
    fields = "host: 127.0.0.1\r\ncontent-type: application/json\r\naccept: */*\r\n"
    head = f"POST /mcp HTTP/1.1\r\n{fields}content-length: 5000000\r\n\r\n".encode()
    assert ask(service.port, [head]).status == 413
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    chunked = f"POST /mcp HTTP/1.1\r\n{fields}transfer-encoding: chunked\r\n\r\n".encode()
    answer = ask(service.port, [chunked, *[piece] * 40])
    assert answer.status == 413
    assert answer.bytes_sent < 30 * 0x100000


def test_a_client_that_leaves_in_the_middle_of_a_message_is_no_news(service: ServiceProcess) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
            connection.sendall(b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n{")
    service.assert_alive()
    assert "Traceback" not in service.log
