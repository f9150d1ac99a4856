"""The sidecar of the platform gets the same calls from a service, whether it is built on ivcap-lambda or on this."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from lambda_kit.testing import FakeSidecar
from tests.support.original import original_python
from tests.support.service_process import ServiceProcess

FILE = Path(__file__).with_name("tools_of_both.py")
SECONDS = 60.0


class Job(NamedTuple):
    """A request: where to, and what."""

    path: str
    body: dict[str, Any]
    token: str | None = None


GREETINGS = ["none", "str", "bytes", "dict", "empty", "zero", "emptystr", "set", "object", "list", "binary"]
FAILURES = ["value", "runtime", "exit", "base"]
RICH = ["steps", "steperror", "valueerror", "valuesub", "pydantic", "unicode", "binstr", "file", "str", "id"]
JOBS = {
    "j-ok": Job("/greet", {"name": "Ann"}, "tok-1"),
    **{f"j-{kind}": Job("/greet", {"name": "Ann", "fail": kind}) for kind in GREETINGS + FAILURES},
    "j-async": Job("/greet-async", {"name": "Bob"}),
    **{f"r-{kind}": Job("/rich", {"kind": kind}, f"T-{kind}") for kind in RICH},
    "r-async": Job("/rich-async", {"kind": "a"}, "T4"),
}
NEVER_TOLD = {"j-exit", "j-base"}
"""What the original never tells the end of."""

TELLING = ("content-type", "authorization", "ivcap-job-id", "is-error")

Call = tuple[str, dict[str, str], Any]
Calls = dict[str, list[Call]]


def result(content_type: str, body: Any, *, is_error: bool = False) -> tuple[str, str, Any]:
    return content_type, str(is_error), body


def error(message: str, kind: str, traceback: str | None = None) -> tuple[str, str, Any]:
    members = {
        "$schema": "urn:ivcap:schema.service.error.1",
        "error": message,
        "type": kind,
        "traceback": traceback,
    }
    return result("application/json", list(members.items()), is_error=True)


# What is mended: results that the original takes for none or can't encode, the text where nobody can encode one, and
# ends that it never tells.
MENDED = {
    "j-empty": result("application/json", []),
    "j-zero": result("application/json", 0),
    "j-emptystr": result("text/plain", ""),
    "j-set": result("application/json", [1]),
    "j-object": error(
        "the result, of type object, can't be encoded: an object of type object can't be encoded as JSON",
        "TypeError",
        "...",
    ),
    "j-exit": error("3", "SystemExit", "..."),
    "j-base": error("loud", "Cry", "..."),
}


def read(content_type: str, body: bytes) -> Any:
    """A body, with the members of JSON objects in their order, and without the lines of tracebacks."""
    if content_type != "application/json":
        return body.decode(errors="backslashreplace")
    return json.loads(body, object_pairs_hook=without_lines)


def without_lines(members: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, "..." if name in ("traceback", "stacktrace") and value else value) for name, value in members]


def told_by(sidecar: FakeSidecar, job_id: str) -> list[Call]:
    return [
        (
            call.path,
            {name: call.headers[name] for name in TELLING if name in call.headers},
            read(call.headers["content-type"], call.body),
        )
        for call in sidecar.of(job_id)
    ]


def calls_of(side: str, python: Path | None, *, is_told: Callable[[str], bool]) -> Calls:
    """Run all jobs on one of the two, and see what its sidecar is told."""
    with FakeSidecar() as sidecar:
        env = {"TESTED_SIDE": side, "IVCAP_BASE_URL": sidecar.url}
        options: dict[str, Any] = {} if python is None else {"python": python, "exit_code": None}
        with ServiceProcess(FILE, env=env, seconds=SECONDS, **options) as service:
            for job_id, job in JOBS.items():
                headers = {"job-id": job_id, "Timeout": "2" if job_id in NEVER_TOLD else "60"}
                if job.token is not None:
                    headers["Authorization"] = f"Bearer {job.token}"
                # a connection of its own: after some failures the original closes it
                httpx.post(service.url + job.path, json=job.body, headers=headers, timeout=SECONDS)
                if is_told(job_id):
                    sidecar.wait_for_result(job_id, within_seconds=SECONDS)
        return {job_id: told_by(sidecar, job_id) for job_id in JOBS}


@pytest.fixture(scope="module")
def original() -> Calls:
    return calls_of("original", original_python(), is_told=lambda job_id: job_id not in NEVER_TOLD)


@pytest.fixture(scope="module")
def ours() -> Calls:
    return calls_of("ours", None, is_told=lambda _job_id: True)


def mended(job_id: str, calls: list[Call]) -> list[Call]:
    """The original's calls for a job, with what is mended."""
    token = JOBS[job_id].token
    authorization = {} if token is None else {"authorization": f"Bearer {token}"}
    events = [call for call in calls if call[0].startswith("/events/")]
    results = [call for call in calls if call[0].startswith("/results/")]
    if job_id in MENDED:
        content_type, is_error, body = MENDED[job_id]
        told = {"content-type": content_type, "ivcap-job-id": job_id, "is-error": is_error}
        results = [(f"/results/{job_id}", told, body)]
    # on results, the original has it on hosts of the platform only
    results = [(path, {**headers, **authorization}, body) for path, headers, body in results]
    return events + results


@pytest.mark.timeout(180)
@pytest.mark.parametrize("job_id", JOBS)
def test_the_sidecar_gets_the_calls_of_the_original_in_its_order(job_id: str, original: Calls, ours: Calls):
    assert ours[job_id] == mended(job_id, original[job_id])
