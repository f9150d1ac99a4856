"""What `--with-mcp-stdio` goes with, and what it does to a process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mcp_stdio import McpStdio, stdio_environment
from tests.support.service_command import run_to_end

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parent / "stdio_service.py"

A_SERVICE = """
from pydantic import BaseModel
from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer

class Text(BaseModel):
    text: str = ""

class Echo(LambdaTool):
    '''Give a text back

    As it is.
    '''
    options = ToolOptions(scopes=("echo",))

    def run(self, req: Text, ctx: JobContext) -> Text:
        return Text(text=f"{req.text} for {ctx.principal}")

server = ToolServer(Service(name="A", contact={"name": "A", "email": "a@example.com"}), tools=[Echo])
"""


def service_file(folder: Path, last_lines: str) -> Path:
    file = folder / "service.py"
    file.write_text(A_SERVICE + last_lines)
    return file


def run(command: list[str], env: dict[str, str], text: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=env, input=text, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.parametrize(
    "flags",
    [
        ("--port", "8090"),
        ("--tls-cert", "c.pem"),
        ("--job-list",),
        *(
            pytest.param(flags, marks=pytest.mark.slow)
            for flags in (
                ("--host", "127.0.0.1"),
                ("--workers", "2"),
                ("--reload",),
                ("--tls-key", "k.pem"),
                ("--access-log",),
                ("--with-platform-api",),
                ("--allowed-hosts", "example.com"),
                ("--mcp-allowed-hosts", "example.com"),
                ("--mcp-allowed-origins", "https://example.com"),
                ("--root-path", "/a"),
                ("--forwarded-allow-ips", "*"),
                ("--max-upload-bytes", "1000"),
            )
        ),
    ],
)
def test_flags_of_a_port_are_refused_by_name(flags: tuple[str, ...]) -> None:
    ended = run_to_end(SERVICE, "--with-mcp-stdio", *flags)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"{flags[0]} is for services with a port: leave it out with --with-mcp-stdio" in ended.stderr


@pytest.mark.parametrize("flags", [("--batch",), ("--run", "request.json"), ("--list-services",)])
def test_it_excludes_the_other_things_that_a_service_file_can_do(flags: tuple[str, ...]) -> None:
    ended = run_to_end(SERVICE, "--with-mcp-stdio", *flags)
    assert (ended.returncode, ended.stdout) == (1, "")
    message = ended.stderr.strip().splitlines()[-1]
    assert all(part in message for part in (flags[0], "--with-mcp-stdio", "choose one"))


def test_variables_of_a_port_are_ignored_and_none_is_opened() -> None:
    env = {"PORT": "8091", "HOST": "nowhere.invalid", "LAMBDA_KIT_TLS_CERT": "c.pem", "LAMBDA_KIT_TLS_KEY": "k.pem"}
    with McpStdio(SERVICE, env=env) as service:
        service.initialize()
        service.wait_for_log("ready")
        folder = Path(f"/proc/{service.process.pid}")
        if folder.exists():
            links = [str(descriptor.readlink()) for descriptor in (folder / "fd").iterdir()]
            own = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
            tables = [(folder / "net" / name).read_text().splitlines() for name in ("tcp", "tcp6")]
            rows = [line.split() for table in tables for line in table]
            assert not [row for row in rows if row[3] == "0A" and row[9] in own], "it listens"


def test_it_wins_over_batch_in_the_service_file(tmp_path: Path) -> None:
    file = service_file(tmp_path, 'if __name__ == "__main__":\n    server.serve(batch=True)\n')
    with McpStdio(file) as service:
        service.initialize()
        assert service.run("echo")["content"]


def test_arguments_that_a_program_gives_to_serve_count_too(tmp_path: Path) -> None:
    lines = """
if __name__ == "__main__":
    import sys
    sys.argv = sys.argv[:1]
    server.serve(["--with-mcp-stdio"])
"""
    with McpStdio(service_file(tmp_path, lines)) as service:
        service.initialize()
        assert service.run("echo")["content"]


def test_the_user_of_the_machine_needs_no_login_and_no_scope(tmp_path: Path) -> None:
    file = service_file(tmp_path, 'if __name__ == "__main__":\n    server.serve()\n')
    keys = tmp_path / "keys"
    keys.write_text("")
    with McpStdio(file, env={"LAMBDA_KIT_AUTH": f"keys:{keys}"}) as service:
        service.initialize()
        assert service.run("echo", {"text": "something"})["structuredContent"] == {"text": "something for None"}


@pytest.mark.parametrize("closed", ["0<&-", "1>&-"])
def test_a_stream_that_is_closed_is_named(closed: str) -> None:
    command = f"exec {sys.executable} {SERVICE} --with-mcp-stdio {closed}"
    ended = run(["sh", "-c", command], stdio_environment())
    assert ended.returncode == 1
    assert "stdin or stdout is closed" in ended.stderr
    assert not ended.stdout


def test_a_service_without_stderr_is_silent_and_works() -> None:
    command = f"exec {sys.executable} {SERVICE} --with-mcp-stdio 2>&-"
    request = '{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
    ended = run(["sh", "-c", command], stdio_environment(), request)
    assert (ended.returncode, ended.stdout) == (0, '{"jsonrpc":"2.0","id":1,"result":{}}\n')


def test_importing_lambda_kit_diverts_nothing_without_the_flag_and_loads_no_mcp_with_it(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(
        "import sys, lambda_kit\nprint('printed', sys.stdin.read(), [n for n in sys.modules if n.startswith('mcp')])\n"
    )
    env = stdio_environment()
    for flags, stdout, stderr in (
        ([], "printed typed []\n", ""),
        (["--with-mcp-stdio"], "", "printed  []\n"),
    ):
        command = [sys.executable, str(file), *flags]
        ended = run(command, env, "typed")
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, stdout, stderr)


def test_without_the_extra_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "mcp_types.py").write_text("raise ModuleNotFoundError('no mcp_types', name='mcp_types')\n")
    env = stdio_environment()
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}"
    file = service_file(tmp_path, 'if __name__ == "__main__":\n    server.serve()\n')
    ended = run([sys.executable, str(file), "--with-mcp-stdio"], env, "")
    assert ended.returncode == 2
    assert "pip install 'lambda-kit[mcp]'" in ended.stderr
    assert "Traceback" not in ended.stderr
