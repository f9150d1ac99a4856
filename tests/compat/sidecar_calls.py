"""What a service that was written for ivcap-lambda sends to the platform's sidecar, with the original and with ours."""

import json
from typing import Any

import httpx

from lambda_kit.testing import FakeSidecar, SidecarCall
from tests.compat.exchanges import ANN

__all__ = ["calls_of_jobs"]

_JOBS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("/", "j1", ANN),
    ("/seen", "j2", ANN),
    ("/fail", "j3", {"kind": "KeyError"}),
    ("/fail", "j4", {"kind": "text"}),
    ("/async/things", "urn:ivcap:job:j5", ANN),
)


def calls_of_jobs(url: str, sidecar: FakeSidecar) -> dict[str, list[dict[str, Any]]]:
    """Have a service run a few jobs, and return what the sidecar was sent of each, without the authorization."""
    for path, job_id, body in _JOBS:
        httpx.post(url + path, json=body, headers={"job-id": job_id, "authorization": "Bearer of-ann"}, timeout=60)
    sidecar.wait_for(lambda calls: sum(call.kind == "results" for call in calls) == len(_JOBS), 60)
    told: dict[str, list[dict[str, Any]]] = {}
    for call in sidecar.calls:
        told.setdefault(call.job_id, []).append(_as_told(call))
    return told


def _as_told(call: SidecarCall) -> dict[str, Any]:
    body: Any = call.text
    if call.headers["Content-Type"] == "application/json":
        body = json.loads(body)
        body.pop("traceback", None)  # it has the paths of a machine
    names = ("Is-Error", "Content-Type", "Ivcap-Job-Id")
    return {"path": call.path, **{name: call.headers[name] for name in names}, "body": body}
