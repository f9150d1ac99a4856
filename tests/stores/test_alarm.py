"""What somebody must mend in a store is logged once per outage."""

import pytest

from lambda_kit.adapters.stores.alarm import Alarm


def test_an_outage_is_one_error_and_the_next_one_another(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    alarm = Alarm(clock=lambda: now)
    for _ in range(100):
        now += 5.0
        alarm.sound("refused")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    now += 61.0
    alarm.sound("refused again")
    assert [record.getMessage() for record in caplog.records] == ["refused", "refused again"]
