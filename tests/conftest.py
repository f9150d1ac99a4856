import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.missing_service import REASON, services_are_required
from tests.support.service_process import ServiceProcess

StartService = Callable[..., ServiceProcess]

# For each of its clients, so for each `httpx.get`, httpx reads all certificates that it trusts: 15 to 20 ms, more than
# the request takes. No test speaks TLS as a client; so it is told to look for them in a folder that has none.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and services_are_required():
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(REASON):
            report.outcome = "failed"
            report.longrepr = f"LAMBDA_KIT_REQUIRE_SERVICES is set, and a service is missing: {reason[len(REASON) :]}"
    return report


@pytest.fixture
def service_process() -> Generator[StartService]:
    """Starts services that end with the test: ``service_process(file, args, env=..., exit_code=0)``.

    Returns a `ServiceProcess` that answers already. Its end is part of the test: the exit code must be right.
    """
    with ExitStack() as stack:

        def start(*args: Any, **options: Any) -> ServiceProcess:
            return stack.enter_context(ServiceProcess(*args, **options))

        yield start
