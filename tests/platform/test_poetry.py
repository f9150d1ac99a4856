"""The example project with the real poetry and its plugin for IVCAP; `ivcap` and `docker` are stand-ins."""

import json
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.poetry_project import ACCOUNT, TOKEN, PoetryProject
from tests.support.service_command import EXAMPLES

PROJECT = EXAMPLES / "ivcap-project"
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
SERVICE_ID = PYPROJECT["tool"]["poetry-plugin-ivcap"]["service-id"]
PORT = str(PYPROJECT["tool"]["poetry-plugin-ivcap"]["port"])
HAMLET = {"words": 10, "most_frequent": {"to": 2, "be": 2}}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PoetryProject:
    return PoetryProject(PROJECT, tmp_path_factory.mktemp("poetry"))


def json_in(output: str) -> Any:
    """The JSON that is printed behind the plugin's own lines."""
    return json.loads(output[output.index("{") :])


def test_the_project_s_own_tests_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_plugin_is_the_one_that_is_locked(project: PoetryProject) -> None:
    assert "IVCAP plugin (version 0.6.1 - cli 0.47.0)" in project.poetry("ivcap", "version")


def test_the_service_id_is_the_project_s_or_made_of_name_and_account(project: PoetryProject) -> None:
    assert project.poetry("ivcap", "get-service-id").strip() == SERVICE_ID
    made = uuid.uuid5(uuid.NAMESPACE_DNS, f"word_count{ACCOUNT}")
    assert project.poetry("ivcap", "create-service-id").splitlines()[-1] == f"urn:ivcap:service:{made}"


def test_the_tool_is_described_and_registered(project: PoetryProject) -> None:
    description = json_in(project.poetry("ivcap", "get-tool-description"))
    assert description["name"] == "word_count"
    assert description["service-id"] == SERVICE_ID
    assert set(description["fn_schema"]["properties"]) == {"text", "artifact", "top"}
    assert "tool description successfully uploaded - urn:ivcap:aspect:" in project.poetry("ivcap", "tool-register")
    update = project.calls_of("ivcap", "aspect", "update")[-1]
    assert json.loads(update["content"]) == description
    assert update["command"][3:6] == ["--policy", "urn:ivcap:policy:ivcap.base.metadata", SERVICE_ID]


def test_the_image_is_built_published_and_the_service_is_registered(project: PoetryProject) -> None:
    image = f"word_count_amd64:{project.commit}"
    assert "Docker build completed successfully" in project.poetry("ivcap", "docker-build")
    build = project.calls_of("docker", "buildx", "build")[-1]["command"]
    version = next(word for word in build if word.startswith("VERSION=")).removeprefix("VERSION=")
    assert version.split("|")[:2] == ["0.1.0", project.commit]
    assert build[build.index("-f") + 1] == f"{project.folder}/Dockerfile"

    published = project.poetry("ivcap", "docker-publish")
    assert "package push completed successfully" in published
    assert project.calls_of("ivcap", "package", "push")[-1]["command"][-1] == image

    definition = json_in(project.poetry("ivcap", "get-service-description"))
    assert definition["$id"] == SERVICE_ID
    assert definition["controller-schema"] == "urn:ivcap:schema.service.rest.1"
    controller = definition["controller"]
    assert controller["image"] == f"{ACCOUNT.rpartition(':')[2]}/{image}"
    assert controller["command"] == ["python", "/app/word_count.py"]
    assert controller["resources"] == json.loads((PROJECT / "resources.json").read_text("utf-8"))

    assert "service definition successfully uploaded" in project.poetry("ivcap", "service-register")
    assert json.loads(project.calls_of("ivcap", "aspect", "update")[-1]["content"]) == definition


def test_the_image_is_run_on_the_project_s_port(project: PoetryProject) -> None:
    assert "Docker run completed successfully" in project.poetry("ivcap", "docker-run")
    run = project.calls_of("docker", "run")[-1]["command"]
    assert f"{PORT}:{PORT}" in run
    assert f"IVCAP_JWT={TOKEN}" in run
    assert run[-2:] == ["--port", PORT]
    assert run[-3].startswith("word_count_")


# --- a service that runs, and jobs by the plugin ---


@pytest.fixture(scope="module")
def service(project: PoetryProject) -> Iterator[list[str]]:
    with project.running_service("--with-platform-api", IVCAP_URL=project.url, IVCAP_JWT=TOKEN) as lines:
        yield lines


def test_run_serves_the_project_by_its_version(project: PoetryProject, service: list[str]) -> None:
    version = httpx.get(f"{project.url}/_healtz").json()["version"]
    assert version.startswith(f"0.1.0|{project.commit}|")
    request = (PROJECT / "tests/hamlet.json").read_bytes()
    assert httpx.post(project.url, content=request).json() == HAMLET


def test_a_job_gives_its_result(project: PoetryProject, service: list[str]) -> None:
    assert json_in(project.poetry("ivcap", "job-exec", "tests/hamlet.json")) == HAMLET


def test_a_job_that_is_not_waited_for_is_asked_for(project: PoetryProject, service: list[str]) -> None:
    output = project.poetry("ivcap", "job-exec", "tests/both.json", "--", "--timeout", "0")
    record = json_in(output[output.index("Polling in") :])
    assert record["status"] == "failed"
    assert record["result-content"]["error"] == "give either 'text' or 'artifact'"


def test_a_job_s_events_are_shown_to_its_end(project: PoetryProject, service: list[str]) -> None:
    output = project.poetry("ivcap", "job-exec", "tests/hamlet.json", "--", "--stream")
    events = [json.loads(text) for text in output.split("----\n")[1:]]
    assert [event["type"] for event in events[-2:]] == ["ivcap.job.result", "ivcap.job.status"]
    assert events[-1]["Data"]["status"] == "succeeded"
    assert [event["SeqID"] for event in events] == [f"{number:08d}" for number in range(1, len(events) + 1)]


def test_raw_events_come_once_each(project: PoetryProject, service: list[str]) -> None:
    with project.following("ivcap", "job-exec", "tests/hamlet.json", "--", "--stream", "--raw-events") as lines:
        seen: list[dict[str, Any]] = []
        for line in lines:
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
                if seen[-1]["Data"].get("status") == "succeeded":
                    break
    assert [event["SeqID"] for event in seen] == [f"{number:08d}" for number in range(1, len(seen) + 1)]


def test_the_log_says_where_the_api_and_the_artifacts_are(project: PoetryProject, service: list[str]) -> None:
    assert any(
        f"the platform's job API is at /1, artifacts are in {project.folder}/artifacts" in line for line in service
    )


def test_the_tool_reads_an_artifact_of_its_own_service(project: PoetryProject, service: list[str]) -> None:
    href = httpx.post(f"{project.url}/1/artifacts", headers={"X-Content-Type": "text/plain"}).json()["data-href"]
    append = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    httpx.patch(href, headers=append, content=b"one two two")
    request = project.folder / "artifact.json"
    request.write_text(json.dumps({"artifact": httpx.URL(href).path.split("/")[3], "top": 1}))
    result = json_in(project.poetry("ivcap", "job-exec", "artifact.json"))
    assert result == {"words": 3, "most_frequent": {"two": 2}}
