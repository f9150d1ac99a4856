"""What users need to test their tools, stores and executors. It is shipped with lambda_kit.

`TestClient` and `FakeSidecar` need nothing else, `FakeIssuer` the extra ``auth``; pytest finds the fixtures
``fake_sidecar`` and ``fake_issuer`` by itself.
`AuthenticatorContract`, `ExecutorContract` and `JobStoreContract` are pytest classes (pytest, pytest-asyncio);
`lambda_kit.testing.store_machine` needs hypothesis.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_kit.testing.authenticator_contract import AuthenticatorContract
    from lambda_kit.testing.client import TestClient
    from lambda_kit.testing.clock import ManualClock
    from lambda_kit.testing.executor_contract import ExecutorContract
    from lambda_kit.testing.fake_issuer import FakeIssuer
    from lambda_kit.testing.fake_sidecar import FakeSidecar, SidecarCall
    from lambda_kit.testing.store_contract import JobStoreContract

__all__ = [
    "AuthenticatorContract",
    "ExecutorContract",
    "FakeIssuer",
    "FakeSidecar",
    "JobStoreContract",
    "ManualClock",
    "SidecarCall",
    "TestClient",
]

# On first use: who only wants a client need not have pytest.
_HOMES = {
    "AuthenticatorContract": "lambda_kit.testing.authenticator_contract",
    "ExecutorContract": "lambda_kit.testing.executor_contract",
    "FakeIssuer": "lambda_kit.testing.fake_issuer",
    "FakeSidecar": "lambda_kit.testing.fake_sidecar",
    "JobStoreContract": "lambda_kit.testing.store_contract",
    "ManualClock": "lambda_kit.testing.clock",
    "SidecarCall": "lambda_kit.testing.fake_sidecar",
    "TestClient": "lambda_kit.testing.client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lambda_kit.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
