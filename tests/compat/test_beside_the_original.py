"""A service that was written for ivcap-lambda, with its import line changed: its answers, and the original's.

The original's were recorded by `record.py`. `MENDED` says in what ours differ, and why.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambda_kit.testing import FakeSidecar
from tests.compat.exchanges import COMMANDS, EXCHANGES, SERVICE_FILE, as_said, ask_all, recorded
from tests.compat.sidecar_calls import calls_of_jobs
from tests.support.service_command import run_to_end
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

ORIGINAL = recorded()

DESCRIBED = "what the framework supplies (ctxt, prefix, freq) is no argument of the tool: an agent can't pass it"
PROBLEM = "errors are RFC 9457's, with the original's message and code"

MENDED: dict[str, tuple[str, int, dict[str, Any]]] = {
    # name: why, our status, and members of our body
    "poll of nothing": (PROBLEM, 404, {"code": 404}),
    "fail ValueError": (PROBLEM, 400, {"message": "no such thing", "code": 400}),
    "fail json": (PROBLEM, 500, {"type": "JSONDecodeError", "code": 500}),
    "fail KeyError": (PROBLEM, 500, {"message": "'key'", "type": "KeyError"}),
    "fail http": ("an HTTPException has its status", 404, {"message": "not there", "code": 404}),
    "fail none": ("the original's own answer fails", 500, {"message": "service did not return a result"}),
    "wrong field": (PROBLEM, 422, {"code": 422}),
    "wrong nested field": (PROBLEM, 422, {"code": 422}),
    "missing field": (PROBLEM, 422, {"code": 422}),
    "bad timeout": ("a malformed header is the caller's fault", 400, {"code": 400}),
    "describe": (DESCRIBED, 200, {"service-id": "http://service/", "name": "greet"}),
    "health": ("a version that nobody knows is 'unknown', not '???'", 200, {"version": "unknown"}),
}

Answers = dict[str, dict[str, Any]]


def changed_file(folder: Path) -> Path:
    """The service file with its import lines changed, and nothing else."""
    file = folder / "service.py"
    file.write_text(SERVICE_FILE.read_text().replace("from ivcap_lambda", "from lambda_kit.compat.ivcap_lambda"))
    return file


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    with ServiceProcess(changed_file(tmp_path_factory.mktemp("service"))) as service:
        return ask_all(service.url)


@pytest.mark.parametrize("name", [exchange.name for exchange in EXCHANGES])
def test_an_answer_is_that_of_the_original_or_mended(ours: Answers, name: str) -> None:
    original, answer = ORIGINAL["answers"][name], ours[name]
    if name in MENDED:
        _, status, members = MENDED[name]
        assert answer["status"] == status
        assert {key: answer["body"][key] for key in members} == members
        assert answer["body"] != original["body"], f"{name} is as in the original: take it out of MENDED"
    else:
        assert (answer["status"], answer["body"]) == (original["status"], original["body"])
    if original["status"] < 300:
        # a "try later" of ours has a job-id too
        assert {**answer["headers"], **original["headers"]} == answer["headers"]


@pytest.mark.parametrize("name", ["wrong field", "wrong nested field", "missing field"])
def test_what_is_wrong_with_a_request_is_said_of_the_same_places(ours: Answers, name: str) -> None:
    def places(faults: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(fault["loc"], fault["type"], fault["msg"]) for fault in faults]

    assert places(ours[name]["body"]["errors"]) == places(ORIGINAL["answers"][name]["body"]["detail"])


def test_a_description_has_the_members_and_the_schema_of_the_original(ours: Answers) -> None:
    answer, original = ours["describe"]["body"], ORIGINAL["answers"]["describe"]["body"]
    assert list(answer) == list(original)
    same = ("$schema", "id", "name", "service-id", "fn_schema")
    assert {key: answer[key] for key in same} == {key: original[key] for key in same}
    without = original["fn_signature"].replace("ctxt: JobContext, prefix: Prefix, ", "")
    assert answer["fn_signature"] == without


@pytest.mark.parametrize("flags", COMMANDS, ids=" ".join)
def test_what_is_printed_is_that_of_the_original(tmp_path: Path, flags: tuple[str, ...]) -> None:
    original = ORIGINAL["commands"][" ".join(flags)]
    printed = as_said(run_to_end(changed_file(tmp_path), *flags, cwd=tmp_path))
    assert printed["code"] == original["code"]
    if not isinstance(original["output"], dict):
        assert printed["output"] == original["output"]
        return
    assert list(printed["output"]) == list(original["output"])
    changed: dict[str, Callable[[str], str]] = {
        "description": _in_words,  # docstrings are cleaned alike on every Python
        "fn_signature": lambda text: text.replace("ctxt: JobContext, prefix: Prefix, ", ""),
    }
    for key, value in original["output"].items():
        look = changed.get(key, lambda same: same)
        assert look(printed["output"][key]) == look(value), key


def test_the_sidecar_is_sent_what_the_original_sends(fake_sidecar: FakeSidecar, tmp_path: Path) -> None:
    with ServiceProcess(changed_file(tmp_path), env={"IVCAP_BASE_URL": fake_sidecar.url}) as service:
        told = calls_of_jobs(service.url, fake_sidecar)
    assert told == ORIGINAL["sidecar"]
    # the original leaves it out of results
    assert {call.headers["Authorization"] for call in fake_sidecar.calls} == {"Bearer of-ann"}


def _in_words(text: str) -> str:
    return " ".join(text.replace("ctxt: JobContext prefix: Prefix ", "").split())
