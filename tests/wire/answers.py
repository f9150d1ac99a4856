"""What the wire tests say of answers again and again."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

__all__ = [
    "JOB_URN",
    "assert_problem",
    "assert_same_answer",
    "assert_try_later",
    "bare_id",
    "eventually",
    "new_id",
    "polls",
]

JOB_URN = re.compile(r"urn:ivcap:job:([A-Za-z0-9._:-]{1,128})")

_PROBLEM_KEYS = ["type", "title", "status", "detail", "instance", "$schema", "message", "code", "errors", "traceback"]


def new_id() -> str:
    """A job id that no other test uses."""
    return f"test-{uuid.uuid4()}"


def bare_id(answer: httpx.Response) -> str:
    """The id in the `job-id` header, which must be a URN."""
    match = JOB_URN.fullmatch(answer.headers["job-id"])
    assert match, answer.headers["job-id"]
    return match[1]


def eventually(ask: Callable[[], httpx.Response], is_it: Callable[[httpx.Response], bool]) -> httpx.Response:
    """Ask until the answer is as it should be. For what the contract lets take its time, and of which nothing tells."""
    deadline = time.monotonic() + 60
    while True:
        answer = ask()
        if is_it(answer):
            return answer
        assert time.monotonic() < deadline, f"still {answer.status_code} {answer.text}"


def polls(path: str, job_id: str) -> list[str]:
    """Both places where a job's result is to be had; for a tool at / they are one."""
    return [f"/jobs/{job_id}"] if path == "/" else [f"/jobs/{job_id}", f"{path}/jobs/{job_id}"]


def assert_problem(answer: httpx.Response, status: int, *, job: bool = False, debug: bool = False) -> dict[str, Any]:
    """Fail unless it is an error of that status in the one shape; returns its body.

    Args:
        answer: What came back.
        status: The HTTP status.
        job: Whether there is a job: then the error names it.
        debug: Whether there is a traceback.
    """
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert list(body) == [key for key in _PROBLEM_KEYS if key in body]
    expected = set(_PROBLEM_KEYS) - {"instance", "errors", "traceback"}
    assert set(body) == expected | ({"instance"} if job else set()) | ({"errors"} if status == 422 else set()) | (
        {"traceback"} if debug else set()
    )
    assert (body["status"], body["code"]) == (status, status)
    assert body["$schema"] == "urn:ivcap:schema.ai-tool.error.1"
    assert body["message"] == body["detail"]
    assert body["detail"]
    assert all(isinstance(body[key], str) and body[key] for key in ("type", "title", "detail"))
    if job:
        assert body["instance"] == answer.headers["job-id"]
    return body


def assert_same_answer(poll: httpx.Response, post: httpx.Response) -> None:
    """Fail unless a poll of a finished job answers exactly what the POST did."""
    assert poll.status_code == post.status_code
    assert poll.content == post.content
    for name in ("content-type", "job-id", "content-length"):
        assert poll.headers.get(name) == post.headers.get(name), name


def assert_try_later(answer: httpx.Response, path: str, *, body: bool = False, seconds: int = 3) -> str:
    """Fail unless it says "try later", as 204 or with a body as 202; returns the bare job id."""
    job_id = bare_id(answer)
    location = f"{'' if path == '/' else path}/jobs/{job_id}"
    assert answer.headers["location"] == location
    assert answer.headers["retry-later"] == str(seconds)
    assert answer.headers["retry-after"] == str(seconds)
    assert answer.headers["ivcap-self-report-result"] == "true"
    if body:
        assert answer.status_code == 202
        assert answer.headers["content-type"] == "application/json"
        content = answer.json()
        status = content.pop("status")
        assert status in ("pending", "executing")
        assert content == {"job-id": answer.headers["job-id"], "location": location, "retry-later": seconds}
    else:
        assert answer.status_code == 204, answer.text
        assert answer.content == b""
        assert "content-type" not in answer.headers
    return job_id
