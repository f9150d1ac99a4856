"""The sidecar gets the calls that ivcap-lambda 0.8.5 was recorded to make (tests/golden), for tools that do the same.

Mended, and so not compared: `BaseException`s, falsy results and cancelled jobs, of which the original tells nothing;
`Authorization` on results, which it leaves out where the sidecar's host is not of the platform.
"""

import io
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from lambda_kit import (
    BaseEvent,
    BinaryResult,
    GenericErrorEvent,
    GenericEvent,
    JobContext,
    LambdaTool,
    Service,
    ToolServer,
)
from lambda_kit.testing import FakeSidecar, SidecarCall, TestClient

pytestmark = pytest.mark.timeout(180)

RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "sidecar.reports-and-results.json").read_text()
)
# what its tool says of itself there is its own: the class of the reporter
JOBS = sorted({call["path"].rpartition("/")[2] for call in RECORDED} - {"r-id"})


class Ask(BaseModel):
    kind: str


class Res(BaseModel):
    ok: bool = True
    text: str = ""


class Custom(BaseEvent):
    SCHEMA: ClassVar[str] = "urn:example:event.custom.1"
    value: float
    none: str | None = None


def steps(ctx: JobContext) -> Res:
    with ctx.report.step("a", "msg a", x=1, y=None) as step:
        ctx.report.emit(GenericEvent(name="p", options={"i": 1}))
        step.info({"raw": True})
        step.finished("done a", z=[1, 2])
    with ctx.report.step("b"):
        pass
    ctx.report.step_started("c", "started c", q="w")
    ctx.report.step_finished("c")
    ctx.report.emit(Custom(value=1.5))
    ctx.report.emit(GenericErrorEvent(error="e1"))
    ctx.report.step_started("d", {"message": "dict as message"})
    return Res(text="steps")


class Rich(LambdaTool):
    path = "/"

    def run(self, req: Ask, ctx: JobContext) -> Any:
        match req.kind:
            case "steps":
                return steps(ctx)
            case "steperror":
                with ctx.report.step("bad", "going wrong"):
                    raise RuntimeError("boom in step")
            case "valueerror":
                raise ValueError("bad value")
            case "valuesub":
                json.loads("{")
            case "pydantic":
                Res(ok="notabool")  # type: ignore[arg-type]
            case "unicode":
                "é".encode("ascii")
            case "binstr":
                return BinaryResult("text/csv", "a,b\n")
            case "file":
                return BinaryResult("text/plain", io.BytesIO(b"from file"))
            case "str":
                return "plain é"
        raise AssertionError(req.kind)


class RichAsync(LambdaTool):
    async def run(self, req: Ask, ctx: JobContext) -> Res:
        with ctx.report.step("as", "async step"):
            pass
        return Res(text="a")


def shown(call: SidecarCall | dict[str, Any], recorded: dict[str, Any]) -> tuple[str, dict[str, str | None], str]:
    """What is compared of a call: the recorded fields, and as much of the body as the recording holds."""
    if isinstance(call, dict):
        return call["path"], call["headers"], call["body"]
    headers = {name: call.headers[name] for name in recorded["headers"]}
    return call.path, headers, call.text[: len(recorded["body"])]


@pytest.mark.parametrize("job_id", JOBS)
def test_it_is_the_same_call_by_call(fake_sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch, job_id: str) -> None:
    monkeypatch.setenv("IVCAP_BASE_URL", fake_sidecar.url)
    recorded = [call for call in RECORDED if call["path"].endswith(f"/{job_id}")]
    token = recorded[0]["headers"]["Authorization"]
    service = Service(name="Rich", contact={"name": "T", "email": "t@example.com"})
    with TestClient(ToolServer(service, tools=[Rich, RichAsync])) as client:
        path = "/rich-async" if job_id == "r-async" else "/"
        headers = {"job-id": job_id, "Authorization": token}
        client.post(path, json={"kind": job_id.removeprefix("r-")}, headers=headers)
        fake_sidecar.wait_for_result(job_id, 60)
    calls = fake_sidecar.of(job_id)
    assert len(calls) == len(recorded)
    for call, expected in zip(calls, recorded, strict=True):
        assert shown(call, expected) == shown(expected, expected)
