"""docs/wire.md, POST {path}: every response carries the version of lambda_kit."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

import lambda_kit
from tests.support.gate import Gate
from tests.wire.answers import new_id

HEADER = "Ivcap-AI-Tool-Version"
ECHO: dict[str, Any] = {"json": {"text": "a"}}

REQUESTS: dict[str, tuple[int, Callable[[httpx.Client], httpx.Response]]] = {
    "result": (200, lambda client: client.post("/echo", **ECHO)),
    "result at the root": (200, lambda client: client.post("/", **ECHO)),
    "description": (200, lambda client: client.get("/echo")),
    "readiness": (200, lambda client: client.get("/_healtz")),
    "liveness": (200, lambda client: client.get("/_livez")),
    "openapi": (200, lambda client: client.get("/openapi.json")),
    "page": (200, lambda client: client.get("/api")),
    "asset": (200, lambda client: client.get("/api/assets/swagger-ui.css")),
    "binary result": (200, lambda client: client.post("/returns", json={"kind": "binary"})),
    "value error": (400, lambda client: client.post("/raises", json={"kind": "ValueError"})),
    "bad header": (400, lambda client: client.post("/echo", headers={"Timeout": "x"}, **ECHO)),
    "no such tool": (404, lambda client: client.post("/nope", **ECHO)),
    "no such page": (404, lambda client: client.get("/nope")),
    "no such job": (404, lambda client: client.get(f"/jobs/{new_id()}")),
    "no such record": (404, lambda client: client.get(f"/jobs/{new_id()}/status")),
    "no such asset": (404, lambda client: client.get("/api/assets/nope.css")),
    "no list": (404, lambda client: client.get("/jobs")),
    "other method": (405, lambda client: client.put("/echo", **ECHO)),
    "other method of a job": (405, lambda client: client.put("/jobs/a", **ECHO)),
    "other method of health": (405, lambda client: client.post("/_healtz")),
    "other method of the page": (405, lambda client: client.post("/api")),
    "other type": (415, lambda client: client.post("/echo", content=b"a", headers={"Content-Type": "text/plain"})),
    "misfit": (422, lambda client: client.post("/echo", json={})),
    "failure": (500, lambda client: client.post("/raises", json={"kind": "SystemExit"})),
    "options": (204, lambda client: client.options("/echo")),
    "head": (200, lambda client: client.head("/echo")),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_answer_carries_the_version(client, name):
    status, ask = REQUESTS[name]
    answer = ask(client)
    assert answer.status_code == status
    assert answer.headers.get_list(HEADER) == [lambda_kit.__version__]


def test_try_later_and_conflicts_carry_the_version(client, client_with_options, gate: Gate):
    headers = {"job-id": new_id()}
    answers = [
        client.post("/hasty", json={"gate": gate.port}, headers=headers),
        client.get(f"/jobs/{headers['job-id']}"),
        client.post("/hasty", json={"gate": gate.port, "text": "other"}, headers=headers),
        client_with_options.post("/hasty", json={"gate": gate.port}),
        client_with_options.get("/jobs"),
        client_with_options.get("/jobs?limit=x"),
    ]
    assert [answer.status_code for answer in answers] == [204, 204, 409, 202, 200, 400]
    assert {answer.headers.get(HEADER) for answer in answers} == {lambda_kit.__version__}
