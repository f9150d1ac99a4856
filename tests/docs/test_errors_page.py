"""docs/errors.md: its example does what it says, and its tables have every type of error."""

import re
from pathlib import Path

import pytest

from docs_src import choose_status
from lambda_kit.testing import TestClient

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("request_", "status", "kind", "wait"),
    [
        ({"model": "mean", "values": []}, 400, "ValueError", None),
        ({"model": "tiny", "values": [1]}, 404, "no-such-model", None),
        ({"model": "nightly", "values": [1]}, 503, "ToolError", "60"),
        ({"model": "mean"}, 422, "validation-error", None),
    ],
)
def test_the_example_chooses_its_statuses(request_: object, status: int, kind: str, wait: str | None) -> None:
    with TestClient(choose_status.server) as client:
        answer = client.post("/forecast", json=request_)
        polled = client.get("/jobs/" + answer.headers.get("job-id", "none"))
    assert (answer.status_code, answer.json()["type"], answer.headers.get("retry-after")) == (status, kind, wait)
    if status != 422:
        assert polled.json() == answer.json()


def test_the_example_forecasts() -> None:
    with TestClient(choose_status.server) as client:
        assert client.post("/forecast", json={"model": "median", "values": [1, 2, 9]}).json() == 2


def test_the_page_has_every_type_of_the_wire_contract() -> None:
    contract = (DOCS / "wire.md").read_text().partition("| `type` | status |")[2].partition("\n\n")[0]
    rows = [line for line in contract.splitlines() if line.startswith("| `")]
    types = {kind for row in rows for kind in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert "job-conflict" in types
    page = (DOCS / "errors.md").read_text()
    assert {kind for kind in types if f"`{kind}`" not in page} == set()
