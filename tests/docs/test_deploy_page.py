"""What docs/deploy.md says of the example project fits lambda_kit as it is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import lambda_kit

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")


def project_of(folder: str) -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"])


def test_poetry_finds_a_lambda_kit_for_every_python_of_the_project() -> None:
    assert project_of("examples/ivcap-project")["requires-python"] == project_of(".")["requires-python"]


def test_the_wheel_has_the_name_that_is_shown() -> None:
    assert re.findall(r"lambda_kit-[\d.]+-py3-none-any\.whl", PAGE) == [
        f"lambda_kit-{lambda_kit.__version__}-py3-none-any.whl"
    ]
