"""The tutorial is followed literally: in an empty folder, with the wheel installed, not from the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.followed_page import ROOT, Call, FollowedPage, blocks_of
from tests.support.service_process import free_port

_UNWANTED = ("HOST", "PORT", "VERSION", "PYTHONPATH", "VIRTUAL_ENV", "PYTEST_ADDOPTS")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_can_be_followed_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    locked = f"--require-hashes -r {ROOT}/requirements/runtime.lock && pip install -q --no-deps {wheel}"
    page = FollowedPage(
        tmp_path,
        {**env, "NO_PROXY": "127.0.0.1,localhost", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        free_port(),
        {"pip install ../lambda_kit": f"pip install -q {locked}", "python3 -m venv": f"{sys.executable} -m venv"},
        seconds=300,
    )
    followed: list[Call] = []
    page.follow(blocks_of("first-tool.md"), met=followed.append)
    assert len([call for call in followed if call.shown]) > 10
