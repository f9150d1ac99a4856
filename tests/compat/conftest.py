import contextlib
from collections.abc import Iterator

import pytest

from lambda_kit import Service
from lambda_kit.compat.fast_app import registrations_kept_apart
from lambda_kit.compat.ivcap_lambda.server import get_tool_server
from lambda_kit.testing import TestClient

SERVICE = Service(name="Compat", contact={"name": "Ann", "email": "ann@example.com"})


@pytest.fixture(autouse=True)
def registrations() -> Iterator[None]:
    """No test sees what another one has decorated."""
    with registrations_kept_apart():
        yield


@pytest.fixture
def served() -> Iterator["Served"]:
    """Starts a server of what was decorated so far: ``client = served()``."""
    with contextlib.ExitStack() as stack:
        yield Served(stack)


class Served:
    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def __call__(self) -> TestClient:
        return self._stack.enter_context(TestClient(get_tool_server(SERVICE)))
