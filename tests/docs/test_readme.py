"""The README keeps its word: its code runs, and its answers are the real ones."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.missing_service import missing_service
from tests.support.service_command import ROOT
from tests.support.service_process import ServiceProcess

README = (ROOT / "README.md").read_text("utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CALLS = re.findall(r"```console\n\$ (curl [^\n]+)\n(.*?)```", README, re.DOTALL)

_CHANGING = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
    (r"(?m)^date: .*$", "date: <date>"),
    (r"(?m)^ivcap-ai-tool-version: .*$", "ivcap-ai-tool-version: <version>"),
]


@pytest.fixture(scope="module")
def my_tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("readme") / "my_tool.py"
    file.write_text(PYTHON[0], "utf-8")
    return file


@pytest.fixture(scope="module")
def service(my_tool: Path) -> Iterator[ServiceProcess]:
    with ServiceProcess(my_tool) as service:
        yield service


def normalised(text: str) -> str:
    for pattern, replacement in _CHANGING:
        text = re.sub(pattern, replacement, text)
    return text.replace("\r", "").strip()


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_the_tool_has_15_lines() -> None:
    assert len(PYTHON[0].splitlines()) == 15


def test_the_readme_shows_calls_and_answers() -> None:
    assert len(CALLS) == 4
    assert all(answer.strip() for _, answer in CALLS)


def test_each_call_gets_the_answer_that_is_shown(service: ServiceProcess) -> None:
    if shutil.which("curl") is None:
        missing_service("curl")
    for command, shown in CALLS:  # in order: a job is collected after it was made
        call = command.replace("http://localhost:8090", service.url)
        env = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        answer = subprocess.run(
            ["bash", "-o", "pipefail", "-c", call],
            env=env,
            capture_output=True,
            text=True,
            timeout=45,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        assert normalised(answer.stdout) == normalised(shown), command


def test_the_tool_runs_without_a_server_as_shown(my_tool: Path) -> None:
    shown = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    ended = subprocess.run(
        [sys.executable, "-c", PYTHON[1]],
        cwd=my_tool.parent,
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, shown[1]), ended.stderr


def headings_of(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_every_relative_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    for link in links:
        page, _, heading = link.partition("#")
        target = ROOT / (page or "README.md")
        assert target.is_file(), link
        assert not heading or heading in headings_of(target), link


@pytest.mark.parametrize("script", ["scripts/demo.sh", "scripts/test.sh"])
def test_the_two_commands_are_there(script: str) -> None:
    assert f"`{script}`" in README
    assert os.access(ROOT / script, os.X_OK)
