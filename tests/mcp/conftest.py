"""A service with tools that take long, for each file that tests tasks."""

from collections.abc import Generator

import pytest

from tests.mcp.modern import TASK_SERVICE, ModernClient
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess


@pytest.fixture(scope="module")
def task_gate() -> Generator[Gate]:
    """Where its tools wait."""
    with Gate() as gate:
        yield gate


@pytest.fixture(scope="module")
def task_service(task_gate: Gate) -> Generator[ServiceProcess]:
    """The service."""
    with ServiceProcess(TASK_SERVICE, env={"TASK_GATE": str(task_gate.port)}) as process:
        yield process


@pytest.fixture
def gate(task_gate: Gate) -> Generator[Gate]:
    """Where its tools wait, which go on when the test ends."""
    yield task_gate
    task_gate.release_all()


@pytest.fixture
def client(task_service: ServiceProcess) -> Generator[ModernClient]:
    """A client of the service, with tasks."""
    with ModernClient(task_service.url) as client:
        yield client
