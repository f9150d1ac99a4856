"""The command line of a service file, as somebody in a shell sees it (docs/wire.md)."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.service_command import EXAMPLES, ROOT, run_to_end
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

ECHO = EXAMPLES / "echo.py"
GREETER = EXAMPLES / "greeter.py"


# --- what is printed ---


@pytest.mark.parametrize("tool", ["greet", "list_things"])
@pytest.mark.parametrize("kind", ["tool", "service"])
def test_a_description_is_printed_as_the_original_prints_it(kind: str, tool: str, tmp_path: Path) -> None:
    ended = run_to_end(GREETER, f"--print-{kind}-description", tool, cwd=tmp_path)
    assert ended.stdout == (ROOT / "tests" / "golden" / f"{kind}-description.{tool}.json").read_text()
    assert ended.returncode == 0


def test_without_a_name_the_first_tool_is_described(tmp_path: Path) -> None:
    ended = run_to_end(GREETER, "--print-tool-description", cwd=tmp_path)
    assert json.loads(ended.stdout)["name"] == "greet"


def test_the_service_can_be_named_for_its_description(tmp_path: Path) -> None:
    ended = run_to_end(GREETER, "--print-service-description", "greet", "--service-name", "lab-greeter", cwd=tmp_path)
    assert json.loads(ended.stdout)["name"] == "lab-greeter"


def test_the_tools_are_listed_one_a_line() -> None:
    ended = run_to_end(GREETER, "--list-services")
    assert (ended.returncode, ended.stdout) == (0, "greet\nlist_things\n")


@pytest.mark.parametrize("flag", ["--print-tool-description", "--print-service-description"])
def test_a_tool_that_is_not_there_is_refused_with_the_known_names(flag: str) -> None:
    ended = run_to_end(GREETER, flag, "greeet")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "'greeet'" in ended.stderr
    assert "greet, list_things" in ended.stderr


def test_an_unusable_resources_file_is_named_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "resources.json").write_text("[]")
    ended = run_to_end(GREETER, "--print-service-description", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "resources.json" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_descriptions_are_utf_8_whatever_the_terminal_speaks(tmp_path: Path) -> None:
    body = '''
class Call(Shout):
    """Rufe „laut“"""
'''
    file = service_file(tmp_path, body=body, tools="Call")
    ended = run_to_end(file, "--print-tool-description", env={"PYTHONIOENCODING": "ascii"}, by_new_interpreter=True)
    assert "Rufe „laut“" in ended.stdout


# --- the command line itself ---


def test_help_names_every_flag_and_the_environment_variables() -> None:
    ended = run_to_end(ECHO, "--help")
    assert ended.returncode == 0
    flags = """--host --port --with-telemetry --without-telemetry --with-mcp --with-mcp-stdio --list-services
        --print-tool-description --print-service-description --service-name --job-list --access-log --debug --grace"""
    text = " ".join(ended.stdout.split())
    for said in (*flags.split(), "else 25", "$HOST", "$PORT", "$IVCAP_SERVICE_ID", "A minimal example service."):
        assert said in text


def test_a_flag_that_is_not_known_exits_with_2() -> None:
    ended = run_to_end(ECHO, "--colour")
    assert ended.returncode == 2
    assert "--colour" in ended.stderr


@pytest.mark.parametrize("port", ["http", "65536", "²"])
def test_a_port_that_is_none_exits_with_2_and_says_where_it_came_from(port: str) -> None:
    ended = run_to_end(ECHO, env={"PORT": port})
    assert ended.returncode == 2
    assert f"$PORT is '{port}': must be a whole number from 0 to 65535" in ended.stderr


def test_a_flag_wins_over_a_bad_variable() -> None:
    with ServiceProcess(ECHO, env={"PORT": "nonsense", "HOST": "nowhere.invalid"}) as service:
        assert httpx.get(f"{service.url}/_healtz").status_code == 200


@pytest.mark.parametrize("flags", [("--with-mcp", "--with-mcp-stdio"), ("--with-telemetry", "--without-telemetry")])
def test_flags_that_contradict_each_other_exit_with_2(flags: tuple[str, str]) -> None:
    ended = run_to_end(ECHO, *flags)
    assert ended.returncode == 2
    assert "not allowed with" in ended.stderr


@pytest.mark.parametrize("flag", ["--with-mcp", "--with-mcp-stdio"])
def test_without_the_packages_of_mcp_its_flags_say_how_to_install_them(flag: str, tmp_path: Path) -> None:
    file = tmp_path / "without_mcp.py"
    file.write_text(f'import sys\nsys.modules["mcp_types"] = None\n{ECHO.read_text("utf-8")}', "utf-8")
    ended = run_to_end(file, flag, by_new_interpreter=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{flag}: " in ended.stderr
    assert "pip install 'lambda-kit[mcp]'" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- a service's own flags ---

SEED_CUSTOM_ARGS = """
def custom_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    parser.add_argument("--my-flag", type=str, help="My custom flag")
    args = parser.parse_args()
    if args.my_flag:
        print("my flag is", args.my_flag, file=sys.stderr)
    return args
"""


def test_custom_args_add_flags_and_see_their_values(tmp_path: Path) -> None:
    file = service_file(tmp_path, body=SEED_CUSTOM_ARGS, arguments="custom_args=custom_args")
    ended = run_to_end(file, "--my-flag", "on", "--list-services")
    assert (ended.returncode, ended.stdout) == (0, "shout\n")
    assert "my flag is on" in ended.stderr
    assert "My custom flag" in run_to_end(file, "--help").stdout


def test_custom_args_parse_the_arguments_that_were_given_to_serve(tmp_path: Path) -> None:
    arguments = 'argv=["--my-flag", "given", "--list-services"], custom_args=custom_args'
    ended = run_to_end(service_file(tmp_path, body=SEED_CUSTOM_ARGS, arguments=arguments), "--unknown")
    assert (ended.returncode, ended.stdout) == (0, "shout\n")
    assert "my flag is given" in ended.stderr


def test_custom_args_that_return_nothing_are_told_what_to_return(tmp_path: Path) -> None:
    body = "def custom_args(parser):\n    parser.parse_args()\n"
    ended = run_to_end(service_file(tmp_path, body=body, arguments="custom_args=custom_args"))
    assert ended.returncode == 1
    assert "custom_args returned None" in ended.stderr
    assert "return parser.parse_args()" in ended.stderr
    assert "Traceback" not in ended.stderr
