"""The calls of a batch, beside those that were recorded of ivcap-service 0.7.2 (docs/batch.md, Differences)."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from lambda_kit.testing import FakeSidecar
from tests.batch.batch_process import BatchProcess

pytestmark = pytest.mark.timeout(240)

RECORDINGS = Path(__file__).parent / "recordings"
REQUESTS = {"b1": "x", "b2": "value", "b3": "exit", "b4": "text", "b5": "none", "b6": "image", "b7": "call"}

# What is mended: the error of a job that could not be begun has our type, and a text that says what is needed.
MENDED_ERRORS = {
    "urn:ivcap:job:b8": ("unsupported-media-type", "cannot handle content-type 'text/plain'"),
    "b9": ("bad-request", "'in-content'"),
    "unknown_job_id": ("JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
    "b10": ("validation-error", "kind: Field required"),
}


def queue_recorded(sidecar: FakeSidecar) -> None:
    for name, kind in REQUESTS.items():
        sidecar.queue(f"urn:ivcap:job:{name}", {"kind": kind}, authorization=f"Bearer J-{name}")
    sidecar.queue("urn:ivcap:job:b8", {"kind": "x"}, content_type="text/plain", authorization="Bearer J-b8")
    sidecar.queue({"id": "b9", "in-content-type": "application/json"}, authorization="Bearer J-b9")
    sidecar.queue(b"nonsense")
    sidecar.queue("b10", {}, authorization="Bearer J-b10")


def recorded(name: str) -> dict[str, list[dict[str, Any]]]:
    """The recorded calls by the id in their path; the calls of tools by that in their header."""
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in json.loads((RECORDINGS / name).read_text()):
        head, _, given_id = call["path"].lstrip("/").partition("/")
        if head != "next_job":
            calls[given_id or call["headers"]["Ivcap-Job-Id"]].append(call)
    return calls


def made(sidecar: FakeSidecar) -> dict[str, list[Any]]:
    calls: dict[str, list[Any]] = defaultdict(list)
    for call in sidecar.calls:
        head, _, given_id = call.path.lstrip("/").partition("/")
        if head != "next_job":
            calls[given_id or str(call.headers["Ivcap-Job-Id"])].append(call)
    return calls


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_the_calls_of_each_job_are_the_recorded_ones(executor: str, fake_sidecar: FakeSidecar) -> None:
    queue_recorded(fake_sidecar)
    with BatchProcess(fake_sidecar.url, env={"TEST_EXECUTOR": executor}) as batch:
        assert batch.end(200) == 0, batch.log
    ours, originals = made(fake_sidecar), recorded("batch.json")
    assert list(ours) == list(originals)
    for given_id, original in originals.items():
        calls = _in_order(ours[given_id])
        assert [(call.method, call.path) for call in calls] == [(it["method"], it["path"]) for it in original]
        for call, expected in zip(calls, original, strict=True):
            _compare_headers(call, expected, given_id)
            _compare_bodies(call, expected, given_id)


def _in_order(calls: list[Any]) -> list[Any]:
    """Events and result as they came; what the tool itself has called goes where it was recorded, before the result.

    Mended: the tool does not wait until its events are delivered.
    """
    of_sink = [call for call in calls if call.kind in ("events", "results")]
    return [*of_sink[:-1], *(call for call in calls if call not in of_sink), of_sink[-1]]


def _compare_headers(call: Any, expected: dict[str, Any], given_id: str) -> None:
    for name in ("Content-Type", "Is-Error"):
        assert call.headers[name] == expected["headers"].get(name)
    # mended: the original sends the id of the job before with results of jobs that were not begun
    assert call.headers["Ivcap-Job-Id"] == given_id
    # mended: the original sends no Authorization with results
    name = given_id.removeprefix("urn:ivcap:job:")
    assert call.headers["Authorization"] == (f"Bearer J-{name}" if given_id != "unknown_job_id" else None)


def _compare_bodies(call: Any, expected: dict[str, Any], given_id: str) -> None:
    if call.headers["Is-Error"] != "True":
        body = call.body.decode("latin-1")
        assert body == expected.get("body", "\x89PNG" if "body_b64" in expected else "")
        return
    error = call.json()
    assert list(error) == ["$schema", "error", "type", "traceback"]
    assert error["$schema"] == "urn:ivcap:schema.service.error.1"
    if given_id in MENDED_ERRORS:
        kind, text = MENDED_ERRORS[given_id]
        assert error["type"] == kind
        assert text in error["error"]
    else:
        beginning = json.dumps({key: error[key] for key in ("$schema", "error", "type")}, separators=(",", ":"))
        assert expected["body"].startswith(beginning[:-1])


def test_errors_of_next_job_are_answered_as_recorded(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.fail(404, times=1, only="next_job")
    fake_sidecar.fail(500, times=1, only="next_job")
    fake_sidecar.queue("urn:ivcap:job:c1", {"kind": "x"}, authorization="Bearer J-c1")
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 0, batch.log
    original = json.loads((RECORDINGS / "batch-next-job-errors.json").read_text())
    assert [(call.path, call.status) for call in fake_sidecar.calls] == [
        (it["path"], it.get("answered", 200)) for it in original
    ]


def test_a_job_that_is_handed_out_again_is_run_again_and_told_again(fake_sidecar: FakeSidecar) -> None:
    for _ in range(2):
        fake_sidecar.queue("urn:ivcap:job:b1", {"kind": "x"}, authorization="Bearer J-b1")
    fake_sidecar.queue("urn:ivcap:job:b1", {"kind": "text"}, authorization="Bearer another")
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 0, batch.log
    results = [call for call in fake_sidecar.of("b1") if call.kind == "results"]
    assert [call.headers["Is-Error"] for call in results] == ["False"] * 3
    assert {call.path for call in results} == {"/results/urn:ivcap:job:b1"}


@pytest.mark.parametrize("given_id", ["a b/../ü", "urn:other:1", "x" * 300])
def test_any_id_is_used_as_it_came(given_id: str, fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue(given_id, {"kind": "x"})
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 0, batch.log
    assert fake_sidecar.of(given_id)[-1].kind == "results"
    assert fake_sidecar.of(given_id)[-1].json() == {"ok": True, "text": f"{given_id}|None"}


def test_another_tool_takes_files_as_objects(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue("s1", {"content": "aGVsbG8=", "content_type": "text/x-greeting", "filename": "a.txt"})
    fake_sidecar.queue("s2", {"no": "content"})
    with BatchProcess(fake_sidecar.url, "--tool", "size") as batch:
        assert batch.end() == 0, batch.log
    assert fake_sidecar.of("s1")[-1].json() == {"bytes": 5, "type": "text/x-greeting", "name": "a.txt"}
    assert fake_sidecar.of("s2")[-1].json()["type"] == "validation-error"


def test_nothing_is_sent_but_questions_where_that_is_switched_off(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue("b1", {"kind": "x"})
    with BatchProcess(fake_sidecar.url, "--test-without-sidecar") as batch:
        assert batch.end() == 0, batch.log
    assert [call.kind for call in fake_sidecar.calls] == ["next_job", "next_job"]
