"""What the calls of tools carry, seen by a server that they call: docs/platform-calls.md."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.ivcap.recorder import Call, Recorder
from tests.ivcap.ways_to_call import ASYNC, SYNC
from tests.support.service_process import ServiceProcess

SERVICE = Path(__file__).with_name("calling_service.py")
TOKEN = "Bearer the-token-of-the-job"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WAYS = {"in-thread": SYNC, "in-process": SYNC, "in-task": ASYNC}
MARKS = ("Ivcap-Job-Id", "Authorization", "traceparent", "tracestate", "Ivcap-Forward-Url", "baggage")

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def service(recorder: Recorder) -> Iterator[ServiceProcess]:
    env = {"IVCAP_URL": "http://Api.Platform.test/", "LITELLM_PROXY": recorder.url("litellm.local", "/llm")}
    with ServiceProcess(SERVICE, env=env, seconds=100) as service:
        yield service


@pytest.fixture(autouse=True)
def _none_left(recorder: Recorder) -> None:
    recorder.take()


def order(service: ServiceProcess, path: str, job_id: str, *urls: str, **more: object) -> None:
    headers = {"job-id": job_id, "Authorization": TOKEN, "traceparent": TRACE, "tracestate": "a=1"}
    headers["baggage"] = "user=alice"
    answer = httpx.post(f"{service.url}/{path}", json={"urls": urls, **more}, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert not set(answer.json()["answers"]) - {"200", "asked"}


def marks(call: Call) -> dict[str, str]:
    return {name: value for name in MARKS if (value := call.of(name)) is not None}


def all_marks(job_id: str) -> dict[str, str]:
    return {"Ivcap-Job-Id": job_id, "Authorization": TOKEN, "traceparent": TRACE, "tracestate": "a=1"}


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("host", ["x.local", "x.minikube", "other.ivcap.net", "A.B.IVCAP.NET", "api.platform.test"])
def test_a_call_to_the_platform_carries_job_token_and_trace_once(
    service: ServiceProcess, recorder: Recorder, path: str, host: str
) -> None:
    order(service, path, f"p-{path}-{host}", recorder.url(host, "/x?q=1"))
    calls = recorder.take()
    assert Counter(call.of("X-Way") for call in calls) == Counter(list(WAYS[path]))
    for call in calls:
        assert marks(call) == all_marks(f"p-{path}-{host}"), call.of("X-Way")
        assert (call.path, call.host.lower()) == ("/x?q=1", host.lower())


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize(
    "host",
    ["other.example.test", "127.0.0.1", "notivcap.net", "ivcap.net.test", "a.ivcap.net@evil.test", "xlocal.test"],
)
def test_a_call_to_a_stranger_carries_nothing(
    service: ServiceProcess, recorder: Recorder, path: str, host: str
) -> None:
    order(service, path, f"s-{path}-{host}".replace("@", "-"), recorder.url(host))
    calls = recorder.take()
    assert Counter(call.of("X-Way") for call in calls) == Counter(list(WAYS[path]))
    for call in calls:
        seen = marks(call)
        if "@" in host:  # a user name, which the clients send as they do
            assert "the-token" not in seen.pop("Authorization", "")
        assert seen == {}, call.of("X-Way")


@pytest.mark.parametrize("path", WAYS)
def test_each_hop_of_a_redirect_is_judged_by_its_own_host(
    service: ServiceProcess, recorder: Recorder, path: str
) -> None:
    stranger, platform = recorder.url("other.test", "/end"), recorder.url("x.local", "/end")
    order(service, path, f"r1-{path}", recorder.url("x.ivcap.net", f"/to/{stranger}"))
    calls = recorder.take()
    assert Counter((call.host, call.of("X-Way")) for call in calls) == Counter(
        (host, way) for host in ("x.ivcap.net", "other.test") for way in WAYS[path]
    )
    for call in calls:
        assert marks(call) == (all_marks(f"r1-{path}") if call.host == "x.ivcap.net" else {})
    order(service, path, f"r2-{path}", recorder.url("other.test", f"/to/{platform}"))
    for call in recorder.take():
        assert marks(call) == ({} if call.host == "other.test" else all_marks(f"r2-{path}"))


@pytest.mark.parametrize("path", WAYS)
def test_what_the_tool_has_set_itself_stays(service: ServiceProcess, recorder: Recorder, path: str) -> None:
    own = {"authorization": "Basic b3duOm93bg==", "Traceparent": TRACE.replace("a", "b"), "Ivcap-Job-Id": "mine"}
    order(service, path, f"o-{path}", recorder.url("x.local"), fields=own)
    calls = recorder.take()
    assert len(calls) == len(WAYS[path])
    for call in calls:
        assert marks(call) == {
            "Ivcap-Job-Id": "mine",
            "Authorization": "Basic b3duOm93bg==",
            "traceparent": TRACE.replace("a", "b"),
        }


@pytest.mark.parametrize("path", ["ask-in-thread", "ask-in-process", "ask-in-task"])
def test_a_language_model_behind_the_platform_is_asked_with_job_and_token(
    service: ServiceProcess, recorder: Recorder, path: str
) -> None:
    order(service, path, f"llm-{path}")
    (call,) = recorder.take()
    assert (call.method, call.path, call.host) == ("POST", "/llm/v1/chat/completions", "litellm.local")
    assert marks(call) == all_marks(f"llm-{path}")


def test_a_thread_of_the_tool_needs_the_context_of_the_job(service: ServiceProcess, recorder: Recorder) -> None:
    order(service, "in-own-thread", "own", recorder.url("x.local"))
    assert [marks(call) for call in recorder.take()] == [{}] * len(SYNC)
    order(service, "in-own-thread", "copied", recorder.url("x.local"), llm_base_url="copied")
    assert [marks(call) for call in recorder.take()] == [all_marks("copied")] * len(SYNC)


@pytest.mark.parametrize("path", WAYS)
def test_two_hundred_jobs_at_once_are_never_mixed(service: ServiceProcess, recorder: Recorder, path: str) -> None:
    way = {"in-task": "httpx2.AsyncClient"}.get(path, "httpx.get")
    ways = [way] if path == "in-task" else [way, "an old session", "httpx2.get"]

    def job(number: int) -> None:
        headers = {"job-id": f"{path}-{number}", "Authorization": f"Bearer secret-{path}-{number}"}
        headers["Timeout"] = "150"
        urls = [recorder.url("x.local", f"/{number}"), recorder.url("other.test", f"/{number}")]
        answer = httpx.post(f"{service.url}/{path}", json={"urls": urls, "ways": ways}, headers=headers, timeout=150)
        assert answer.status_code == 200

    with ThreadPoolExecutor(200) as pool:
        list(pool.map(job, range(200)))
    calls = recorder.take()
    assert len(calls) == 2 * 200 * len(ways)
    for call in calls:
        number = call.path.removeprefix("/")
        mine = {"Ivcap-Job-Id": f"{path}-{number}", "Authorization": f"Bearer secret-{path}-{number}"}
        assert marks(call) == (mine if call.host == "x.local" else {})
