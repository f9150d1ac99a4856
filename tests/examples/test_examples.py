"""The examples, run as their texts say, from outside."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service_command import EXAMPLES
from tests.support.service_process import ServiceProcess

# --- echo ---


@pytest.fixture(scope="module")
def echo() -> Iterator[ServiceProcess]:
    with ServiceProcess(EXAMPLES / "echo.py") as service:
        yield service


def test_echo_gives_back_what_it_is_sent(echo: ServiceProcess) -> None:
    answer = httpx.post(f"{echo.url}/", json={"message": "Hello, IVCAP!"})
    assert answer.status_code == 200
    assert answer.json() == {"$schema": "urn:example:schema:echo.1", "echo": "Hello, IVCAP!"}


def test_an_echo_can_be_collected_later(echo: ServiceProcess) -> None:
    headers = {"Prefer": "respond-async"}
    later = httpx.post(f"{echo.url}/", json={"message": "later"}, headers=headers)
    assert later.status_code == 204
    assert later.headers["Location"].startswith("/jobs/")
    collected = httpx.get(echo.url + later.headers["Location"], headers={"Prefer": "wait=10"})
    assert collected.json()["echo"] == "later"


def test_echo_logs_its_lines_once(echo: ServiceProcess) -> None:
    log = echo.wait_for_log("ready: jobs are taken")  # which comes after it: a service answers before its log is read
    assert log.count("Uvicorn running on") == 1


# --- greeter ---


@pytest.fixture(scope="module")
def greeter() -> Iterator[ServiceProcess]:
    with ServiceProcess(EXAMPLES / "greeter.py") as service:
        yield service


def test_greet_repeats_its_greeting(greeter: ServiceProcess) -> None:
    answer = httpx.post(f"{greeter.url}/greet", json={"name": "Ada", "count": 2, "mood": "happy"})
    expected = {
        "$schema": "urn:example:schema:greet.1",
        "greeting": "Hello, Ada! Hello, Ada!",
        "mood": "happy",
    }
    assert answer.json() == expected


@pytest.mark.parametrize("path", ["/greet", "/many/things"])
@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("value", 400, "ValueError"),
        ("runtime", 500, "RuntimeError"),
        ("exit", 500, "SystemExit"),
        ("base", 500, "Stop"),
        ("none", 500, "no-result-error"),
        ("colour", 400, "ValueError"),
    ],
)
def test_the_greeter_fails_as_it_is_asked_to_and_lives_on(
    greeter: ServiceProcess, path: str, kind: str, status: int, error: str
) -> None:
    answer = httpx.post(greeter.url + path, json={"name": "Ada", "fail": kind})
    assert (answer.status_code, answer.json()["type"]) == (status, error)
    greeter.assert_alive()


@pytest.mark.parametrize("path", ["/greet", "/many/things"])
def test_the_greeter_takes_the_time_it_is_asked_for(greeter: ServiceProcess, path: str) -> None:
    request = {"name": "Ada", "sleep": 0.5}
    first = httpx.post(greeter.url + path, json=request, headers={"Timeout": "0"})
    assert first.status_code == 204
    collected = httpx.get(greeter.url + first.headers["Location"], headers={"Prefer": "wait=20"})
    assert collected.status_code == 200
    assert "Ada" in collected.json()["greeting"]


# --- artifact size ---


def test_the_size_of_an_artifact_is_told_on_a_laptop(tmp_path: Path) -> None:
    content = b"x" * 20_000
    (tmp_path / "data.bin").write_bytes(content)
    kept = tmp_path / "kept" / "artifacts"
    kept.mkdir(parents=True)
    (kept / "a-1.bin").write_bytes(content)
    with ServiceProcess(EXAMPLES / "artifact_size.py", env={"IVCAP_LOCAL_DIR": str(tmp_path / "kept")}) as service:
        for artifact_id in (
            str(tmp_path / "data.bin"),
            f"urn:file://{tmp_path}/data.bin",
            "urn:ivcap:artifact:a-1",
        ):
            result = run(service, {"artifact_id": artifact_id, "summary": "size.csv"})
            assert result["size"] == 20_000
            assert result["summary"] == f"urn:file://{kept}/size.csv"
            assert (kept / "size.csv").read_text() == f"{artifact_id},20000\n"
        answer = httpx.post(f"{service.url}/", json={"artifact_id": "/no/such/file"})
        assert (answer.status_code, answer.json()["detail"]) == (400, "file '/no/such/file' does not exist")
        answer = httpx.post(f"{service.url}/", json={"artifact_id": str(tmp_path / "data.bin")})
        events = httpx.get(f"{service.url}/jobs/{answer.headers['job-id']}/events").text
        assert [f'"bytes":{size}' in events.replace(" ", "") for size in (8192, 16384, 20000)] == [True] * 3


# --- test kit ---


@pytest.fixture(scope="module")
def artifact_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def testkit(artifact_folder: Path) -> Iterator[ServiceProcess]:
    env = {"IVCAP_LOCAL_DIR": str(artifact_folder)}
    with ServiceProcess(EXAMPLES / "testkit.py", env=env) as service:
        yield service


def run(service: ServiceProcess, request: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(f"{service.url}/", json=request, headers={"Timeout": "30"}, timeout=40)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def test_the_test_kit_burns_cpu_time(testkit: ServiceProcess) -> None:
    request = {"duration_seconds": 1, "target_cpu_percent": 50, "progress_interval_seconds": 1}
    result = run(testkit, {"echo": "busy", "consume_cpu": request})
    assert result["echo"] == "busy"
    assert result["consume_result"]["loops"] > 0


def test_the_test_kit_calls_a_url(testkit: ServiceProcess, called: str) -> None:
    call = {"method": "POST", "url": called, "params": {"a": "1"}, "data": {"b": 2}}
    assert run(testkit, {"call": call})["call_result"] == {"path": "/there?a=1", "body": {"b": 2}}


def test_the_test_kit_tells_of_a_call_that_fails(testkit: ServiceProcess, called: str) -> None:
    call = {"method": "GET", "url": called}
    assert "501" in run(testkit, {"call": call})["call_result"]["error"]


def test_the_test_kit_sends_events(testkit: ServiceProcess) -> None:
    assert run(testkit, {"events": {"count": 3, "sleep": 0}})["event_result"] == {"count": 3}


def test_the_test_kit_plays_wordle(testkit: ServiceProcess) -> None:
    result = run(testkit, {"wordle": {"max_attempts": 60}})["wordle_result"]
    assert 1 <= result["attempts"] <= 60
    assert len(result["secret"]) == 5


def test_the_test_kit_copies_an_artifact_that_is_a_local_file(
    testkit: ServiceProcess, artifact_folder: Path, tmp_path: Path
) -> None:
    original = tmp_path / "numbers.csv"
    original.write_bytes(b"1,2,3\n" * 5)
    urn = f"urn:file://{original}"
    request = {"artifact_urn": urn, "upload_also": True, "chunk_size_bytes": 8}
    result = run(testkit, {"artifact": request})["artifact_result"]
    assert (result["artifact_urn"], result["name"], result["mime_type"]) == (urn, "numbers.csv", "text/csv")
    assert (result["downloaded_bytes"], result["chunk_count"]) == (30, 4)
    copy = artifact_folder / "artifacts" / "numbers.csv"
    assert result["uploaded_artifact_urn"] == f"urn:file://{copy}"
    assert copy.read_bytes() == original.read_bytes()


def test_the_test_kit_reads_an_artifact_that_is_a_data_url(testkit: ServiceProcess) -> None:
    request = {"artifact_urn": "data:text/plain;base64,aGVsbG8gd29ybGQ=", "chunk_size_bytes": 4}
    result = run(testkit, {"artifact": request})["artifact_result"]
    assert (result["mime_type"], result["downloaded_bytes"], result["chunk_count"]) == ("text/plain", 11, 3)


def test_a_test_kit_job_that_exits_fails_and_the_service_lives_on(testkit: ServiceProcess) -> None:
    request = {"consume_cpu": {"duration_seconds": 0, "exit_code_at_end": 3}}
    answer = httpx.post(f"{testkit.url}/", json=request)
    assert (answer.status_code, answer.json()["type"]) == (500, "SystemExit")
    testkit.assert_alive()


@pytest.fixture(scope="module")
def called() -> Iterator[str]:
    """The URL of something to be called; it answers a POST with what it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps({"path": self.path, "body": body}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/there"
        server.shutdown()


# --- upload ---


@pytest.fixture(scope="module")
def upload() -> Iterator[ServiceProcess]:
    with ServiceProcess(EXAMPLES / "upload.py") as service:
        yield service


def test_upload_counts_the_words_of_files(upload: ServiceProcess) -> None:
    files = [("text", ("a.txt", b"one two Two")), ("more", ("b.txt", b"two three"))]
    answer = httpx.post(f"{upload.url}/count-words", files=files, data={"at_least": "3"})
    assert answer.json() == {
        "files": ["a.txt", "b.txt"],
        "words": 5,
        "most_common": {"two": 3, "one": 1, "three": 1},
    }


def test_upload_makes_a_picture_of_a_file(upload: ServiceProcess) -> None:
    answer = httpx.post(f"{upload.url}/picture", content=bytes(range(9)))
    assert answer.headers["content-type"] == "image/x-portable-graymap"
    assert answer.content == b"P5 3 3 255\n" + bytes(range(9))
