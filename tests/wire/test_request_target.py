"""docs/wire.md, What holds for every request: the host in a request target counts, and not `Host` beside it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw_http import RawAnswer, ask
from tests.support.service_process import ServiceProcess


@pytest.fixture(scope="module")
def named() -> Iterator[ServiceProcess]:
    """A service that may be called by one name."""
    arguments = ["--allowed-hosts", "good.example"]
    with ServiceProcess(Path(__file__).with_name("service.py"), arguments) as process:
        yield process
        process.assert_alive()


def send(service: ServiceProcess, method: str, target: str, host: str = "good.example", **fields: str) -> RawAnswer:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    body = b'{"text": "a"}' if method == "POST" else b""
    lines += [f"{name}: {value}" for name, value in {**fields, "Content-Length": str(len(body))}.items()]
    return ask(service.port, ["\r\n".join([*lines, "", ""]).encode() + body])


def problem(answer: RawAnswer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["type"]


def test_the_host_of_the_target_is_the_one_that_may_be_called(named: ServiceProcess) -> None:
    for target in ("http://evil.example/greet", "HTTPS://evil.example/greet", "http://evil.example:80/greet?x=1"):
        assert problem(send(named, "GET", target)) == (403, "host-not-allowed")
        assert problem(send(named, "POST", target)) == (403, "host-not-allowed")
    assert send(named, "GET", "http://good.example/greet", host="evil.example").status == 200
    assert send(named, "GET", "http://good.example:8090/greet", host="evil.example").status == 200


def test_urls_are_made_of_the_host_of_the_target(service: ServiceProcess) -> None:
    def seen(answer: RawAnswer) -> dict[str, Any]:
        assert answer.status == 200, answer
        found: dict[str, Any] = json.loads(answer.body)["info"]
        return found

    info = seen(send(service, "POST", "http://there.example/who-asks?a=b", host="here.example"))
    assert info["url"] == "http://there.example/who-asks?a=b"
    assert info["headers"]["host"] == "there.example"
    description = send(service, "GET", "http://there.example/greet", host="here.example")
    assert json.loads(description.body)["service-id"] == "http://there.example/greet"


def test_origins_are_compared_with_the_host_of_the_target(service: ServiceProcess) -> None:
    page = {"Origin": "http://there.example"}
    assert send(service, "POST", "http://there.example/echo", host="here.example", **page).status == 200
    other = send(service, "POST", "http://here.example/echo", host="there.example", **page)
    assert problem(other) == (403, "cross-site")


def test_a_url_without_a_path_is_that_of_the_root(service: ServiceProcess) -> None:
    plain = send(service, "GET", "/")
    assert plain.status == 200
    assert send(service, "GET", "http://there.example", host="there.example").body == plain.body
    assert send(service, "GET", "http://there.example?x=1", host="there.example").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "http:///greet", "http://me@good.example/greet", "http://me:secret@good.example/greet", "ftp://good.example/greet",
        "x://good.example/greet", "http://", "http://good.example#a",
    ],
)  # fmt: skip
def test_a_target_that_is_no_url_of_the_web_is_refused(named: ServiceProcess, target: str) -> None:
    assert problem(send(named, "GET", target)) == (400, "bad-request")


def test_a_url_in_a_path_or_a_query_is_none_of_these(named: ServiceProcess) -> None:
    assert send(named, "GET", "/greet?next=http://evil.example/").status == 200
    assert send(named, "GET", "/jobs/http://evil.example/").status == 404


def test_host_is_still_needed_once(named: ServiceProcess) -> None:
    missing = ask(named.port, [b"GET http://good.example/greet HTTP/1.1\r\nConnection: close\r\n\r\n"])
    assert problem(missing) == (400, "bad-request")
    twice = b"GET http://good.example/greet HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"
    assert problem(ask(named.port, [twice])) == (400, "bad-request")
    assert ask(named.port, [b"GET http://good.example/greet HTTP/1.0\r\n\r\n"]).status == 200
