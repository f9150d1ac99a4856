"""Whether there is telemetry: the first that speaks decides; and off is off."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service_process import ROOT, ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

SERVICE = Path(__file__).parents[1] / "support" / "loaded_modules.py"
INSTALL = "pip install 'lambda-kit[otel]'"


def loaded_by(args: list[str], env: dict[str, str]) -> tuple[list[str], str]:
    """Modules of OpenTelemetry but its API, which ivcap-service's steps load, and the log."""
    with ServiceProcess(SERVICE, args, env=env, seconds=90) as service:
        answer = httpx.post(service.url + "/modules", json={"prefix": "opentelemetry."}, timeout=60)
    families = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.instrumentation")
    return [name for name in answer.json()["modules"] if name.startswith(families)], service.log


@pytest.mark.parametrize(
    ("args", "env"),
    [
        ([], {}),
        (["--without-telemetry"], {"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "WANTED": "yes", "OPENOBSERVE_ENABLED": "1"}),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "WANTED": "no", "OPENOBSERVE_ENABLED": "true"}),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "OPENOBSERVE_ENABLED": "false"}),
        (["--with-telemetry"], {"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "OTEL_SDK_DISABLED": "true", "WANTED": "yes"}),
    ],
)
def test_off_loads_no_sdk_no_exporter_and_no_instrumentor_and_sends_nothing(args, env):
    with OtlpReceiver() as collector:
        env = {name: collector.url if value == "URL" else value for name, value in env.items()}
        modules, log = loaded_by(args, env)
        assert modules == []
        assert "telemetry" not in log
        assert collector.requests == []


@pytest.mark.parametrize(
    ("args", "env"),
    [
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "URL"}),
        ([], {"OPENOBSERVE_URL": "URL", "OPENOBSERVE_ORG": "mine"}),
        (["--with-telemetry"], {"OPENOBSERVE_OTLP_ENDPOINT": "URL", "WANTED": "no", "OPENOBSERVE_ENABLED": "false"}),
        ([], {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "URL/v1/traces", "WANTED": "yes", "OPENOBSERVE_ENABLED": "no"}),
    ],
)
def test_on_sends_spans_without_a_restart_of_anything(args, env):
    with OtlpReceiver() as collector:
        env = {name: value.replace("URL", collector.url) for name, value in env.items()}
        modules, log = loaded_by(args, env)
        assert "opentelemetry.sdk.trace" in modules
        assert f"traces, metrics, logs are sent to {collector.url}" in log or "traces are sent to" in log
        collector.span("RUN modules", job__name="modules")  # the stop has sent it


@pytest.mark.parametrize(("args", "env"), [(["--with-telemetry"], {}), ([], {"OPENOBSERVE_ENABLED": "true"})])
def test_telemetry_that_has_no_endpoint_is_one_warning_with_the_variables(args, env):
    modules, log = loaded_by(args, env)
    assert modules == []
    (line,) = [line for line in log.splitlines() if "telemetry" in line]
    assert "WARNING" in line
    assert "$OTEL_EXPORTER_OTLP_ENDPOINT" in line
    assert "$OPENOBSERVE_URL" in line


def test_telemetry_without_its_extra_is_one_warning_with_the_command_that_installs_it():
    with OtlpReceiver() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "WITHOUT_SDK": "1"}
        _, log = loaded_by(["--with-telemetry"], env)
    (line,) = [line for line in log.splitlines() if "telemetry" in line]
    assert "WARNING" in line
    assert INSTALL in line


def test_variables_that_opentelemetry_refuses_are_one_warning_and_the_service_runs():
    with OtlpReceiver() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "-5"}
        _, log = loaded_by([], env)
    (line,) = [line for line in log.splitlines() if "telemetry" in line]
    assert "WARNING" in line
    assert "can't be set up" in line


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://:4318", "grpc://collector:4317", "http://[bad"])
def test_an_endpoint_that_is_none_is_one_warning_and_the_service_runs(endpoint):
    modules, log = loaded_by([], {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert modules == []
    (line,) = [line for line in log.splitlines() if "telemetry" in line]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is not the URL of an OTLP endpoint" in line


def test_importing_the_package_and_making_a_server_loads_no_opentelemetry():
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); "
        "print([name for name in sys.modules if name.startswith('opentelemetry.') "
        "and name.split('.')[1] in ('sdk', 'exporter', 'instrumentation')])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(SERVICE)], env=env, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
