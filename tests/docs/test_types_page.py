"""What the page on types shows, run."""

import re
from pathlib import Path
from typing import Any

import pytest

from docs_src import choosing_types
from lambda_kit import ToolServer
from lambda_kit.testing import TestClient

PAGE = (Path(__file__).parents[2] / "docs" / "types.md").read_text()
CALL = re.compile(r"^\$ curl -s -X POST http://localhost:8090(\S+) .*? -d '(.*)'\n(.*)$", re.M)


def calls(program: str) -> list[tuple[str, str, str]]:
    """Path, body and answer of what the page sends to a program."""
    section = PAGE.partition(f"$ python {program}")[2].partition("```")[0]
    found = CALL.findall(section)
    assert found
    return found


def assert_as_shown(server: ToolServer, program: str) -> None:
    with TestClient(server) as client:
        for path, body, answer in calls(program):
            got = client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})
            assert (got.status_code, got.text) == (200, answer)


def test_the_answers_are_those_on_the_page() -> None:
    assert_as_shown(choosing_types.server, "choosing_types.py")


def test_tables_are_answered_as_on_the_page() -> None:
    pytest.importorskip("pandas")
    from docs_src import tables  # noqa: PLC0415 - only where pandas is installed

    assert_as_shown(tables.server, "tables.py")


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/area", {"shape": "circle", "radius": 1}, 3.14159),
        ("/largest", {"items": [{"shape": "rectangle", "width": 1, "height": height} for height in (1, 3)]}, 3),
    ],
)
def test_unions_and_generics_are_read(path: str, body: Any, answer: Any) -> None:
    with TestClient(choosing_types.server) as client:
        result = client.post(path, json=body).json()
        assert (result["height"] if isinstance(result, dict) else result) == answer
        assert client.post(path, json={"shape": "square"}).status_code == 422


def test_descriptions_are_as_the_page_says() -> None:
    with TestClient(choosing_types.server) as client:
        assert client.get("/area").json()["fn_signature"] == "area(request: Circle | Rectangle) -> float"
        assert client.get("/draw").json()["description"].endswith("Returns: BinaryResult (image/svg+xml)")
        content = client.get("/openapi.json").json()["paths"]["/draw"]["post"]["responses"]["200"]["content"]
    assert list(content) == ["image/svg+xml"]
