"""``--mcp-allowed-hosts`` and ``--mcp-allowed-origins``, with a real server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.mcp import words_service
from tests.support.service_command import EXAMPLES, run_to_end
from tests.support.service_process import ServiceProcess

FILE = Path(words_service.__file__)
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
FIELDS = {"accept": "application/json, text/event-stream"}

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def plain_service() -> Iterator[ServiceProcess]:
    with ServiceProcess(FILE) as service:
        yield service


@pytest.fixture(scope="module")
def plain(plain_service: ServiceProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=plain_service.url) as client:
        yield client


@pytest.fixture(scope="module")
def set_up() -> Iterator[httpx.Client]:
    flags = ["--mcp-allowed-hosts", "mcp.example.com,127.0.0.1", "--mcp-allowed-origins", "https://app.example.com"]
    with ServiceProcess(FILE, flags) as service, httpx.Client(base_url=service.url) as client:
        yield client


def ping(client: httpx.Client, **fields: str) -> int:
    return client.post("/mcp", json=PING, headers={**FIELDS, **fields}).status_code


def test_a_server_on_loopback_is_safe_without_any_setting(plain: httpx.Client):
    assert ping(plain) == ping(plain, host="localhost:8090") == ping(plain, origin="http://localhost:6274") == 200
    assert ping(plain, host="evil.example") == ping(plain, origin="https://evil.example") == 403
    assert ping(plain, host="evil.example", **{"x-forwarded-host": "localhost"}) == 403
    assert ping(plain, host="localhost", **{"x-forwarded-host": "api.example.com"}) == 200
    assert plain.post("/count-words", json={"text": "a b"}, headers={"host": "evil.example"}).json() == {"words": 2}


def test_the_flags_name_hosts_and_origins(set_up: httpx.Client):
    assert ping(set_up) == ping(set_up, host="mcp.example.com") == ping(set_up, origin="https://app.example.com") == 200
    assert ping(set_up, host="localhost") == ping(set_up, origin="https://evil.example") == 403


def test_they_go_with_the_flag_for_mcp_too():
    flags = ["--with-mcp", "--mcp-allowed-hosts", "mcp.example.com"]
    with ServiceProcess(EXAMPLES / "echo.py", flags) as service, httpx.Client(base_url=service.url) as client:
        assert (ping(client), ping(client, host="mcp.example.com")) == (403, 200)


@pytest.mark.parametrize("flag", ["--mcp-allowed-hosts", "--mcp-allowed-origins"])
def test_without_mcp_they_are_refused(flag: str):
    ended = run_to_end(EXAMPLES / "echo.py", flag, "*")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"{flag} is for MCP over HTTP, which is not served: add --with-mcp" in ended.stderr


@pytest.mark.parametrize(
    ("flag", "value", "text"),
    [
        ("--mcp-allowed-hosts", "http://a.example", "mcp_allowed_hosts: 'http://a.example' is no host"),
        ("--mcp-allowed-origins", "a.example", "mcp_allowed_origins: 'a.example' is no origin"),
        ("--mcp-allowed-origins", ",", "mcp_allowed_origins: names no origin"),
    ],
)
def test_a_wrong_value_is_named(flag: str, value: str, text: str):
    ended = run_to_end(FILE, flag, value)
    assert ended.returncode == 1
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_names_the_flags_and_their_variables():
    text = " ".join(run_to_end(FILE, "--help").stdout.split())
    for said in ("--mcp-allowed-hosts", "--mcp-allowed-origins"):
        assert said in text
        assert f"$LAMBDA_KIT_{said[2:].upper().replace('-', '_')}" in text


def test_without_a_login_it_warns_where_others_can_reach_it():
    open_to_all = ["--with-mcp", "--host", "0.0.0.0"]
    with ServiceProcess(EXAMPLES / "echo.py", open_to_all) as service:
        assert httpx.get(f"{service.url}/_livez").status_code == 200
        assert (
            service.log.count("WARNING (lambda_kit.server): there is no login: whoever can reach host 0.0.0.0 can run")
            == 1
        )


def test_on_this_machine_alone_there_is_no_warning(plain: httpx.Client, plain_service: ServiceProcess):
    assert ping(plain) == 200
    assert "no login" not in plain_service.log
