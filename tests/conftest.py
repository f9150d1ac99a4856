import gc
import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from tests.support.missing_service import REASON, services_are_required
from tests.support.service_process import ServiceProcess

pytest_plugins = ["lambda_kit.testing.pytest_plugin"]  # where lambda_kit is on the path, and not installed

StartService = Callable[..., ServiceProcess]

TESTS = Path(__file__).parent

QUICK = ("core/", "http/", "executors/test_contract.py", "stores/test_memory.py", "stores/test_sqlite.py", "test_")
"""How the paths of what ``--quick`` runs begin: it is run on the loop or on threads, with jobs in memory or in a file.
Of these, tests that are marked `processes` are left out."""

# For each of its clients, so for each `httpx.get`, httpx reads all certificates that it trusts: 15 to 20 ms, more than
# the request takes. No test speaks TLS as a client; so it is told to look for them in a folder that has none.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(TESTS)

# A request without a timeout of its own would wait for 5 s, and fail where others have the processor for as long.
vars(DEFAULT_TIMEOUT_CONFIG).update(vars(httpx.Timeout(60.0)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="what needs neither processes of its own nor a server")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--quick") or collection_path.is_dir() or not collection_path.is_relative_to(TESTS):
        return None
    return True if not collection_path.relative_to(TESTS).as_posix().startswith(QUICK) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        left_out = [item for item in items if item.get_closest_marker("processes")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("processes")]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()  # hardly anything of what is made now is ever dropped
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()  # nor is it looked through again and again while the tests are run
        gc.enable()


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
