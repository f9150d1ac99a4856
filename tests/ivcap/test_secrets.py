"""Secrets: the environment first, then the platform's secret manager, and no part of one in a log."""

import json
import logging
from collections.abc import Iterator

import ivcap_service
import pytest
from pydantic import BaseModel

from lambda_kit import LambdaTool, SecretMgrClient, Service, ToolServer, get_secret
from lambda_kit.testing.recording_server import Answer
from tests.ivcap.recorder import Call, Recorder
from tests.support.dead_proxies import DEAD_PROXIES

SERVICE = Service(name="T", contact={"name": "T", "email": "t@example.com"})
SECRET = "a-very-secret-value"


def answer(call: Call) -> Answer:
    if "NO_SUCH" in call.path:
        return Answer(404, {}, SECRET.encode())
    if "ODD" in call.path:
        return Answer(200, {}, json.dumps([SECRET]).encode())
    return Answer(200, {}, json.dumps({"secret-value": SECRET}).encode())


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with Recorder(answer) as recorder:
        monkeypatch.setenv("SECRETMGR_PROXY", recorder.url("127.0.0.1", ""))
        for name, value in DEAD_PROXIES.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MY_SECRET", "")
        yield recorder


def test_a_secret_of_the_environment_is_not_asked_for(manager: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "mine")
    assert get_secret("MY_SECRET") == "mine"
    assert manager.take() == []


def test_a_secret_is_asked_for_once_and_no_part_of_it_is_logged(
    manager: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert [get_secret("MY_SECRET") for _ in range(2)] == [SECRET] * 2
    (call,) = manager.take()
    assert call.path == "/1/secret?secret-name=MY_SECRET&secret-type=raw&token-type=M2M"
    assert SECRET[-5:] not in caplog.text


def test_a_secret_of_the_user_is_asked_for_as_such(manager: Recorder) -> None:
    assert SecretMgrClient().get_secret(" A b ", secret_type="pem") == SECRET
    assert manager.take()[0].path == "/1/secret?secret-name=A+b&secret-type=pem&token-type=USER"


@pytest.mark.parametrize("name", ["NO_SUCH", "ODD"])
def test_a_secret_that_cannot_be_read_is_an_error_without_it(manager: Recorder, name: str) -> None:
    with pytest.raises(RuntimeError, match=f"secret '{name}' can't be read") as raised:
        get_secret(name)
    assert SECRET not in str(raised.value)
    with pytest.raises(ValueError, match="empty secret name"):
        SecretMgrClient().get_secret(" ")


class Empty(BaseModel):
    pass


class UsesIvcapService(LambdaTool):
    """Gets a secret by the function of ivcap-service."""

    def run(self, req: Empty) -> int:
        return len(ivcap_service.get_secret("MY_SECRET"))


async def test_no_part_of_a_secret_is_logged_where_ivcap_service_gets_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", SECRET)
    caplog.set_level(logging.DEBUG)
    assert await ToolServer(SERVICE, tools=[UsesIvcapService]).run_tool("uses_ivcap_service", Empty()) == len(SECRET)
    assert "got secret 'MY_SECRET' ending in '***'" in caplog.text
    assert SECRET[-5:] not in caplog.text
