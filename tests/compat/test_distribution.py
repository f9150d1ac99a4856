"""lambda-kit-compat, built and installed: files that were written for ivcap-lambda run with no line changed."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.compat.exchanges import SERVICE_FILE, ask_all, recorded, run_command
from tests.compat.test_beside_the_original import MENDED
from tests.support.service_process import ROOT, ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(180)]


class Installed:
    """A virtual environment with the wheels, and with the other packages of this one behind them."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv")
        self.python = str(folder / "venv" / "bin" / "python")
        (self.site_packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
        (self.site_packages / "others.pth").write_text(sysconfig.get_path("purelib"))
        for project in (ROOT, ROOT / "compat"):
            command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
            subprocess.run(command, cwd=project, check=True, capture_output=True)
        for wheel in folder.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self.site_packages)

    def run(self, program: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-c", program], cwd=cwd, env={}, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


class InstalledService(ServiceProcess):
    def __init__(self, python: str, file: Path) -> None:
        super().__init__(file, env={"PYTHONPATH": ""})
        self.command[0] = python


@pytest.fixture(scope="module")
def url(installed: Installed) -> Iterator[str]:
    with InstalledService(installed.python, SERVICE_FILE) as service:
        yield service.url


def test_the_names_are_those_of_the_wheels(installed: Installed, tmp_path: Path) -> None:
    told = installed.run("import ivcap_lambda; print(ivcap_lambda.__file__)", tmp_path)
    assert told.stdout.strip().startswith(str(installed.site_packages)), told.stderr


def test_a_file_with_no_line_changed_answers_as_with_the_original(url: str) -> None:
    answers, original = ask_all(url), recorded()["answers"]
    differ = {name for name in original if answers[name]["body"] != original[name]["body"]}
    assert differ == set(MENDED)


def test_it_prints_as_with_the_original(installed: Installed, tmp_path: Path) -> None:
    said = run_command(installed.python, SERVICE_FILE, ["--print-service-description"], {}, tmp_path)
    original = recorded()["commands"]["--print-service-description"]["output"]
    assert {**said["output"], "description": ""} == {**original, "description": ""}


def test_a_service_of_the_oldest_form_runs(installed: Installed, tmp_path: Path) -> None:
    file = tmp_path / "service.py"
    file.write_text(
        "from fastapi import FastAPI\n"
        "from pydantic import BaseModel\n"
        "from ivcap_ai_tool.builder import ToolOptions, add_tool_api_route\n"
        "from ivcap_ai_tool.server import start_tool_server\n"
        "app = FastAPI(title='Primes', contact={'name': 'Ann', 'email': 'ann@example.com'})\n"
        "class Request(BaseModel):\n"
        "    number: int\n"
        "def other(req: Request):\n"
        "    return 1\n"
        "async def is_prime(req: Request) -> bool:\n"
        "    'Checks if a number is prime'\n"
        "    return req.number > 1 and all(req.number % n for n in range(2, req.number))\n"
        "@app.get('/own')\n"
        "def own(): return 'own'\n"
        "add_tool_api_route(app, '/other', other)\n"
        "add_tool_api_route(app, '/', is_prime, opts=ToolOptions(tags=['Prime Checker']))\n"
        "if __name__ == '__main__':\n"
        "    start_tool_server(app, is_prime)\n"
    )
    with InstalledService(installed.python, file) as service:
        answers = [httpx.post(service.url, json={"number": n}).json() for n in (7, 9)]
        assert answers == [True, False]
        assert httpx.get(f"{service.url}/own").json() == "own"
        assert httpx.get(f"{service.url}/openapi.json").json()["info"]["title"] == "Primes"
    said = run_command(installed.python, file, ["--print-tool-description"], {}, tmp_path)
    assert said["output"]["name"] == "is_prime"


@pytest.mark.parametrize("package", ["ivcap_lambda", "ivcap_ai_tool"])
def test_the_original_in_the_same_folders_is_refused(installed: Installed, tmp_path: Path, package: str) -> None:
    for name in ("ivcap_lambda", "ivcap_ai_tool"):
        (tmp_path / name).mkdir()
        source = installed.site_packages / name / "__init__.py"
        (tmp_path / name / "__init__.py").write_bytes(source.read_bytes())
    (tmp_path / "ivcap_lambda" / "builder.py").write_text("")  # the original has it
    ended = installed.run(f"import warnings; warnings.simplefilter('ignore'); import {package}", tmp_path)
    assert ended.returncode == 1
    assert "pip uninstall ivcap-lambda ivcap-ai-tool" in ended.stderr
