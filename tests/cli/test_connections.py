"""What a client may send, and how slowly, where a service is run from its file (docs/wire.md, Errors)."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from lambda_kit import ConfigurationError, HttpLimits
from tests.support.raw_http import ask
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

HEAD = b"POST /shout HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"text": "a"}'
KIB = 1024

_CORS = "from litestar.config.cors import CORSConfig\n"
_PAGES = "cors=CORSConfig(allow_origins=['https://app.example'])"
_TOOLS = '''
import asyncio
from lambda_kit import HttpLimits, ToolOptions

class Waits(LambdaTool):
    """Wait longer than any limit"""

    options = ToolOptions(max_wait_time=60.0)

    async def run(self, req: Text) -> str:
        await asyncio.sleep(float(req.text))
        return "waited"
'''


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service with the limits that services have."""
    options = f"max_body_bytes=100_000, {_PAGES}"
    file = service_file(tmp_path_factory.mktemp("limits"), body=_CORS, options=options)
    with ServiceProcess(file) as service:
        yield service
        service.assert_alive()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that waits for nobody."""
    limits = "http=HttpLimits(header_seconds=0.5, body_seconds=0.5, idle_seconds=0.5)"
    file = service_file(
        tmp_path_factory.mktemp("hasty"), body=_CORS + _TOOLS, tools="Shout, Waits", options=f"{limits}, {_PAGES}"
    )
    with ServiceProcess(file) as service:
        yield service
        service.assert_alive()


def refused(service: ServiceProcess, status: int, kind: str, pieces: Iterable[bytes]) -> dict[str, Any]:
    """The problem that a request gets, whose connection is closed then."""
    answer = ask(service.port, pieces)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert "ivcap-ai-tool-version" in answer.headers
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")
    problem: dict[str, Any] = json.loads(answer.body)
    assert (problem["type"], problem["status"], problem["code"]) == (kind, status, status)
    return problem


def connect(service: ServiceProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=60)


def everything(sock: socket.socket) -> bytes:
    """What comes until the other end closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            received += piece
    return received


def send_for_ever(sock: socket.socket, piece: bytes = b"x" * 1_000_000) -> None:
    for _ in range(10_000):
        sock.sendall(piece)


def send_until_closed(sock: socket.socket, piece: bytes) -> None:
    with contextlib.suppress(OSError):
        send_for_ever(sock, piece)


def assert_rest_is_alive(sock: socket.socket) -> None:
    sock.sendall(b"GET /_livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert everything(sock).startswith(b"HTTP/1.1 200")


# --- sizes ---


@pytest.mark.parametrize(
    "fields",
    [
        [b"X-A: " + b"a" * 65 * KIB + b"\r\n\r\n"],
        [b"X-%d: a\r\n" % n for n in range(201)],
        (b"X-%d: %s\r\n" % (n, b"a" * KIB) for n in range(100)),
        (b"X-A: " if n == 0 else b"a" * KIB for n in range(1000)),
        [b"X-A: " + b"a" * 1_000_000],
    ],
    ids=["a large field", "many fields", "many larger fields", "a field without end", "and in one piece"],
)
def test_a_header_section_over_the_limit_is_431(fields: Iterable[bytes], service: ServiceProcess) -> None:
    refused(service, 431, "headers-too-large", [HEAD, *fields])


def test_a_request_target_over_the_limit_is_414(service: ServiceProcess) -> None:
    refused(service, 414, "target-too-long", [b"GET /shout?" + b"a" * 65 * KIB + b" HTTP/1.1\r\nHost: x\r\n\r\n"])


def test_what_is_just_within_the_limits_is_answered(service: ServiceProcess) -> None:
    target = b"POST /shout?" + b"a" * 60 * KIB + b" HTTP/1.1\r\nHost: x\r\n"
    fields = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 300) for n in range(198))
    pieces = [target, fields[:40_000], fields[40_000:], b"Content-Length: %d\r\n\r\n" % len(BODY), BODY]
    with connect(service) as sock:
        for piece in pieces:
            sock.sendall(piece)
        assert sock.recv(15) == b"HTTP/1.1 200 OK"


