"""How long the sidecar's troubles are borne, and how long the pauses between tries are."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_kit.adapters.ivcap.patience import Patience
from lambda_kit.adapters.ivcap.sidecar_client import retry_after_seconds
from lambda_kit.adapters.ivcap.sidecar_times import SidecarTimes

TIMES = SidecarTimes()


def trouble(
    patience: Patience, at: float, *, seq: int = 1, ended: bool = False, time_out: bool = False
) -> float | None:
    return patience.trouble_with_event(seq, at, has_ended=ended, is_time_out=time_out)


def test_an_event_is_given_up_after_thirty_seconds_and_the_next_one_has_its_own() -> None:
    patience = Patience(TIMES)
    assert trouble(patience, 100.0) == 30.0
    assert trouble(patience, 129.0) == pytest.approx(1.0)
    assert trouble(patience, 130.0) is None
    assert trouble(patience, 131.0, seq=2) == 30.0


def test_the_second_time_out_gives_an_event_up() -> None:
    patience = Patience(TIMES)
    assert trouble(patience, 0.0, time_out=True) == 30.0
    assert trouble(patience, 1.0, time_out=True) is None


def test_the_events_of_a_job_that_has_ended_share_their_time() -> None:
    patience = Patience(TIMES)
    assert trouble(patience, 0.0, seq=1) == 30.0
    assert trouble(patience, 20.0, seq=1, ended=True) == 30.0  # the job has ended meanwhile: the time begins anew
    assert trouble(patience, 35.0, seq=1, ended=True) == 15.0
    patience.no_trouble()
    assert trouble(patience, 1000.0, seq=2, ended=True) == 15.0  # what was good in between does not count
    assert trouble(patience, 1015.0, seq=3, ended=True) is None


def test_time_without_a_connection_does_not_count() -> None:
    patience = Patience(TIMES)
    assert trouble(patience, 0.0) == 30.0
    assert trouble(patience, 10.0) == 20.0
    patience.no_trouble()
    assert trouble(patience, 3600.0) == 20.0


def test_pauses_grow_up_to_five_minutes_and_never_overflow() -> None:
    patience = Patience(TIMES)
    pauses = [patience.next_pause(None) for _ in range(5000)]
    for n, pause in enumerate(pauses[:9]):
        assert 0.25 * 2**n <= pause <= 0.5 * 2**n
    assert all(150.0 <= pause <= 300.0 for pause in pauses[10:])
    assert len(set(pauses[10:])) > 1000  # not all services at once


@given(asked=st.floats(min_value=0.0, allow_nan=False), tries=st.integers(0, 40))
def test_what_the_sidecar_asks_for_is_kept_to_and_capped(asked: float, tries: int) -> None:
    patience = Patience(TIMES)
    for _ in range(tries):
        patience.next_pause(None)
    pause = patience.next_pause(asked)
    assert min(asked, 300.0) <= pause <= max(min(asked, 300.0), 5.0)


def test_an_event_waits_no_longer_than_it_may_be_tried() -> None:
    assert Patience(TIMES).next_pause(3600.0, 7.0) == 7.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("9" * 500, 9_999_999_999.0)],
)
def test_seconds_are_read(value: str, seconds: float) -> None:
    assert retry_after_seconds(value) == seconds


def test_dates_are_read_as_seconds_from_now() -> None:
    assert retry_after_seconds(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=5)
    assert retry_after_seconds(formatdate(time.time() - 100, usegmt=True)) == 0.0


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "1e3", "٣", "nan", "Wed, 99 Nov 2026 99:00:00 GMT", "\x00"])
def test_nonsense_says_nothing(value: str) -> None:
    assert retry_after_seconds(value) is None


@given(st.text())
def test_no_text_does_harm(value: str) -> None:
    seconds = retry_after_seconds(value)
    assert seconds is None or 0.0 <= seconds < 1e12
