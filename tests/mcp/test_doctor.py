"""docs/mcp.md, What agents read: ``lambda-kit doctor --mcp``."""

import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from lambda_kit.cli.command import main
from tests.support.service_command import run_to_end

Doctor = Callable[..., tuple[int, str, str]]
"""Runs the command in a folder; gives its exit code, and what it printed to stdout and stderr."""

SERVICE = '''
from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolOptions, ToolServer


class Ask(BaseModel):
    text: str = ""


class Speak(LambdaTool):
    """Say it

    What was said, again.
    """

    def run(self, req: Ask) -> str:
        return req.text


class Listen(Speak):
    """Hear it"""

    name, path = "listen", "/listen"
    options = ToolOptions(mcp=False)


service = Service(name="Talk", contact={"name": "a", "email": "a@example.com"}, instructions="Listen, then speak.")
server = ToolServer(service, tools=[Speak, Listen])
app = server.app

if __name__ == "__main__":
    server.serve()
'''


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Generator[Doctor]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(target: str) -> tuple[int, str, str]:
        code = main(["doctor", "--mcp", target])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    yield run
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


def written(name: str, text: str = SERVICE) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


@pytest.mark.parametrize("target", ["talk.py:server", "talk.py", "./talk.py:server", "talk:server", "talk"])
def test_it_shows_what_a_client_sees(doctor: Doctor, target: str):
    written("talk.py")
    code, out, err = doctor(target)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:6] == [
        "Talk: 1 tool for MCP clients, and 2 of MCP's own",
        "instructions: 19 characters",
        "",
        "speak: Say it",
        "    What was said, again.",
        "    (21 characters; input schema 70 bytes, output none)",
    ]
    assert "job_result: Get the result of a job" in lines
    assert lines[-3:] == ["left out by ToolOptions(mcp=False): listen", "", "0 errors, 0 warnings"]


def test_it_shows_the_rules_that_are_broken_and_fails_for_errors(doctor: Doctor):
    written("talk.py", SERVICE.replace('"""Say it\n\n    What was said, again.\n    """', 'name = "say.it"'))
    code, out, _ = doctor("talk.py")
    assert code == 1
    assert "    error [name] Speak.name = 'say.it': " in out
    assert "    warning [docstring] Speak has no docstring" in out
    assert out.endswith("\n1 error, 1 warning\n")


def test_warnings_alone_are_no_failure(doctor: Doctor):
    written("talk.py", SERVICE.replace("Listen, then speak.", "x" * 2049))
    code, out, _ = doctor("talk.py")
    assert code == 0
    assert "warning [long-instructions] Service(instructions=...)" in out


def test_a_file_of_a_package_and_a_file_with_any_name_are_imported(doctor: Doctor):
    written("package/__init__.py", "")
    written("package/models.py", "ANSWER = 42")
    written("package/talk.py", f"from .models import ANSWER\n{SERVICE}")
    written("my-service.1.py")
    for target in ("package/talk.py", "package.talk:server", "my-service.1.py:server"):
        code, out, err = doctor(target)
        assert (code, err) == (0, "")
        assert "speak: Say it" in out


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere:server", "there is no module 'nowhere'"),
        ("nowhere.at_all:server", "there is no module 'nowhere.at_all'"),
        ("nowhere.py:server", "there is no file nowhere.py"),
        ("here/nowhere.py", "there is no file here/nowhere.py"),
        ("talk.py:sever", "sever of talk.py is nothing of that name; write talk.py:server"),
        ("talk.py:app", "app of talk.py is a ToolApp, not a ToolServer; write talk.py:server"),
        ("empty.py", "empty.py has no ToolServer at the level of the module"),
        ("empty.py:server", "empty.py has no ToolServer at the level of the module"),
        ("two.py", "which server is meant? write two.py:server or two.py:other"),
        ("wanting.py", "wanting.py raised an exception when it was imported:\n\nTraceback"),
        ("wanting:server", "ModuleNotFoundError: No module named 'something_else'"),
        ("failing.py", 'File "{folder}/failing.py", line 1, in <module>\n    1 / 0'),
        ("wrong.py", 'File "{folder}/wrong.py", line 1\n    def (\n'),
        ("starting.py", "starting.py can't be imported: ConfigurationError: it starts the service: start it under"),
        ("ending.py", "ending.py ends the process when it is imported: do what does under 'if __name__"),
        ("refused.py", "refused.py can't be imported: ToolDefinitionError: Speak.name = 'say.it': "),
    ],
)
def test_what_can_not_be_read_is_told_apart(doctor: Doctor, tmp_path: Path, target: str, said: str):
    written("talk.py")
    written("empty.py", "")
    written("two.py", f"{SERVICE}\nother = ToolServer(service, tools=[Speak])")
    written("wanting.py", "import something_else")
    written("failing.py", "1 / 0")
    written("wrong.py", "def (\n")
    written("starting.py", SERVICE.replace('if __name__ == "__main__":', "if True:"))
    written("ending.py", "raise SystemExit(0)")
    refused = SERVICE.replace('    """Say it\n', '    name = "say.it"\n    """Say it\n')
    written("refused.py", refused.replace("tools=[Speak, Listen]", "tools=[Speak], mcp=True"))
    code, out, err = doctor(target)
    assert (code, out) == (1, "")
    assert said.format(folder=tmp_path) in err
    assert "lambda_kit/cli" not in err
    assert "importlib" not in err


def test_without_the_extra_it_says_what_to_install(doctor: Doctor, monkeypatch: pytest.MonkeyPatch):
    written("talk.py")
    for name in [name for name in sys.modules if name.startswith("lambda_kit.adapters.mcp.catalog")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp_types", None)
    code, _, err = doctor("talk.py")
    assert code == 1
    assert "pip install 'lambda-kit[mcp]'" in err


@pytest.mark.parametrize("flag", ["--with-mcp", "--with-mcp-stdio"])
def test_the_service_itself_says_why_it_is_refused(tmp_path: Path, flag: str):
    served = SERVICE.replace('name, path = "listen"', 'name, path = "job_result"').replace("mcp=False", "mcp=True")
    (tmp_path / "talk.py").write_text(served)
    done = run_to_end(tmp_path / "talk.py", flag, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "talk.py: error: Listen.name = 'job_result': " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_of_the_page_breaks_no_rule(doctor: Doctor):
    code, out, _ = doctor(str(Path(__file__).parents[2] / "docs_src" / "words.py"))
    assert code == 0
    assert out.endswith("\n0 errors, 0 warnings\n")


def test_the_command_line_does_it_without_a_running_service(tmp_path: Path):
    (tmp_path / "talk.py").write_text(SERVICE)
    program = "import sys; from lambda_kit.cli.command import main; sys.exit(main(['doctor', '--mcp', 'talk:server']))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "speak: Say it" in done.stdout
