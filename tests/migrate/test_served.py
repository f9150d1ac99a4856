"""Migrated services, served by real processes: they answer as they did before."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.migrate.migrating import GOLDEN, ROOT, command
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(180)]

Call = tuple[str, str, Any, dict[str, str]]

GREET: list[Call] = [
    ("GET", "/greet", None, {}),
    ("POST", "/greet", {"name": "Ada", "count": 2}, {}),
    ("POST", "/greet", {"name": "Ada", "count": 0}, {}),
    ("POST", "/greet", [], {}),
    ("GET", "/_healtz", None, {}),
]

ORDER = {"items": [{"label": "pen", "price": 1.5}, {"label": "book", "price": 20}]}
SHOP: list[Call] = [
    ("GET", "/price", None, {}),
    ("POST", "/price", ORDER, {}),
    ("POST", "/price", {"items": [{"label": "car", "price": 20000}]}, {}),
    ("POST", "/price", {"items": [{"label": "pen", "price": -1}]}, {}),
    ("GET", "/sell", None, {}),
    ("POST", "/sell", ORDER, {"X-Customer": "Ada"}),
    ("POST", "/sell", ORDER, {}),
    ("POST", "/discount", ORDER, {}),  # its description tells the return type now, which the function had not
    ("GET", "/rebate", None, {}),
    ("POST", "/rebate", ORDER, {}),
]


def answers(file: Path, calls: Sequence[Call]) -> list[tuple[str, str, int, str | None, str]]:
    """What a service answers to some calls: method, path, status, content type and body."""
    found = []
    with ServiceProcess(file, seconds=60) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        for method, path, body, headers in calls:
            answer = client.request(method, path, json=body, headers=headers)
            text = re.sub(r"urn:ivcap:job:[0-9a-f-]+", "urn:ivcap:job:…", answer.text)
            text = text.replace(service.url, "http://service")
            found.append((method, path, answer.status_code, answer.headers.get("content-type"), text))
    return found


def migrated(file: Path, folder: Path) -> Path:
    out = folder / "service.py"
    ran = command("migrate", file, "-o", out)
    assert ran.code == 0, ran.said
    return out


def with_import_changed(file: Path, folder: Path) -> Path:
    """The file as it runs under the compatibility layer."""
    out = folder / "unmigrated.py"
    old = re.compile(r"^(from|import) (ivcap_lambda|ivcap_ai_tool)\b", re.MULTILINE)
    out.write_text(old.sub(r"\1 lambda_kit.compat.ivcap_lambda", file.read_text()))
    return out


def test_the_service_of_the_docs_answers_as_the_one_that_was_moved_by_hand(tmp_path: Path) -> None:
    moved = migrated(ROOT / "docs_src" / "greet_before.py", tmp_path)
    assert answers(moved, GREET) == answers(ROOT / "docs_src" / "greet.py", GREET)


def test_a_migrated_service_answers_as_its_functions_did(tmp_path: Path) -> None:
    moved = migrated(GOLDEN / "shop_before.py", tmp_path)
    answered = answers(moved, SHOP)
    assert answered == answers(with_import_changed(GOLDEN / "shop_before.py", tmp_path), SHOP)
    found = {(method, path, status): body for method, path, status, _, body in answered}
    assert re.sub(r"\s", "", found["POST", "/price", 200]) == '{"total":21.5,"text":"Total:\\n21.50\\n"}'
    assert "too expensive: 20000.0" in found["POST", "/price", 400]
    assert ("POST", "/price", 422) in found
    assert '"nobody: POST True"' in found["POST", "/sell", 200]
    assert "10.75" in found["POST", "/discount", 200]
    assert "2.0" in found["POST", "/rebate", 200]
    assert "With two spaces and" in found["GET", "/price", 200]
