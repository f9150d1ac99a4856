"""The architecture page names what there is."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
STEPS = re.findall(r"^\d+\. `(\S+)\.py`: `(\S+)`", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_each_step_of_a_request_is_a_function(module: str, name: str) -> None:
    found: object = importlib.import_module(f"lambda_kit.{module.replace('/', '.')}")
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)


def test_the_steps_are_counted() -> None:
    files = {module for module, _ in STEPS}
    assert f"That is {len(STEPS)} functions in {len(files)} files." in PAGE


def test_each_file_of_the_engine_has_its_line() -> None:
    section = PAGE.partition("## Each file of `core/jobs`")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+\.py)` \|", section, re.MULTILINE)
    there = [path.name for path in (ROOT / "lambda_kit" / "core" / "jobs").glob("*.py") if path.name != "__init__.py"]
    assert sorted(named) == sorted(there)


def test_each_file_that_is_named_by_its_folder_is_there() -> None:
    named = set(re.findall(r"`((?:core|adapters|cli|compat|testing)/[a-z_/]+\.py)`", PAGE))
    assert named
    assert [name for name in sorted(named) if not (ROOT / "lambda_kit" / name).is_file()] == []
