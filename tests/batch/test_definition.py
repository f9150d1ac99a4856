"""What a batch service tells the platform of itself, beside what ivcap-service prints (docs/batch.md)."""

import json
from pathlib import Path
from typing import Any

import pytest
from ivcap_service import create_tool_definition
from ivcap_service.service_definition import create_batch_service_definition

from tests.golden import tools
from tests.support.service_command import run_to_end

pytestmark = pytest.mark.timeout(240)

FILE = """
from lambda_kit import JobContext, LambdaTool, ToolServer
from tests.golden.tools import GreetRequest, GreetResult, service

class Greet(LambdaTool):
    \"\"\"Greet a person\"\"\"

    def run(self, req: GreetRequest, ctx: JobContext) -> GreetResult:
        raise NotImplementedError

class Other(Greet):
    \"\"\"Another one\"\"\"

server = ToolServer(service, tools=[{tools}])

if __name__ == "__main__":
    server.serve({serve})
"""


def greet(req: tools.GreetRequest) -> tools.GreetResult:
    """Greet a person"""
    raise NotImplementedError


def printed(folder: Path, *args: str, tools: str = "Greet", serve: str = "batch=True", **env: str) -> dict[str, Any]:
    file = folder / "my_service.py"
    file.write_text(FILE.format(tools=tools, serve=serve))
    ended = run_to_end(file, *args, cwd=folder, env=env)
    assert ended.returncode == 0, ended.stderr
    definition: dict[str, Any] = json.loads(ended.stdout)
    return definition


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Dockerfile").write_text('FROM python\nENTRYPOINT ["python", "/app/my_service.py"]\n')
    (tmp_path / "resources.json").write_text('{"limits": {"cpu": "2", "memory": "3Gi"}}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_service_definition_is_that_of_ivcap_service(folder: Path) -> None:
    original = create_batch_service_definition(tools.service, greet).model_dump(by_alias=True, exclude_none=True)
    assert printed(folder, "--print-service-description") == original
    assert original["controller-schema"] == original["controller"]["$schema"] == "urn:ivcap:schema.service.batch.1"
    assert "path" not in original["controller"]


def test_the_environment_fills_it_as_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {
        "DOCKER_IMG": "image:1",
        "IVCAP_SERVICE_ID": "urn:ivcap:service:1",
        "IVCAP_SERVICE_NAME": "lab-greeter",
        "IVCAP_POLICY_URN": "urn:ivcap:policy:1",
        "ENTRYPOINT": '["run"]',
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    original = create_batch_service_definition(tools.service, greet).model_dump(by_alias=True, exclude_none=True)
    assert printed(folder, "--print-service-description", **env) == original
    assert original["controller"]["command"] == ["run"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ivcap-service's own
def test_the_only_tool_is_named_after_the_service(folder: Path) -> None:
    original = create_tool_definition(greet, name=tools.service.name).model_dump(by_alias=True)
    assert printed(folder, "--print-tool-description") == original


def test_the_command_has_the_flags_that_the_container_needs(folder: Path) -> None:
    definition = printed(folder, "--batch", "--print-service-description", "other", tools="Greet, Other", serve="")
    assert definition["name"] == "My IVCAP Service-other"
    assert definition["controller"]["command"] == ["python", "/app/my_service.py", "--batch", "--tool", "other"]


def test_without_batch_mode_it_is_a_service_over_http(folder: Path) -> None:
    definition = printed(folder, "--print-service-description", serve="batch=False")
    assert definition["controller-schema"] == "urn:ivcap:schema.service.rest.1"
    assert definition["controller"]["path"] == "/greet"
