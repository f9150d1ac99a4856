import pytest
from greet import server

from lambda_kit.testing import FakeSidecar, TestClient


def test_the_platform_gets_the_result(fake_sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVCAP_BASE_URL", fake_sidecar.url)
    with TestClient(server) as client:
        client.post("/greet", json={"name": "Ann"}, headers={"job-id": "j-1"})
        result = fake_sidecar.wait_for_result("j-1")
    assert result.headers["Is-Error"] == "False"
    assert result.json()["greeting"] == "Hello, Ann!"
    assert [call.kind for call in fake_sidecar.of("j-1")] == ["events", "events", "results"]
