"""The original's calls from tools, as they were recorded, beside ours: the same, but for what is mended."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit.testing.recording_server import Answer
from tests.ivcap.platform_stand_in import ArtifactPlatform
from tests.ivcap.recorder import Call, Recorder
from tests.support.service_process import ServiceProcess

HERE = Path(__file__).parent
SERVICE = HERE / "calling_service.py"
TOKEN = "BearerTOK"
COMPARED = ("Host", "Ivcap-Job-Id", "Authorization", "Ivcap-Forward-Url", "traceparent", "tracestate", "baggage")

MENDED: dict[tuple[str, str], dict[str, str | None]] = {
    # who knows the id of a job may read its result
    ("o-ext", "/httpx?q=1"): {"Ivcap-Job-Id": None},
    ("o-ext", "/requests"): {"Ivcap-Job-Id": None},
    ("o-loop", "/httpx?q=1"): {"Ivcap-Job-Id": None},
    ("o-loop", "/requests"): {"Ivcap-Job-Id": None},
    # what the tool has set itself stays
    ("o-own", "/httpx"): {"Authorization": "Bearer mine"},
    # openai's client is httpx2's
    ("o-llm", "/llm/v1/chat/completions"): {"Ivcap-Job-Id": "o-llm", "Authorization": TOKEN},
    # the host is that of the proxy
    ("p-ext", "/proxy"): {"Host": "proxy.local"},
}
"""By job and path: fields in which ours differ. None: they are missing."""

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


def recorded(name: str) -> dict[str, list[dict[str, Any]]]:
    """What tools have called, by job. What was reported to the sidecar is the sidecar's matter."""
    jobs: dict[str, list[dict[str, Any]]] = {}
    calls: list[dict[str, Any]] = []
    for call in json.loads((HERE / "recordings" / name).read_text()):
        forwarded = call["headers"].get("Ivcap-Forward-Url", "")
        if "/results/" in call["path"] or "/results/" in forwarded:
            jobs[(forwarded or call["path"]).rpartition("/")[2]] = calls
            calls = []
        else:
            calls.append(call)
    return jobs


def as_expected(job_id: str, call: dict[str, Any]) -> dict[str, str]:
    fields = {name: value for name, value in call["headers"].items() if name.title() != "Content-Type"}
    fields = {next(known for known in COMPARED if known.lower() == name.lower()): fields[name] for name in fields}
    fields.setdefault("Host", "127.0.0.1")
    fields["Host"] = fields["Host"].partition(":")[0]
    if "Ivcap-Forward-Url" in fields:
        fields["Ivcap-Forward-Url"] = fields["Ivcap-Forward-Url"].replace(":21410", "")
    for name, value in MENDED.get((job_id, call["path"]), {}).items():
        if value is None:
            del fields[name]
        else:
            fields[name] = value
    return {"call": f"{call['method']} {call['path']}", **fields}


def as_seen(call: Call, port: int) -> dict[str, str]:
    fields = {name: value for name in COMPARED if (value := call.of(name)) is not None}
    fields["Host"] = call.host
    if "Ivcap-Forward-Url" in fields:
        fields["Ivcap-Forward-Url"] = fields["Ivcap-Forward-Url"].replace(f":{port}", "")
    return {"call": f"{call.method} {call.path}", **fields}


platform = ArtifactPlatform()
platform.add(b"0123456789", "n.txt")


def answer(call: Call) -> Answer | None:
    if call.path.startswith("/1/secret"):
        return Answer(200, {}, b'{"secret-value": "s3cr3t-value"}')
    return platform.answer(call)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder(answer) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def service(recorder: Recorder) -> Iterator[ServiceProcess]:
    env = {
        "IVCAP_BASE_URL": recorder.url("ivcap.local", ""),
        "LITELLM_PROXY": recorder.url("litellm.local", "/llm"),
        "SECRETMGR_PROXY": recorder.url("secretmgr.local", ""),
    }
    with ServiceProcess(SERVICE, env=env, seconds=100, exit_code=None) as service:
        yield service


def calls_of(service: ServiceProcess, recorder: Recorder, job_id: str, path: str, order: Any) -> list[dict[str, str]]:
    recorder.take()
    headers = {"job-id": job_id, "Authorization": TOKEN, "Timeout": "60"}
    got = httpx.post(f"{service.url}/{path}", json=order, headers=headers, timeout=60)
    assert got.status_code == 200, got.text
    calls = [call for call in recorder.take() if not call.path.startswith(("/results", "/events"))]
    return [as_seen(call, recorder.port) for call in calls]


def both(host: str) -> dict[str, list[tuple[str, str]]]:
    return {"in-thread": [("httpx.get", f"http://{host}/httpx?q=1"), ("requests.get", f"http://{host}/requests")]}


JOBS: dict[str, Any] = {
    "o-plat": both("other.ivcap.net"),
    "o-ext": both("other.example.test"),
    "o-loop": both("127.0.0.1"),
    "o-own": {"in-thread": [("httpx.get", "http://x.minikube/httpx")]},
    "o-thread": {"in-own-thread": [("requests.get", "http://x.ivcap.local/from-thread")]},
    "o-async": {"in-task": [("httpx.AsyncClient", "http://x.local/async")]},
    "o-llm": {"ask-in-thread": []},
    "o-secret": {"secret": []},
    "o-art": {"read-artifact": [("", "urn:ivcap:artifact:1")]},
}


def replayed(service: ServiceProcess, recorder: Recorder, job_id: str, steps: Any) -> list[dict[str, str]]:
    ((path, calls),) = steps.items()
    fields = {"Authorization": "Bearer mine"} if job_id == "o-own" else {}
    urls = [url for _, url in calls]
    if urls and urls[0].startswith("http"):
        urls = [re.sub(r"(//[^/]+)", rf"\1:{recorder.port}", url) for url in urls]
    if len(calls) < 2:
        ways = [way for way, _ in calls if way]
        return calls_of(service, recorder, job_id, path, {"urls": urls, "ways": ways, "fields": fields})
    orders = [{"urls": [url], "ways": [way]} for (way, _), url in zip(calls, urls, strict=True)]
    return calls_of(service, recorder, job_id, path, {"orders": orders})


@pytest.mark.parametrize("job_id", JOBS)
def test_a_job_calls_as_it_did_under_the_original(service: ServiceProcess, recorder: Recorder, job_id: str) -> None:
    was = [as_expected(job_id, call) for call in recorded("outbound-calls.json")[job_id]]
    assert replayed(service, recorder, job_id, JOBS[job_id]) == was


def test_every_recorded_job_is_compared() -> None:
    assert set(recorded("outbound-calls.json")) == set(JOBS)


@pytest.mark.parametrize(("job_id", "host"), [("p-ext", "other.example.test"), ("p-plat", "x.local")])
def test_a_job_calls_by_the_proxy_as_it_did_under_the_original(recorder: Recorder, job_id: str, host: str) -> None:
    env = {"IVCAP_PROXY_URL": recorder.url("proxy.local", "/proxy")}
    was = [as_expected(job_id, call) for call in recorded("outbound-by-proxy.json")[job_id]]
    with ServiceProcess(SERVICE, env=env, seconds=100) as service:
        assert replayed(service, recorder, job_id, both(host)) == was
