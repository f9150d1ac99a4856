"""What a tool puts of a request's authorization anywhere, and what else is secret of a request, gets nowhere."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lambda_kit.core.runtime.credentials import Credentials, credentials_in_use, guard_logs
from tests.support import leaky_service
from tests.support.service_process import ServiceProcess
from tests.support.store_dump import Dump, dump_of

pytestmark = pytest.mark.timeout(180)

FILE = Path(leaky_service.__file__)
SECONDS = 60.0
TOKEN = "eyJhbGci.0iJ_a-token~that+is/nowhere=="
QUOTED = "a\"b'c\\d\té-no-token-at-all"
AUTHORIZATIONS = [f"Bearer {TOKEN}", TOKEN, f"Custom {QUOTED}"]
OTHERS = {
    "Cookie": "sid=COOKIE-s3cret",
    "Proxy-Authorization": "Basic PROXY-s3cret",
    "X-API-Key": "KEY-s3cret",
    "X-Session": "SESSION-s3cret",
    "Idempotency-Key": "IDEMPOTENCY-s3cret",
    "Referer": "http://x/?token=REFERER-s3cret",
}
QUERY = "access_token=QUERY-s3cret"
SECRETS = [TOKEN, QUOTED, json.dumps(QUOTED)[1:-1], repr(QUOTED)[1:-1], "s3cret"]


@pytest.fixture(params=["memory-console", "sqlite-json", "redis-console", "postgres-json"])
def dump(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Dump, str]]:
    kind, _, log_format = request.param.partition("-")
    with dump_of(kind, tmp_path) as found:
        yield found, log_format


def assert_no_secret(text: str, where: str) -> None:
    found = [line[:500] for line in text.splitlines() if any(secret in line for secret in SECRETS)]
    assert not found, f"{where}: {found[:5]}"


def test_nothing_of_a_requests_credentials_is_stored_shown_or_logged(dump: tuple[Dump, str]) -> None:
    store, log_format = dump
    env = {"LAMBDA_KIT_STORE": store.url, "LAMBDA_KIT_LOG_FORMAT": log_format, "LAMBDA_KIT_LOG_LEVEL": "DEBUG"}
    with ServiceProcess(FILE, ["--debug", "--job-list", "--access-log"], env=env, seconds=SECONDS) as service:
        with httpx.Client(base_url=service.url, timeout=SECONDS) as client:
            for turn, path in enumerate(("/on-loop", "/on-thread", "/in-process")):
                for number, how in enumerate(leaky_service.ENDS):
                    authorization = AUTHORIZATIONS[(number + turn) % len(AUTHORIZATIONS)]
                    headers = {
                        **OTHERS,
                        "Idempotency-Key": OTHERS["Idempotency-Key"] + how,
                        "Authorization": authorization.encode("latin-1"),
                    }
                    answer = client.post(f"{path}?{QUERY}", json={"end": how}, headers=headers)  # type: ignore[arg-type]
                    assert answer.status_code in (200, 400, 500), answer.text
                    assert_no_secret(f"{answer.headers}{answer.text}", f"{path} {how}: answer")
                    assert answer.status_code == 200 or "***" in answer.text or how == "context"
                    assert how == "result" or answer.status_code > 200, answer.text
                    job_id = answer.headers.get("job-id") or answer.json()["instance"]
                    for door in (f"/jobs/{job_id}", f"/jobs/{job_id}/status", f"/jobs/{job_id}/events"):
                        text = client.get(door).text
                        assert_no_secret(text, f"{path} {how}: {door}")
                        assert "***" in text or not door.endswith("/events")
            assert_no_secret(client.get("/jobs").text, "the list")
            assert_no_secret(client.get("/metrics").text, "the metrics")
        assert_no_secret(store.read().decode(errors="replace"), "the store")
        log = service.wait_for_log("GET /jobs HTTP")
    assert_no_secret(log, "the log")
    for line in ("it is ***", "on a thread: ***", "Unauthorized: ***", "it has args that don't fit", "boom"):
        assert log.count(line) >= 9, line
    if log_format == "json":
        assert all(isinstance(json.loads(line), dict) for line in log.splitlines() if line.startswith("{"))


# --- in process: whatever logging there is ---


def test_a_record_has_no_credentials_for_any_handler(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some.tool")
    with guard_logs(), credentials_in_use(f"Bearer {TOKEN}"):
        try:
            raise RuntimeError(TOKEN)
        except RuntimeError:
            logger.exception("no %s", TOKEN, stack_info=True)
        logger.error("all is well: %s", 1)
    logger.error("later: %s", TOKEN)
    assert caplog.text.count(TOKEN) == 1
    assert "all is well: 1" in caplog.text
    assert "RuntimeError: ***" in caplog.text


def test_without_authorization_a_record_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    args = (1, "a")
    with guard_logs(), credentials_in_use(None), credentials_in_use(""):
        logging.getLogger("some.tool").error("%s %s", *args)
    assert caplog.records[-1].args == args


def test_two_jobs_of_one_token_hide_it_until_both_have_ended(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some.tool")
    with guard_logs(), credentials_in_use(TOKEN):
        with credentials_in_use(TOKEN):
            logger.error(TOKEN)
        logger.error(TOKEN)
    assert TOKEN not in caplog.text


def test_a_short_value_is_replaced_in_what_its_own_job_says_only(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some.tool")
    with guard_logs(), credentials_in_use("e"), credentials_in_use(TOKEN):
        logger.error("weather")
    with guard_logs(), credentials_in_use("e"):
        logger.error("weather")
    assert [record.getMessage() for record in caplog.records] == ["weather", "w***ath***r"]


@pytest.mark.parametrize("authorization", ['"', "}", '","', "{", "\\", "e", "Bearer "])
def test_what_is_replaced_in_json_leaves_it_json(authorization: str) -> None:
    body = {"a": f"x{authorization}y", "b": [authorization, 1, None, True], "e": {"c": "d"}}
    cleaned = json.loads(Credentials(authorization).json(json.dumps(body).encode()))
    first, second, *_ = cleaned.values()
    assert first == "x***y"
    assert second == ["***", 1, None, True]


def test_what_is_no_credential_is_left() -> None:
    credentials = Credentials("Bearer short")
    assert credentials.text("short; Bearer short; Bearer") == "short; ***; Bearer"
    assert Credentials("Bearer  long-enough").text("long-enough") == "***"
    assert Credentials(None).text("None") == "None"
    assert "long" not in repr(Credentials("Bearer long-enough"))
