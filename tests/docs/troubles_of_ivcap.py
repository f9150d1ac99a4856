"""What docs/troubleshooting.md says of the IVCAP platform, of a laptop, and of telemetry, reproduced."""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool
from lambda_kit.adapters.ivcap import IvcapSidecarSink
from lambda_kit.compat.aliases import add_alias
from lambda_kit.testing import TestClient
from tests.docs.troubles import Warnings, answer, greeter, refused, served, shows
from tests.support.service_process import free_port


class MeasureRequest(BaseModel):
    artifact: str


class Measure(LambdaTool):
    """Size of an artifact"""

    def run(self, req: MeasureRequest, ctx: JobContext) -> int:
        return len(ctx.ivcap.get_artifact(req.artifact).open().read())


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    others = {name: value for name, value in os.environ.items() if not name.startswith(("IVCAP_", "OTEL_", "OPENOBS"))}
    with mock.patch.dict(os.environ, {**others, **variables}, clear=True):
        yield


def said_by(*argv: str) -> str:
    with contextlib.redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit) as exited:
        served(greeter()).serve(argv)
    assert exited.value.code == 1
    return said.getvalue()


@refused("'ivcap.local' is not the URL of a sidecar: it must be like http://ivcap.local or http://127.0.0.1:8088")
def no_url() -> None:
    IvcapSidecarSink("ivcap.local")


@shows("sink ivcap-sidecar can't be reached")
def nobody_listens() -> str:
    with (
        environment(IVCAP_BASE_URL=f"http://127.0.0.1:{free_port()}"),
        Warnings("lambda_kit.delivery", "can't be reached") as warnings,
        TestClient(served(greeter())) as client,
    ):
        client.post("/greet", json={"name": "Ada"})
        assert warnings.is_there.wait(30)
    return warnings.message


@shows("no jobs to run: $IVCAP_BASE_URL is not set")
def batch_without_a_sidecar() -> str:
    with environment(), Warnings("lambda_kit.batch", "no jobs") as warnings, pytest.raises(SystemExit) as exited:
        served(greeter()).serve(["--batch"])
    assert exited.value.code == 0
    return warnings.message


@shows("this is no request for the tool 'greet'")
def a_file_that_does_not_fit() -> str:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "request.json"
        file.write_text('{"nam": "Ada"}', "utf-8")
        return said_by("--run", str(file))


@shows("--workers is for services with a port: leave it out in batch mode and with --run")
def workers_without_a_port() -> str:
    return said_by("--batch", "--workers", "2")


@shows("local mode looks for a file of this name in")
def no_such_artifact() -> str:
    with environment():
        return answer(500, Measure, path="/measure", json={"artifact": "urn:ivcap:artifact:none"})


@shows("missing 'token' argument or environment variable 'IVCAP_JWT' not set")
def no_token() -> str:
    with environment(IVCAP_URL="http://127.0.0.1:9"):
        return answer(400, Measure, path="/measure", json={"artifact": "urn:ivcap:artifact:none"})


def why_there_is_no_telemetry(**variables: str) -> str:
    server = served(greeter())
    server.enable(with_telemetry=True)
    with environment(**variables), Warnings("lambda_kit.telemetry", "asked for") as warnings, TestClient(server):
        assert warnings.is_there.wait(30)
    return warnings.message


@shows("telemetry was asked for, and no endpoint is known")
def no_endpoint() -> str:
    return why_there_is_no_telemetry()


@shows("telemetry was asked for, and its packages are missing")
def no_packages() -> str:
    with mock.patch.dict(sys.modules, {"lambda_kit.adapters.telemetry.parts": None}):
        return why_there_is_no_telemetry(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")


@refused("is installed beside lambda-kit-compat, in the same folders")
def both_distributions() -> None:
    with tempfile.TemporaryDirectory() as directory:
        package = Path(directory) / "ivcap_lambda"
        package.mkdir()
        (package / "builder.py").touch()
        add_alias("ivcap_lambda_beside", "lambda_kit.compat.ivcap_lambda", str(package / "__init__.py"))
