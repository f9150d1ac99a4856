"""schemathesis: what a fuzzer finds that knows the OpenAPI document."""

import sys
from pathlib import Path

import pytest

from tests.openapi import keyed_service, rich_service
from tests.openapi.generating import run_tool
from tests.support.service_command import EXAMPLES
from tests.support.service_process import ROOT, ServiceProcess

CONFIG = Path(__file__).with_name("schemathesis.toml")
SERVICES = {
    "rich": Path(rich_service.__file__),
    "echo": EXAMPLES / "echo.py",
    "greeter": EXAMPLES / "greeter.py",
    "keyed": Path(keyed_service.__file__),
    # not testkit, which burns CPU time and calls URLs as it is told
}


@pytest.mark.processes
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "name", [name if name in ("rich", "keyed") else pytest.param(name, marks=pytest.mark.slow) for name in SERVICES]
)
def test_each_answer_is_one_that_the_document_has(name):
    with ServiceProcess(SERVICES[name], ["--job-list"]) as service:
        command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "--no-color", "run"]
        key = ["--header", f"X-API-Key: {keyed_service.KEY}"] if name == "keyed" else []
        said = run_tool([*command, *key, f"{service.url}/openapi.json"], cwd=ROOT)
        assert "No issues found" in said, said
