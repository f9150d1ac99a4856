"""`--run FILE` runs one request without a port and without the platform (docs/batch.md)."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lambda_kit.testing import FakeSidecar
from tests.batch.batch_process import SERVICE
from tests.support.service_command import ROOT, run_for_bytes

pytestmark = pytest.mark.timeout(240)  # each test starts processes

ENVELOPE = {"id": "urn:ivcap:job:e1", "in-content-type": "application/json", "in-content": {"kind": "x"}}


def run(*args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return run_for_bytes(SERVICE, *args, stdin=stdin, env={"PYTHONPATH": str(ROOT), **(env or {})})


def run_request(request: object, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return run("--run", "-", *args, stdin=json.dumps(request).encode(), env=env)


def test_the_result_alone_is_on_stdout(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"kind": "x"}')
    ended = run("--run", str(file))
    assert ended.returncode == 0
    result = json.loads(ended.stdout)
    assert list(result) == ["ok", "text"]
    assert result["text"].endswith("|None")
    assert b"printed by the tool" in ended.stderr


@pytest.mark.parametrize("flag", ["--run", "--test-file"])
def test_a_job_as_the_platform_hands_it_out_is_taken_and_nothing_is_sent(
    flag: str, tmp_path: Path, fake_sidecar: FakeSidecar
) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(ENVELOPE))
    ended = run(flag, str(file), "--test-without-sidecar", env={"IVCAP_BASE_URL": fake_sidecar.url})
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["text"] == "urn:ivcap:job:e1|None"
    assert fake_sidecar.calls == []


def test_text_ends_in_a_newline_and_bytes_are_as_they_are() -> None:
    assert run_request({"kind": "text"}).stdout == b"text\n"
    assert run_request({"kind": "image"}).stdout == b"\x89PNG"
    assert run_request({"kind": "file"}).stdout == SERVICE.read_bytes()


@pytest.mark.parametrize(
    ("kind", "told"), [("value", b"error: ValueError: bad"), ("exit", b"SystemExit: 7"), ("none", b"no-result-error")]
)
def test_a_failure_is_on_stderr_and_the_exit_code_is_1(kind: str, told: bytes) -> None:
    ended = run_request({"kind": kind})
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert told in ended.stderr


def test_all_faults_of_a_request_are_named_and_where_to_look() -> None:
    ended = run_request({"count": "many", "seconds": 1})
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"  kind: Field required" in ended.stderr
    assert b"  count: " in ended.stderr
    assert b"--print-tool-description worker" in ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", b"the request: Field required"),
        (b'{"kind"', b"Invalid JSON"),
        (json.dumps({**ENVELOPE, "in-content-type": "text/plain"}).encode(), b"'text/plain'"),
    ],
)
def test_what_is_no_request_is_refused_in_words(content: bytes, told: bytes) -> None:
    ended = run("--run", "-", stdin=content)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_file_that_is_not_there_and_a_tool_that_is_not_there_are_named() -> None:
    ended = run("--run", "nowhere.json")
    assert ended.returncode == 1
    assert b"nowhere.json can't be read: No such file" in ended.stderr
    ended = run_request({"kind": "x"}, "--tool", "wrker")
    assert ended.returncode == 1
    assert b"worker, size, upload" in ended.stderr


def test_a_tool_that_takes_any_bytes_gets_the_file(tmp_path: Path) -> None:
    file = tmp_path / "dot.png"
    file.write_bytes(b"\x89PNG")
    ended = run("--run", str(file), "--tool", "size")
    assert json.loads(ended.stdout) == {"bytes": 4, "type": "image/png", "name": "dot.png"}
    envelope = {**ENVELOPE, "in-content": {"content": "iVBORw==", "content_type": "image/png"}}
    ended = run_request(envelope, "--tool", "size")
    assert json.loads(ended.stdout) == {"bytes": 4, "type": "image/png", "name": None}


def test_a_file_in_base64_is_an_upload() -> None:
    ended = run_request({"file": {"filename": "a.txt", "content": "aGVsbG8="}}, "--tool", "upload")
    assert json.loads(ended.stdout) == {"bytes": 5, "name": "a.txt"}


def test_it_runs_in_a_worker_process_too() -> None:
    ended = run_request({"kind": "x"}, env={"TEST_EXECUTOR": "process"})
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["ok"] is True
    ended = run_request({"kind": "die"}, env={"TEST_EXECUTOR": "process"})
    assert ended.returncode == 1
    assert b"worker-lost" in ended.stderr


def test_the_jobs_of_a_store_in_the_environment_are_left_alone(tmp_path: Path) -> None:
    ended = run_request({"kind": "x"}, env={"LAMBDA_KIT_STORE": f"sqlite:///{tmp_path}/jobs.db"})
    assert ended.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_told_and_is_a_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        ended = subprocess.run(
            [sys.executable, str(SERVICE), "--run", "-"],
            check=False,
            input=b'{"kind": "x"}',
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert ended.returncode == 1
    assert b"can't be written" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_on_a_terminal_there_is_a_progress_bar_and_elsewhere_none() -> None:
    request = json.dumps({"kind": "progress", "count": 4}).encode()
    assert b"part" not in run("--run", "-", stdin=request).stderr
    terminal, side = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(SERVICE), "--run", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=side,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
    ) as process:
        os.close(side)
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.close()
        shown = b""
        try:
            while chunk := os.read(terminal, 4096):
                shown += chunk
        except OSError:  # the other side is closed
            pass
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["ok"] is True
    os.close(terminal)
    assert process.returncode == 0
    assert b"[##################------]  75% 3/4 part 3" in shown
    assert b"s: m" in shown
    assert shown.rstrip().endswith(b"\x1b[2K")  # the line is left empty


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_cancels_the_job(number: int, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, str(SERVICE), "--run", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b'{"kind": "sleep", "seconds": 300}')
        process.stdin.close()
        for line in process.stderr:
            if b"printed by the tool" in line:
                break
        process.send_signal(number)
        assert process.wait(60) == code
        assert b"was cancelled" in process.stderr.read()


# --- started by what has closed a standard stream, as daemons do ---


def run_without(closed: str, *args: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(SERVICE), *args]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *command],
        check=False,
        capture_output=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    file = tmp_path / "request.json"
    file.write_text('{"kind": "x"}')
    return str(file)


def test_a_request_from_a_closed_stdin_is_refused_in_words() -> None:
    ended = run_without("<&-", "--run", "-")
    assert ended.returncode == 1
    assert b"stdin is closed" in ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- >&-"])
def test_a_result_that_has_nowhere_to_go_is_an_error(closed: str, request_file: str) -> None:
    ended = run_without(closed, "--run", request_file)
    assert ended.returncode == 1
    assert b"the result can't be written: stdout is closed" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_without_stderr_the_result_alone_is_on_stdout(request_file: str) -> None:
    ended = run_without("2>&-", "--run", request_file)
    assert ended.returncode == 0
    assert list(json.loads(ended.stdout)) == ["ok", "text"]
