"""Flags, variables and arguments that the pages name are there: a page that is out of date is found here."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import lambda_kit
import lambda_kit.adapters.auth
import lambda_kit.adapters.ivcap
import lambda_kit.spi
import lambda_kit.testing
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCE = "\n".join(file.read_text("utf-8") for file in sorted((ROOT / "lambda_kit").rglob("*.py")))

MODULES: tuple[Any, ...] = (
    lambda_kit,
    lambda_kit.spi,
    lambda_kit.testing,
    lambda_kit.adapters.auth,
    lambda_kit.adapters.ivcap,
)
CALLABLES: dict[str, Any] = {
    **{name: getattr(module, name) for module in MODULES for name in module.__all__},
    "RedisJobStore": RedisJobStore,
    "PostgresJobStore": PostgresJobStore,
}
OF_IVCAP_LAMBDA = {("ToolOptions", "is_ready")}
"""What the page on moving says of the original's."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def arguments_of(name: str) -> set[str] | None:
    """The arguments of a public class. None: it is no public class, or takes any."""
    made = CALLABLES.get(name)
    if not inspect.isclass(made):
        return None
    parameters = inspect.signature(made).parameters.values()
    return None if any(one.kind is one.VAR_KEYWORD for one in parameters) else {one.name for one in parameters}


@pages
def test_variables_are_read_somewhere(page: Path) -> None:
    named = set(re.findall(r"\bLAMBDA_KIT_[A-Z_]+\b", page.read_text("utf-8")))
    assert {variable for variable in named if variable not in SOURCE} == set()


@pages
def test_flags_of_a_service_are_known(page: Path) -> None:
    known = set(re.findall(r'"(--[a-z][a-z-]+)"', SOURCE)) | {"--help"}
    lines = [line for line in page.read_text("utf-8").splitlines() if not line.startswith("$ npx")]
    commands = re.findall(r"\bpython [\w/.]+\.py( [^\n`|]*)", "\n".join(lines))
    named = {flag for command in commands for flag in re.findall(r" (--[a-z][a-z-]+)", command)}
    assert named <= known


@pages
def test_arguments_are_taken(page: Path) -> None:
    wrong = set()
    for name, given in re.findall(r"\b([A-Z]\w+)\(([^()]*)\)", page.read_text("utf-8")):
        taken = arguments_of(name)
        if taken is not None:
            wrong |= {(name, argument) for argument in re.findall(r"\b([a-z_]+)=", given) if argument not in taken}
    assert wrong - OF_IVCAP_LAMBDA == set()
