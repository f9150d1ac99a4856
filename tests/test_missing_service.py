"""Tests whose service is missing are skipped on a developer's machine, and fail where services are required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[1]

SKIPPING = """
import pytest
from tests.support.missing_service import REASON, missing_service

def test_by_a_call():
    missing_service("a database")

@pytest.mark.skipif(True, reason=REASON + "a queue")
def test_by_a_mark():
    raise AssertionError

@pytest.mark.skipif(True, reason="of another kind")
def test_of_another_kind():
    raise AssertionError

@pytest.fixture
def database():
    missing_service("a database")

def test_by_a_fixture(database):
    raise AssertionError
"""


@pytest.mark.parametrize(
    ("required", "summary"),
    [
        pytest.param("", "4 skipped", marks=pytest.mark.slow),
        ("0", "4 skipped"),
        ("1", "1 failed, 1 skipped, 2 errors"),
    ],
)
def test_a_missing_service_is_a_failure_where_it_is_required(tmp_path: Path, required: str, summary: str):
    file = tmp_path / "test_skipping.py"
    file.write_text(SKIPPING)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", os.devnull]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(file)],
        env={**os.environ, "LAMBDA_KIT_REQUIRE_SERVICES": required, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (result.returncode == 0) == (required != "1")
    assert summary in result.stdout