def test_a_malformed_request_is_a_problem_too(service: ServiceProcess) -> None:
    refused(service, 400, "bad-request", [b"\x16\x03\x01\x02\x00\x01\x00"])


def test_a_request_without_host_is_refused(service: ServiceProcess) -> None:
    problem = refused(service, 400, "bad-request", [b"GET /_livez HTTP/1.1\r\n\r\n"])
    assert problem["detail"].startswith("Host: it is missing")
    assert ask(service.port, [b"GET /_livez HTTP/1.0\r\n\r\n"]).status == 200


def test_a_transfer_coding_that_is_not_understood_is_501(service: ServiceProcess) -> None:
    head = HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n"
    refused(service, 501, "unsupported-transfer-coding", [head])


def test_all_requests_that_are_sent_at_once_are_answered_in_turn(service: ServiceProcess) -> None:
    requests = [HEAD + b"Content-Length: 15\r\n\r\n" + b'{"text": "%03d"}' % n for n in range(500)]
    large = b'{"text": "%s"}' % (b"x" * 80_000)
    requests.append(HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large)
    requests.append(b"GET /_livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with connect(service) as sock:
        sock.sendall(b"".join(requests))
        answers = everything(sock)
    assert answers.count(b"HTTP/1.1 200") == 502
    assert re.findall(rb"\r\n\r\n(\d{3})HTTP", answers) == [b"%03d" % n for n in range(500)]


@pytest.mark.parametrize(
    "request_",
    [b"GET /_livez HTTP/1.1\r\nHost: x\r\n\r\n", HEAD + b"Content-Length: 13\r\n\r\n" + BODY],
    ids=["GET", "POST"],
)
def test_requests_without_number_that_are_sent_at_once_take_no_memory(request_: bytes, service: ServiceProcess) -> None:
    """Each that waits takes some 4 KB."""
    before = service.memory_mib()
    with connect(service) as sock:
        sender = threading.Thread(target=send_until_closed, args=(sock, request_ * 1000))
        sender.start()
        answered = 0
        while answered < 3000:
            answered += sock.recv(65536).count(b"HTTP/1.1 200")
        after = service.memory_mib()
        sock.shutdown(socket.SHUT_RDWR)
    sender.join()
    assert after - before < 50


@pytest.mark.parametrize(
    "pieces",
    [
        [b"Content-Length: 1000000000000\r\n\r\n", *[b"x" * 100_000] * 10],
        [b"Transfer-Encoding: chunked\r\n\r\n", *[b"186a0\r\n" + b"x" * 100_000 + b"\r\n"] * 10],
    ],
    ids=["announced", "in chunks"],
)
def test_a_body_over_the_limit_is_413_while_it_is_still_sent(pieces: list[bytes], service: ServiceProcess) -> None:
    with connect(service) as sock:
        for piece in [HEAD, *pieces]:
            sock.sendall(piece)  # all of it, without a look at the answer
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close\r\n" in answer
    assert b'"type":"payload-too-large"' in answer


def test_what_follows_a_413_is_not_read_for_ever(service: ServiceProcess) -> None:
    with connect(service) as sock:
        sock.sendall(HEAD + b"Content-Length: 1000000000000\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 413"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_for_ever(sock)


def test_a_request_that_is_refused_before_its_body_has_come_keeps_the_connection(service: ServiceProcess) -> None:
    with connect(service) as sock:
        sock.sendall(HEAD + b"Content-Type: text/plain\r\nContent-Length: 10\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += sock.recv(4 * KIB)
        assert answer.startswith(b"HTTP/1.1 415")
        sock.sendall(b"0123456789")
        assert_rest_is_alive(sock)


# --- trailers ---


def test_a_trailer_is_dropped(service: ServiceProcess) -> None:
    chunks = b"%x\r\n%s\r\n0\r\njob-id: from-the-trailer\r\nX-A: a\r\n\r\n" % (len(BODY), BODY)
    answer = ask(service.port, [HEAD + b"job-id: from-the-head\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks])
    assert (answer.status, answer.body) == (200, b"A")
    assert answer.headers["job-id"] == "urn:ivcap:job:from-the-head"


def test_an_authorization_in_a_trailer_is_refused(service: ServiceProcess) -> None:
    chunks = b"%x\r\n%s\r\n0\r\nAuthorization: Bearer later\r\n\r\n" % (len(BODY), BODY)
    problem = refused(service, 400, "bad-request", [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks])
    assert "Authorization" in problem["detail"]


def test_a_trailer_without_end_is_refused(service: ServiceProcess) -> None:
    trailer = [b"%x\r\n%s\r\n0\r\nX-A: " % (len(BODY), BODY), *[b"a" * KIB] * 1000]
    refused(service, 431, "headers-too-large", [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *trailer])


# --- time ---


@pytest.mark.parametrize("begun", [b"POST", HEAD, HEAD + b"X-A: a", b"\r\n"], ids=["method", "fields", "field", "line"])
def test_a_header_section_that_does_not_come_is_408(begun: bytes, hasty: ServiceProcess) -> None:
    with connect(hasty) as sock:
        sock.sendall(begun)
        assert everything(sock).startswith(b"HTTP/1.1 408")


def test_a_connection_that_never_sends_a_byte_is_closed(hasty: ServiceProcess) -> None:
    with connect(hasty) as sock:
        assert everything(sock) == b""


def test_a_body_that_does_not_come_is_408(hasty: ServiceProcess) -> None:
    refused(hasty, 408, "request-timeout", [HEAD + b"Content-Length: 1000\r\n\r\n{"])


def test_a_page_of_an_allowed_origin_can_read_why_its_request_was_cut(
    service: ServiceProcess, hasty: ServiceProcess
) -> None:
    for asked, kind, rest in (
        (hasty, "request-timeout", b"Content-Length: 1000\r\n\r\n{"),
        (service, "headers-too-large", b"X-A: " + b"a" * 65 * KIB + b"\r\n\r\n"),
        (service, "unsupported-transfer-coding", b"Transfer-Encoding: gzip\r\n\r\n"),
    ):
        answer = ask(asked.port, [HEAD + b"Origin: https://app.example\r\n" + rest])
        assert json.loads(answer.body)["type"] == kind
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
        other = ask(asked.port, [HEAD + b"Origin: https://evil.example\r\n" + rest])
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "Origin"


def test_a_body_that_trickles_is_408(hasty: ServiceProcess) -> None:
    with connect(hasty) as sock:
        sock.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
        sock.settimeout(0.1)
        received = b""
        for _ in range(300):
            with contextlib.suppress(TimeoutError):
                received = sock.recv(12)
                break
            sock.sendall(b" ")
    assert received == b"HTTP/1.1 408"


def test_an_idle_connection_is_closed_without_a_word(hasty: ServiceProcess) -> None:
    with connect(hasty) as sock:
        sock.sendall(b"GET /_livez HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


def test_an_answer_that_is_waited_for_is_never_cut(hasty: ServiceProcess) -> None:
    with httpx.Client(base_url=hasty.url, timeout=30) as client:
        assert client.post("/waits", json={"text": "3"}).text == "waited"
        job = client.post("/waits", json={"text": "3"}, headers={"Timeout": "0"}).headers["job-id"]
        with client.stream("GET", f"/jobs/{job}/events") as events:
            assert "succeeded" in events.read().decode()


def test_a_connection_is_kept_longer_than_clients_pause_between_polls() -> None:
    assert HttpLimits().idle_seconds == 75


# --- order ---


def test_what_is_refused_is_answered_after_the_requests_before_it(hasty: ServiceProcess) -> None:
    body = b'{"text": "1"}'
    with connect(hasty) as sock:
        waits = b"POST /waits HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        sock.sendall(waits + b"GET /_livez HTTP/1.1\r\nHost: x\r\n\r\n" + b"junk\r\n\r\n")
        assert re.findall(rb"HTTP/1.1 (\d+)", everything(sock)) == [b"200", b"200", b"400"]


def test_limits_must_be_numbers_above_0() -> None:
    with pytest.raises(ConfigurationError, match=r"HttpLimits\(header_bytes=0\): must be a whole number of at least 1"):
        HttpLimits(header_bytes=0)
    with pytest.raises(ConfigurationError, match=r"HttpLimits\(body_seconds=0\): must be a number of at least 0\.001"):
        HttpLimits(body_seconds=0)
