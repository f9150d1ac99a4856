"""What a tool's author can set, and what is refused."""

import dataclasses
import sys
from typing import Any

import pytest

from lambda_kit import ConfigurationError, ExecutorOpts, JobSettings, ToolDefinitionError, ToolOptions


def test_the_defaults_are_the_documented_ones() -> None:
    options = ToolOptions()
    assert (options.max_wait_time, options.refresh_interval) == (5.0, 3)
    assert options.execution == ExecutorOpts()
    assert (options.execution.job_cache_ttl, options.execution.job_cache_size) == (3600, 10_000)
    assert options.execution.max_workers is None


def test_none_means_the_default() -> None:
    options = ToolOptions(max_wait_time=None, refresh_interval=None, executor_opts=None)
    assert (options.wait_seconds, options.refresh_seconds) == (5.0, 3)
    assert options.execution == ExecutorOpts()


def test_zero_is_not_the_default() -> None:
    options = ToolOptions(max_wait_time=0, refresh_interval=0)
    assert (options.wait_seconds, options.refresh_seconds) == (0.0, 0)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ToolOptions, "max_wait_time", -1),
        (ToolOptions, "max_wait_time", float("nan")),
        (ToolOptions, "max_wait_time", float("inf")),
        (ToolOptions, "max_wait_time", "5"),
        (ToolOptions, "max_wait_time", True),
        (ToolOptions, "max_wait_time", 1e10),
        (ToolOptions, "max_wait_time", 10**400),
        (ToolOptions, "refresh_interval", 10**10),
        (ToolOptions, "time_limit_seconds", 1e300),
        (ToolOptions, "refresh_interval", -1),
        (ToolOptions, "refresh_interval", 1.5),
        (ToolOptions, "time_limit_seconds", 0),
        (ToolOptions, "time_limit_seconds", -5),
        (ToolOptions, "time_limit_seconds", float("inf")),
        (ToolOptions, "time_limit_seconds", "60"),
        (ToolOptions, "max_concurrency", 0),
        (ToolOptions, "max_concurrency", 2.0),
        (ToolOptions, "max_queue", -1),
        (ToolOptions, "max_queue", 0.5),
        (ToolOptions, "max_queue", True),
        (ToolOptions, "max_attempts", 0),
        (ToolOptions, "max_attempts", None),
        (ToolOptions, "tags", "one"),
        (ToolOptions, "mcp", "yes"),
        (ToolOptions, "mcp", 1),
        (ToolOptions, "hints", {"read_only": True}),
        (ToolOptions, "executor_opts", {"max_workers": 3}),
        (ExecutorOpts, "job_cache_size", 0),
        (ExecutorOpts, "job_cache_size", 1.5),
        (ExecutorOpts, "job_cache_ttl", -0.1),
        (ExecutorOpts, "max_workers", 0),
        (ExecutorOpts, "max_workers", "4"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(kind: Any, name: str, value: Any) -> None:
    with pytest.raises(ToolDefinitionError, match=rf"{kind.__name__}\({name}=.*must be"):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("max_concurrency", 0, "a whole number of at least 1, or None"),
        ("max_concurrency", "2", "a whole number of at least 1, or None"),
        ("max_queue", -1, "a whole number of at least 0, or None"),
        ("max_queue", 1.5, "a whole number of at least 0, or None"),
        ("lease_seconds", 0, "a number of at least 0.001"),
        ("heartbeat_seconds", -1, "a number of at least 0.001"),
        ("heartbeat_seconds", 10, "set less than lease_seconds"),
        ("grace_seconds", -0.1, "a number of at least 0"),
        ("grace_seconds", None, "a number of at least 0"),
        ("cancel_seconds", float("nan"), "a number of at least 0"),
        ("cancel_seconds", "2", "a number of at least 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(name: str, value: Any, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"JobSettings\({name}=.*{remedy}"):
        JobSettings(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ToolOptions, "time_limit_seconds", 0.001),
        (ToolOptions, "max_concurrency", 1),
        (ToolOptions, "max_queue", 0),
        (ToolOptions, "max_attempts", 3),
        (JobSettings, "max_concurrency", 1),
        (JobSettings, "max_queue", 1),
        (JobSettings, "grace_seconds", 0),
        (JobSettings, "cancel_seconds", 0),
    ],
)
def test_the_least_that_is_allowed_is(kind: Any, name: str, value: Any) -> None:
    assert getattr(kind(**{name: value}), name) == value


@pytest.mark.parametrize("kind", [ToolOptions, ExecutorOpts, JobSettings])
def test_options_are_frozen_and_keyword_only(kind: Any) -> None:
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), name, 1)
    with pytest.raises(TypeError, match="positional argument"):
        kind("x")
    with pytest.raises(TypeError, match="unexpected keyword argument 'nmae'"):
        kind(nmae="x")


def test_options_of_two_tools_share_nothing() -> None:
    assert ToolOptions().post_route_opts is not ToolOptions().post_route_opts


@pytest.mark.parametrize("seconds", [sys.maxsize, 1e12, 1e300, 10**400], ids=["maxsize", "1e12", "1e300", "10**400"])
def test_to_keep_jobs_for_ever_is_to_keep_them_for_68_years(seconds: float) -> None:
    assert ExecutorOpts(job_cache_ttl=seconds).job_cache_ttl == 2**31


@pytest.mark.parametrize("name", ["grace_seconds", "flush_seconds", "lease_seconds", "store_wait_seconds"])
def test_a_duration_that_no_timer_takes_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"JobSettings\({name}=1e\+300\): .* at most 2147483648"):
        JobSettings(**{name: 1e300})  # type: ignore[arg-type]


def test_a_count_may_be_as_large_as_one_likes() -> None:
    assert ExecutorOpts(job_cache_size=10**400).job_cache_size == 10**400
