"""Credentials of every kind by raw sockets to a real service: no byte that is sent ends it, or is in its log."""

from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_kit.testing import FakeIssuer
from tests.auth.keys import Key
from tests.callers.credential_fuzz import SLOW_OR_LARGE, Fuzzed, Known, fuzzed_fields
from tests.callers.test_fuzzed_credentials import CLOSED, JOB, OPEN, leaked
from tests.support.raw_http import RawAnswer, ask
from tests.support.service_process import ServiceProcess

FILE = Path(__file__).with_name("service.py")


class Running(NamedTuple):
    process: ServiceProcess
    known: Known


def send(port: int, route: tuple[str, str], fields: list[tuple[bytes, bytes]]) -> RawAnswer:
    method, path = route
    body = b"{}" if method == "POST" else b""
    usual = [(b"Host", b"localhost"), (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
    lines = [b"%s: %s\r\n" % field for field in (*usual, *fields)]
    head = f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(lines) + b"\r\n"
    return ask(port, [head + body])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    key = Key("ann")
    keys = tmp_path_factory.mktemp("service") / "keys"
    keys.write_text(key.line + "\n")
    with FakeIssuer() as issuer:
        env = {"CALLERS_KEYS": str(keys), "CALLERS_ISSUER": issuer.url, "LAMBDA_KIT_LOG_LEVEL": "DEBUG"}
        with ServiceProcess(FILE, ["--debug", "--access-log"], env=env, seconds=60) as process:
            first = send(process.port, ("POST", "/who"), [(b"X-API-Key", key.key.encode()), (b"Job-Id", JOB.encode())])
            assert (first.status, first.body) == (200, b"key:ann")
            yield Running(process, Known(key.key, "key:ann", issuer, "ann", f"oidc:{issuer.url}#ann"))


@pytest.mark.parametrize("examples", [60, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_no_credential_that_is_sent_ends_a_service_or_is_in_its_log(running: Running, examples: int) -> None:
    sent: list[tuple[bytes, bytes]] = []

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=SLOW_OR_LARGE)
    @given(fuzzed=fuzzed_fields(running.known), route=st.sampled_from(CLOSED * 2 + OPEN))
    def try_it(fuzzed: Fuzzed, route: tuple[str, str]) -> None:
        sent.extend(fuzzed.fields)
        got = send(running.process.port, route, fuzzed.fields)
        if got.status < 300:
            assert route in OPEN or fuzzed.may_be, got
            assert route in OPEN or JOB.encode() not in got.body
            assert route != ("POST", "/who") or got.body.decode() in fuzzed.may_be
        else:
            assert got.status in (400, 401, 404, 431), got
            assert got.status != 404 or fuzzed.may_be
            assert leaked(got.body.decode("latin-1"), fuzzed.fields) == set()
        assert got.status != 401 or "www-authenticate" in got.headers

    before = len(running.process.log)
    try_it()
    running.process.assert_alive()
    log = running.process.log[before:]
    assert "Traceback" not in log
    assert "ERROR" not in log
    assert leaked(log, sent) == set()
