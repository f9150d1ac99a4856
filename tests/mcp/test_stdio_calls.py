"""Calls on standard input and output, in both eras of the protocol."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import Gate
from tests.support.mcp_stdio import LEGACY, MODERN, McpStdio

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parent / "stdio_service.py"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
UNSUPPORTED_VERSION = -32022


@pytest.fixture(scope="module", params=[LEGACY, MODERN])
def service(request: pytest.FixtureRequest) -> Iterator[McpStdio]:
    with McpStdio(SERVICE, version=request.param) as service:
        service.initialize()
        service.wait_for_log("ready")
        yield service
        service.close()
        assert service.end() == 0, service.log


@pytest.fixture(scope="module")
def legacy() -> Iterator[McpStdio]:
    with McpStdio(SERVICE, "--max-body-bytes", "200000") as service:
        service.initialize()
        service.wait_for_log("ready")
        yield service


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


# --- both eras ---


def test_the_tools_are_listed_and_called(service: McpStdio) -> None:
    assert "echo" in [tool["name"] for tool in service.ask("tools/list")["tools"]]
    assert service.run("echo", {"text": "hello"})["structuredContent"] == {"text": "hello"}


def test_a_failed_call_is_told_to_the_agent(service: McpStdio) -> None:
    result = service.run("echo", {"text": 1})
    assert result["isError"]
    assert "text" in result["content"][0]["text"]


def test_an_unknown_method_and_an_unknown_tool_are_errors(service: McpStdio) -> None:
    assert service.wait_for_answer(service.request("tools/nothing"))["error"]["code"] == METHOD_NOT_FOUND
    assert service.wait_for_answer(service.call("nothing"))["error"]["code"] == INVALID_PARAMS


def test_progress_comes_before_the_answer_and_rises(service: McpStdio) -> None:
    for token in ("a token", 0, ""):
        request_id = service.call("steps", token=token)
        service.wait_for_answer(request_id)
        values = [params["progress"] for params in service.progress_of(token)]
        assert values == sorted(set(values))
        assert values[-1] == 5
        answered = service.messages.index(service.answers_to(request_id)[0])
        assert all("method" not in message for message in service.messages[answered + 1 :])


def test_requests_are_answered_as_they_end_and_not_in_order(service: McpStdio, gate: Gate) -> None:
    slow = service.call("hold", {"port": gate.port})
    held = gate.wait_for_arrival()
    service.run("echo")
    assert not service.answers_to(slow)
    held.release()
    assert service.wait_for_answer(slow)["result"]["structuredContent"] == {"text": "let go"}


def test_a_cancelled_call_is_not_answered_and_its_tool_ends(service: McpStdio, gate: Gate) -> None:
    request_id = service.call("await", {"port": gate.port})
    service.run("echo")
    service.cancel(request_id)
    gate.wait_for_arrival().release()
    service.run("echo")
    assert not service.answers_to(request_id)
    assert "Traceback" not in service.log


def test_a_cancel_of_what_is_not_open_has_no_effect(service: McpStdio, gate: Gate) -> None:
    ended = service.call("echo")
    service.wait_for_answer(ended)
    held_id = service.call("hold", {"port": gate.port}, request_id="77")
    held = gate.wait_for_arrival()
    others: list[Any] = [ended, "unknown", 77, None, [], True]
    for request_id in others:
        service.cancel(request_id)
    service.run("echo")
    held.release()
    assert service.wait_for_answer(held_id)["result"]["structuredContent"] == {"text": "let go"}
    assert len(service.answers_to(ended)) == 1


def test_a_cancel_is_for_the_newest_request_of_an_id(service: McpStdio, gate: Gate) -> None:
    service.call("hold", {"port": gate.port}, request_id=5000)
    held = gate.wait_for_arrival()
    service.call("await", {"port": gate.port}, request_id=5000)
    service.run("echo")
    service.cancel(5000)
    gate.wait_for_arrival().release()
    held.release()
    assert service.wait_for_answer(5000)["result"]["structuredContent"] == {"text": "let go"}
    service.run("echo")
    assert len(service.answers_to(5000)) == 1


def test_ids_keep_their_type_and_may_come_again(service: McpStdio) -> None:
    for request_id in ("1001", 1001, -7, 2**53, "é ☃", "new"):
        for text in ("one", "two"):
            service.call("echo", {"text": text}, request_id=request_id)
        answers = service.wait_for_answers(request_id, 2)
        texts = {answer["result"]["structuredContent"]["text"] for answer in answers}
        assert texts == {"one", "two"}


def test_200_calls_at_once_are_all_answered(service: McpStdio) -> None:
    ids = {service.call("echo", {"text": f"number {n}"}): f"number {n}" for n in range(200)}
    for request_id, text in ids.items():
        assert service.wait_for_answer(request_id)["result"]["structuredContent"] == {"text": text}


def test_characters_that_some_take_for_line_ends_do_not_cut_a_message(service: McpStdio) -> None:
    text = "one\u2028two\u2029three\u0085four\r\nfive\x0b\x0c\x1c\x1d"
    assert service.run("plain", {"text": text})["content"] == [{"type": "text", "text": text}]
    if service.is_legacy:  # raw, too
        call = {"name": "plain", "arguments": {"text": text}}
        message = {"jsonrpc": "2.0", "id": "raw", "method": "tools/call", "params": call}
        service.send_raw(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        assert service.wait_for_answer("raw")["result"]["content"][0]["text"] == text
    for line in service.raw_lines:
        assert not any(separator in line.decode() for separator in "\u2028\u2029\u0085")


def test_ten_megabytes_come_in_and_go_out(service: McpStdio) -> None:
    text = "0123456789" * 1_000_000
    result = service.run("plain", {"text": text})
    link = next(part for part in result["content"] if part["type"] == "resource_link")
    whole = service.ask("resources/read", {"uri": link["uri"]})["contents"][0]["text"]
    assert whole == text


def test_a_client_that_does_not_read_holds_up_no_tool_and_loses_no_answer(service: McpStdio, gate: Gate) -> None:
    with service.reading_paused():
        chatter = service.call("chatter", token="chatter")
        large = [service.call("plain", {"text": "x" * 60_000}) for _ in range(20)]
        waiting = service.call("await", {"port": gate.port})
        held = service.call("hold", {"port": gate.port})
        gate.wait_for_arrival().release()  # the second of the two calls
        service.cancel(waiting)
        gate.wait_for_arrival().release()
    for request_id in (*large, held):
        assert "result" in service.wait_for_answer(request_id)
    service.cancel(chatter)
    service.run("echo")
    heard = service.progress_of("chatter")
    assert heard
    assert len(heard) < 1000, "progress is put together while nobody reads"


# --- what is no request ---


def test_what_is_no_json_is_answered_with_an_error_and_ends_nothing(legacy: McpStdio) -> None:
    for line, code in (
        (b"nonsense\n", PARSE_ERROR),
        (b'{"jsonrpc":"2.0","method":"ping","id":\n', PARSE_ERROR),
        (b"\xff\xfe\n", PARSE_ERROR),
        (b"1\n", INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":01,"method":"ping"}\n', PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":"\\ud83d","method":"ping"}\n', PARSE_ERROR),
        (b"[" * 100_000 + b"\n", PARSE_ERROR),
    ):
        before = len(legacy.answers_to(None))
        legacy.send_raw(line)
        assert legacy.wait_for_answers(None, before + 1)[-1]["error"]["code"] == code
    assert legacy.run("echo", {"text": "still here"})["structuredContent"] == {"text": "still here"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"jsonrpc":"2.0","id":"odd","method":"ping","params":[]}\n', INVALID_REQUEST),
        (b'{"method":"ping","params":{},"jsonrpc":"1.0","id":"odd"}\n', INVALID_REQUEST),
        (b'{"method":"tools/call","params":{"name":"half \\ud83d"},"jsonrpc":"2.0","id":"odd"}\n', PARSE_ERROR),
        (
            b'{"jsonrpc":"2.0","id":"odd","method":"ping","params":{"a":%b}}\n' % (b"[" * 9000 + b"]" * 9000),
            PARSE_ERROR,
        ),
    ],
)
def test_who_sent_a_request_that_cant_be_read_need_not_wait(legacy: McpStdio, line: bytes, code: int) -> None:
    before = len(legacy.answers_to("odd"))
    legacy.send_raw(line)
    assert legacy.wait_for_answers("odd", before + 1)[-1]["error"]["code"] == code


def test_a_large_resource_is_one_line(service: McpStdio) -> None:
    text = "ü\u2028\n" * 500_000
    preview, link = service.run("plain", {"text": text})["content"]
    assert "too large to be shown here" in preview["text"]
    [held] = service.ask("resources/read", {"uri": link["uri"]})["contents"]
    assert held["text"] == text


def test_blank_lines_and_responses_are_passed_over(legacy: McpStdio) -> None:
    before = len(legacy.messages)
    legacy.send_raw(b"\n  \r\n\t\n")
    legacy.send({"jsonrpc": "2.0", "id": 99, "result": {}})
    legacy.send({"jsonrpc": "2.0", "method": "notifications/unheard-of"})
    legacy.ask("ping")
    assert len(legacy.messages) == before + 1


def test_a_line_may_end_as_on_windows(legacy: McpStdio) -> None:
    legacy.send_raw(b'{"jsonrpc":"2.0","id":"crlf","method":"ping"}\r\n')
    assert legacy.wait_for_answer("crlf")["result"] == {}


@pytest.mark.parametrize("has_id_first", [True, False])
def test_a_line_that_is_too_long_is_answered_with_an_error(legacy: McpStdio, has_id_first: bool) -> None:
    text = b"x" * 300_000
    head, tail = (b'"id":"long 1",', b"") if has_id_first else (b"", b',"id":"long 2"')
    params = b'{"name":"echo","arguments":{"id":3,"text":"%b"}}' % text
    legacy.send_raw(b'{"jsonrpc":"2.0",%b"method":"tools/call","params":%b%b}\n' % (head, params, tail))
    error = legacy.wait_for_answer("long 1" if has_id_first else "long 2")["error"]
    assert "200000 bytes" in error["message"]
    assert "--max-body-bytes" in error["message"]
    legacy.ask("ping")


# --- the eras ---


def test_the_version_is_agreed_by_the_handshake() -> None:
    with McpStdio(SERVICE, version="2024-11-05") as service:
        said = service.initialize()
        assert said["protocolVersion"] == "2024-11-05"
        assert said["instructions"] == "Ask one line at a time."
        assert "outputSchema" not in service.ask("tools/list")["tools"][0]


def test_what_follows_the_handshake_without_waiting_for_it_is_of_its_version() -> None:
    with McpStdio(SERVICE) as service:
        client = {"name": "t", "version": "1"}
        service.request("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client})
        listed = service.ask("tools/list")["tools"]
        assert next(tool for tool in listed if tool["name"] == "echo")["outputSchema"]


def test_a_connection_stays_in_the_era_that_it_was_begun_in() -> None:
    initialize = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    with McpStdio(SERVICE, version=MODERN) as service:
        service.ask("server/discover")
        error = service.wait_for_answer(service.request("initialize", initialize))["error"]
        assert (error["code"], error["data"]["supported"]) == (UNSUPPORTED_VERSION, [MODERN])
        service.send({"jsonrpc": "2.0", "id": "bare", "method": "tools/list"})
        assert service.wait_for_answer("bare")["error"]["code"] == INVALID_PARAMS
        service.ask("tools/list")
    with McpStdio(SERVICE) as service:
        service.initialize()
        service.be_of(MODERN)
        error = service.wait_for_answer(service.request("tools/list"))["error"]
        assert error["code"] == INVALID_REQUEST
        assert "connection" in error["message"]


def test_a_request_without_any_handshake_is_answered() -> None:
    with McpStdio(SERVICE) as service:
        assert "echo" in [tool["name"] for tool in service.ask("tools/list")["tools"]]


def test_a_batch_is_answered_by_a_batch_in_the_version_that_has_them() -> None:
    with McpStdio(SERVICE, version="2025-03-26") as service:
        service.initialize()
        batch = [
            {"jsonrpc": "2.0", "id": "a", "method": "ping"},
            {"jsonrpc": "2.0", "method": "notifications/unheard-of"},
            {"jsonrpc": "2.0", "id": "b", "method": "tools/call", "params": {"name": "echo", "arguments": {}}},
            {"jsonrpc": "2.0", "id": "c", "method": "initialize", "params": {}},
            1,
        ]
        answers = service.wait_for_batch(batch)
        assert [answer.get("id") for answer in answers] == ["a", "b", None, None]
        service.send([])
        assert "empty" in service.wait_for_answer(None)["error"]["message"]
