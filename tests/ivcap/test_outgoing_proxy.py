"""``$IVCAP_PROXY_URL``: calls to strangers go by the platform's proxy."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lambda_kit.testing.recording_server import Answer
from tests.ivcap.recorder import Call, Recorder
from tests.ivcap.ways_to_call import ASYNC, SYNC
from tests.support.dead_proxies import DEAD_PROXIES
from tests.support.service_process import ServiceProcess

SERVICE = Path(__file__).with_name("calling_service.py")
WAYS = {"in-thread": SYNC, "in-process": SYNC, "in-task": ASYNC}
TOKEN = "Bearer the-token-of-the-job"

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


def redirect(call: Call) -> Answer | None:
    forwarded = call.headers.get("Ivcap-Forward-Url", "")
    return Answer(302, {"Location": "/end?a=b"}, b"") if forwarded.endswith("/go") else None


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder(redirect) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def deliveries() -> Iterator[Recorder]:
    """Takes the results, for which the service would wait at its end."""
    with Recorder() as taker:
        yield taker


@pytest.fixture(scope="module")
def service(recorder: Recorder, deliveries: Recorder) -> Iterator[ServiceProcess]:
    env = {
        **DEAD_PROXIES,
        "IVCAP_BASE_URL": deliveries.url("sidecar.test", ""),
        "IVCAP_PROXY_URL": recorder.url("egress.test", "/proxy"),
        "NO_PROXY": ".local,egress.test,sidecar.test",
        "no_proxy": ".local,egress.test,sidecar.test",
    }
    with ServiceProcess(SERVICE, env=env, seconds=100, exit_code=None) as service:
        yield service


def order(service: ServiceProcess, path: str, job_id: str, *urls: str, **more: object) -> None:
    headers = {"job-id": job_id, "Authorization": TOKEN, "Timeout": "100"}
    answer = httpx.post(f"{service.url}/{path}", json={"urls": urls, **more}, headers=headers, timeout=100)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["answers"]) == {"200"}


@pytest.mark.parametrize("path", WAYS)
def test_calls_to_strangers_go_by_the_proxy_with_job_and_token(
    service: ServiceProcess, recorder: Recorder, path: str
) -> None:
    ways, port = WAYS[path], recorder.port
    recorder.take()
    order(service, path, f"a-{path}", "http://user:word@other.test:1/a?b=c%20d#e", fields={"X-Own": "1"})
    calls = recorder.take()
    assert sorted(call.of("X-Way") or "" for call in calls) == sorted(ways)
    for call in calls:
        assert (call.method, call.path, call.headers["Host"]) == ("GET", "/proxy", f"egress.test:{port}")
        assert call.of("Ivcap-Forward-Url") == "http://other.test:1/a?b=c%20d"
        assert call.of("Ivcap-Job-Id") == f"a-{path}"
        assert call.of("X-Own") == "1"


@pytest.mark.parametrize("path", WAYS)
def test_redirects_and_the_platform_of_a_service_behind_a_proxy(
    service: ServiceProcess, recorder: Recorder, path: str
) -> None:
    recorder.take()
    order(service, path, f"b-{path}", recorder.url("x.local", f"/to/http://other.test:{recorder.port}/go"))
    by_way: dict[str, list[Call]] = {}
    for call in recorder.take():
        by_way.setdefault(call.of("X-Way") or "", []).append(call)
    assert by_way.keys() == set(WAYS[path])
    for calls in by_way.values():
        assert [(call.host, call.of("Ivcap-Forward-Url")) for call in calls] == [
            ("x.local", None),
            ("egress.test", f"http://other.test:{recorder.port}/go"),
            ("egress.test", f"http://other.test:{recorder.port}/end?a=b"),
        ]
        assert all(call.of("Authorization") == TOKEN and call.of("Ivcap-Job-Id") == f"b-{path}" for call in calls)
