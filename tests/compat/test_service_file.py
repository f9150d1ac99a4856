"""Service files of ivcap-lambda, run from their command line: flags, logging, batch mode, the golden tools."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from lambda_kit.compat.ivcap_lambda import SecretMgrClient
from lambda_kit.testing import FakeSidecar
from tests.support.service_command import ROOT, run_to_end

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

GOLDEN = ROOT / "tests" / "golden"

HEAD = """
from fastapi import Request
from ivcap_service import JobContext, Service
from pydantic import BaseModel
from lambda_kit.compat.ivcap_lambda import *

service = Service(name="Files", contact={"name": "Ann", "email": "ann@example.com"})

class Ask(BaseModel):
    n: int = 0

@ivcap_lambda("/ids")
def ids(req: Ask, ctxt: JobContext, freq: Request) -> dict:
    "Tell ids"
    told = [ctxt.job_id, get_job_id(), freq.method, freq.headers.get("authorization")]
    print("told", told, flush=True)
    return {"told": told}

"""


def service_file(folder: Path, rest: str = "start_lambda_server(service)") -> Path:
    file = folder / "service.py"
    file.write_text(f"{HEAD}if __name__ == '__main__':\n{textwrap.indent(textwrap.dedent(rest), '    ')}\n")
    return file


def test_in_batch_mode_the_id_is_as_the_platform_gave_it(fake_sidecar: FakeSidecar, tmp_path: Path) -> None:
    fake_sidecar.queue("urn:ivcap:job:b1", {"n": 1}, authorization="Bearer of-the-job")
    ended = run_to_end(
        service_file(tmp_path), "--batch", env={"IVCAP_BASE_URL": fake_sidecar.url}, by_new_interpreter=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "told ['urn:ivcap:job:b1', 'urn:ivcap:job:b1', 'POST', 'Bearer of-the-job']" in ended.stdout


def test_a_request_is_run_from_a_file(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"n": 1}')
    ended = run_to_end(service_file(tmp_path), "--run", str(request), by_new_interpreter=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["told"][2:] == ["POST", None]


def test_flags_of_the_services_own_win_over_those_that_only_lambda_kit_has(tmp_path: Path) -> None:
    file = service_file(
        tmp_path,
        """
        def custom_args(parser):
            group = parser.add_argument_group("own")
            group.add_argument("--store", type=int, help="a number")
            parser.add_argument("--debug", action="store_true")
            parser.add_argument("--workers", default="many")
            args = parser.parse_args()
            print("own", args.store, args.debug, args.workers, args.port)
            return args
        start_lambda_server(service, custom_args=custom_args)
        """,
    )
    ended = run_to_end(file, "--store", "3", "--debug", "--port", "1", "--list-services")
    assert ended.stdout.splitlines() == ["own 3 True many 1", "ids"], ended.stderr


def test_the_older_name_of_the_start_warns_and_works(tmp_path: Path) -> None:
    file = service_file(
        tmp_path,
        """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            start_tool_server(service, logger=None, run_opts={}, with_telemetry=False)
        """,
    )
    assert run_to_end(file, "--list-services").stdout == "ids\n"
    loud = service_file(tmp_path, "start_tool_server(service)")
    ended = run_to_end(loud, "--list-services", by_new_interpreter=True, env={"PYTHONWARNINGS": "default"})
    assert "start_tool_server() is the old name" in ended.stderr


def golden_service(folder: Path) -> Path:
    """The golden tools under the decorator, whose file is as it was recorded."""
    source = (GOLDEN / "tools.py").read_text()
    source += (
        "\n\nfrom lambda_kit.compat.ivcap_lambda import ToolOptions, ivcap_lambda, start_lambda_server\n"
        "ivcap_lambda('/greet', opts=ToolOptions(service_id='/greet'))(greet)\n"
        "ivcap_lambda('/many/things')(list_things)\n"
        "start_lambda_server(service)\n"
    )
    file = folder / "golden.py"
    file.write_text(source)
    return file


@pytest.mark.parametrize("kind", ["service", "tool"])
@pytest.mark.parametrize("tool", ["greet", "list_things"])
def test_the_golden_tools_are_described_as_recorded(tmp_path: Path, kind: str, tool: str) -> None:
    ended = run_to_end(golden_service(tmp_path), f"--print-{kind}-description", tool, cwd=tmp_path)
    golden: dict[str, Any] = json.loads((GOLDEN / f"{kind}-description.{tool}.json").read_text())
    printed = json.loads(ended.stdout)
    assert printed == golden
    assert list(printed) == list(golden)


def test_a_logging_file_may_name_the_old_filter(tmp_path: Path) -> None:
    file = tmp_path / "logging.json"
    old = {"()": "ivcap_ai_tool.logger.SuppressPathsFilter", "targets": ["/_healtz"]}
    file.write_text(
        json.dumps({
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"quiet": old, "older": {"()": "ivcap_lambda.logger.SuppressPathsFilter"}},
            "handlers": {"null": {"class": "logging.NullHandler", "filters": ["quiet", "older"]}},
            "loggers": {"tests.none": {"handlers": ["null"]}},
        })
    )  # fmt: skip
    service = service_file(
        tmp_path,
        """
        import logging, ivcap_service
        logging_init("logging.json")
        filters = logging.getLogger("tests.none").handlers[0].filters
        print([(type(used).__module__, sorted(used.targets)) for used in filters])
        print(ivcap_service.service_log_config()["version"])
        """,
    )
    ended = run_to_end(service, cwd=tmp_path)
    module = "lambda_kit.compat.ivcap_lambda.logger"
    assert ended.stdout.splitlines() == [str([(module, ["/_healtz"]), (module, [])]), "1"], ended.stderr


@pytest.mark.parametrize("config", ["", '"logging.json"'])
def test_a_secret_that_is_got_before_the_start_shows_no_part_in_the_log(tmp_path: Path, config: str) -> None:
    root = {"level": "INFO", "handlers": ["err"]}
    handlers = {"err": {"class": "logging.StreamHandler"}}
    (tmp_path / "logging.json").write_text(
        json.dumps({"version": 1, "disable_existing_loggers": False, "handlers": handlers, "root": root})
    )
    service = service_file(
        tmp_path,
        f"""
        from ivcap_service import get_secret
        logging_init({config})
        get_secret("MY_SECRET")
        """,
    )
    ended = run_to_end(service, cwd=tmp_path, env={"MY_SECRET": "a-very-secret-value"})
    assert "got secret 'MY_SECRET' ending in '***'" in ended.stderr
    assert "value" not in ended.stderr


def test_the_old_client_of_secrets_warns() -> None:
    with pytest.warns(DeprecationWarning, match=r"ivcap_service\.secret\.SecretMgrClient"):
        assert SecretMgrClient("http://127.0.0.1:9").secret_url == "http://127.0.0.1:9"
