"""`ctx.ivcap` on the platform: ivcap-client's own calls, with the job's authorization."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ivcap.platform_stand_in import ArtifactPlatform
from tests.ivcap.recorder import Recorder
from tests.support.service_process import ServiceProcess

SERVICE = Path(__file__).with_name("artifact_service.py")
CONTENT = bytes(range(256)) * 300
PATHS = ["in-thread", "in-process", "in-task"]

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def platform() -> ArtifactPlatform:
    return ArtifactPlatform()


@pytest.fixture(scope="module")
def recorder(platform: ArtifactPlatform) -> Iterator[Recorder]:
    with Recorder(platform.answer) as recorder:
        yield recorder


@pytest.fixture(scope="module", params=["by poetry ivcap run", "beside a sidecar"])
def service(request: pytest.FixtureRequest, recorder: Recorder) -> Iterator[ServiceProcess]:
    url = recorder.url("127.0.0.1", "/")
    beside = request.param == "beside a sidecar"
    env = {"IVCAP_BASE_URL": url[:-1]} if beside else {"IVCAP_URL": url, "IVCAP_JWT": "jwt-of-the-user"}
    with ServiceProcess(SERVICE, env=env, seconds=100, exit_code=None) as service:
        yield service


def copy(service: ServiceProcess, path: str, urn: str, authorization: str | None) -> dict[str, Any]:
    headers = {"Timeout": "100"} | ({} if authorization is None else {"Authorization": authorization})
    answer = httpx.post(f"{service.url}/{path}", json={"urn": urn}, headers=headers, timeout=100)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("authorization", ["Bearer the-token", "OtherScheme the-token", "BearerTOK"])
def test_artifacts_go_down_and_up_with_the_token_of_the_job(
    service: ServiceProcess, recorder: Recorder, platform: ArtifactPlatform, path: str, authorization: str
) -> None:
    urn = platform.add(CONTENT, "n.bin")
    recorder.take()
    done = copy(service, path, urn, authorization)
    assert done["size"] == len(CONTENT)
    kept = platform.artifacts[done["urn"]]
    assert (bytes(kept.content), kept.name, kept.mime_type) == (CONTENT, "copy of n.bin", "text/x-copy")
    with tarfile.open(fileobj=io.BytesIO(bytes(platform.artifacts[done["archive"]].content))) as tar:
        member = tar.extractfile("all")
        assert member is not None
        assert member.read() == CONTENT
    calls = [call for call in recorder.take() if call.path.startswith("/1/")]
    assert {call.method for call in calls} >= {"GET", "POST", "PATCH"}
    for call in calls:
        assert call.of("Authorization") == authorization, call
        assert call.of("Ivcap-Job-Id")


def test_a_thread_of_the_tool_may_use_the_client(
    service: ServiceProcess, recorder: Recorder, platform: ArtifactPlatform
) -> None:
    recorder.take()
    assert copy(service, "in-own-thread", platform.add(CONTENT), "Bearer the-token")["size"] == len(CONTENT)
    calls = [call for call in recorder.take() if call.path.startswith("/1/")]
    assert {call.of("Authorization") for call in calls} == {"Bearer the-token"}
    assert None not in {call.of("Ivcap-Job-Id") for call in calls}


def test_a_job_without_a_token_uses_that_of_the_user(
    service: ServiceProcess, recorder: Recorder, platform: ArtifactPlatform
) -> None:
    recorder.take()
    copy(service, "in-thread", platform.add(CONTENT), None)
    expected = {"Bearer jwt-of-the-user"} if "IVCAP_JWT" in service._env else {None}
    assert {call.of("Authorization") for call in recorder.take() if call.path.startswith("/1/")} == expected
