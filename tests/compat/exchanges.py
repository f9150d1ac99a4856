"""What is asked of a service that was written for ivcap-lambda, with the original and with lambda_kit."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

SERVICE_FILE = Path(__file__).parent / "services" / "both_libraries.py"
RECORDED = Path(__file__).with_name("recorded") / "exchanges.json"

_KEPT_HEADERS = ("content-type", "job-id", "location", "retry-later", "ivcap-self-report-result")


class Exchange(NamedTuple):
    name: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = {}
    method: str = "POST"


ANN = {"name": "Ann", "count": 2, "mood": "good", "inner": {"values": [1, 2]}}

EXCHANGES: Sequence[Exchange] = (
    Exchange("greet", "/", ANN, {"job-id": "job-1"}),
    Exchange("greet with schema", "/", {"$schema": "urn:example:schema:both.request.1", "name": "Bob"}),
    Exchange("greet by urn", "/", ANN, {"job-id": "urn:ivcap:job:job-2"}),
    Exchange("greet with defaults", "/", {"name": "Cem"}),
    Exchange("poll again", "/jobs/job-1", None, {}, "GET"),
    Exchange("poll by urn", "/jobs/urn:ivcap:job:job-2", None, {}, "GET"),
    Exchange("poll of nothing", "/jobs/unknown", None, {}, "GET"),
    Exchange("async", "/async/things", ANN),
    Exchange("later", "/", {**ANN, "sleep": 0.5}, {"job-id": "job-3", "prefer": "respond-async"}),
    Exchange("later by timeout", "/seen", {**ANN, "sleep": 0.5}, {"job-id": "job-4", "timeout": "0"}),
    Exchange("seen", "/seen?a=1&b=x%20y", ANN, {"x-own": "1", "authorization": "Bearer of-ann", "job-id": "job-5"}),
    *(
        Exchange(f"fail {kind}", "/fail", {"kind": kind})
        for kind in ("ValueError", "json", "KeyError", "http", "none", "text", "list", "bytes", "binary", "dict")
    ),
    Exchange("wrong field", "/", {"name": "Ann", "count": 0}),
    Exchange("wrong nested field", "/", {"name": "Ann", "inner": {"values": ["x"]}}),
    Exchange("missing field", "/", {}),
    Exchange("bad timeout", "/", ANN, {"timeout": "soon"}),
    Exchange("describe", "/", None, {}, "GET"),
    Exchange("describe async", "/async/things", None, {}, "GET"),
    Exchange("describe fail", "/fail", None, {}, "GET"),
    Exchange("health", "/_healtz", None, {}, "GET"),
)

COMMANDS: Sequence[tuple[str, ...]] = (
    ("--list-services",),
    ("--print-tool-description",),
    ("--print-tool-description", "list_things"),
    ("--print-service-description",),
    ("--print-service-description", "list_things", "--service-name", "things"),
    ("--print-tool-description", "nothing"),
)


def ask_all(url: str) -> dict[str, dict[str, Any]]:
    """Make all exchanges, one after the other; returns what is compared of the answers."""
    return {exchange.name: _answer(url, exchange) for exchange in EXCHANGES}


def _answer(url: str, exchange: Exchange) -> dict[str, Any]:
    # a connection for each: the original ends one when it fails inside
    answer = httpx.request(
        exchange.method, url + exchange.path, json=exchange.body, headers=dict(exchange.headers), timeout=30
    )
    try:
        body = answer.json()
    except ValueError:
        body = answer.content.decode("latin-1")
    if isinstance(body, dict):
        body.pop("traceback", None)  # it has the paths of a machine
        body = {
            key: value.replace(url, "http://service") if key == "service-id" else value for key, value in body.items()
        }
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    if "job-id" not in exchange.headers and "job-id" in headers:
        headers["job-id"] = "any"
    return {"status": answer.status_code, "headers": headers, "body": body}


def run_command(python: str, file: Path, flags: Sequence[str], env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Run the service file with flags that print something."""
    ended = subprocess.run(
        [python, "-W", "ignore", str(file), *flags],
        env=dict(env), cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return as_said(ended)


def as_said(ended: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What is compared of a command."""
    try:
        output = json.loads(ended.stdout)
    except ValueError:
        output = ended.stdout
    return {"code": ended.returncode, "output": output}


def recorded() -> dict[str, Any]:
    """What the original has answered."""
    kept: dict[str, Any] = json.loads(RECORDED.read_text())
    return kept
