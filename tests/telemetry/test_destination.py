"""Where telemetry goes, as the variables say."""

import base64
import os

import pytest

from lambda_kit.adapters.telemetry.destination import asked_for, destination


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in os.environ:
        if name.startswith(("OTEL_", "OPENOBSERVE_")):
            monkeypatch.delenv(name)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("variables", "traces"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://d"}, "http://c/x"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OPENOBSERVE_URL": "http://o"}, "http://c/v1/traces"),
        ({"OPENOBSERVE_OTLP_ENDPOINT": "http://o/api/me", "OPENOBSERVE_URL": "http://p"}, "http://o/api/me/v1/traces"),
        ({"OPENOBSERVE_URL": "http://o/"}, "http://o/api/default/v1/traces"),
        ({"OPENOBSERVE_URL": "http://o", "OPENOBSERVE_ORG": "me"}, "http://o/api/me/v1/traces"),
        (
            {"OPENOBSERVE_URL": "http://o", "OPENOBSERVE_USE_UNIFIED_OTLP_ENDPOINT": "true"},
            "http://o/api/default/v1/otlp",
        ),
        ({"OPENOBSERVE_OTLP_ENDPOINT": "http://o/api/me/v1/otlp"}, "http://o/api/me/v1/otlp"),
    ],
)
def test_the_first_variable_that_is_set_decides_where_a_signal_goes(monkeypatch, variables, traces):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert destination().endpoints["traces"] == traces


def test_only_the_signals_that_have_an_endpoint_and_are_not_switched_off_are_sent(monkeypatch):
    assert destination().endpoints == {}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c/v1/logs")
    assert destination().endpoints == {"logs": "http://c/v1/logs"}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")
    assert set(destination().endpoints) == {"traces", "metrics", "logs"}
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OPENOBSERVE_ENABLE_LOGS", "false")
    assert set(destination().endpoints) == {"traces"}


@pytest.mark.parametrize(
    ("variables", "headers"),
    [
        ({}, {"stream-name": "default"}),
        ({"OPENOBSERVE_TRACES_STREAM_NAME": "mine"}, {"stream-name": "mine"}),
        ({"OPENOBSERVE_ADD_STREAM_NAME_HEADER": "false"}, {}),
        ({"OPENOBSERVE_AUTH": "Bearer abc"}, {"authorization": "Bearer abc", "stream-name": "default"}),
        (
            {"OPENOBSERVE_USERNAME": "me", "OPENOBSERVE_TOKEN": "abc"},
            {"authorization": basic("me:abc"), "stream-name": "default"},
        ),
        (
            {"OPENOBSERVE_USERNAME": "me", "OPENOBSERVE_PASSWORD": "pw"},
            {"authorization": basic("me:pw"), "stream-name": "default"},
        ),
        (
            {"OPENOBSERVE_USERNAME": "me", "OPENOBSERVE_TOKEN": basic("me:abc").partition(" ")[2]},
            {"authorization": basic("me:abc"), "stream-name": "default"},
        ),
        ({"OPENOBSERVE_AUTH": "x", "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=y"}, {"stream-name": "default"}),
        ({"OPENOBSERVE_HEADERS": "X-Mine=a%20b,bad"}, {"x-mine": "a b", "stream-name": "default"}),
    ],
)
def test_openobserve_gets_its_header_fields(monkeypatch, variables, headers):
    for name, value in {"OPENOBSERVE_URL": "http://o", **variables}.items():
        monkeypatch.setenv(name, value)
    where = destination()
    assert dict(where.headers["traces"]) == headers
    assert where.troubles == ()


@pytest.mark.parametrize("variables", [{"OPENOBSERVE_TOKEN": "s3cret"}, {"OPENOBSERVE_USERNAME": "me"}])
def test_half_of_the_credentials_is_a_trouble_that_does_not_show_them(monkeypatch, variables):
    for name, value in {"OPENOBSERVE_URL": "http://o", **variables}.items():
        monkeypatch.setenv(name, value)
    (trouble,) = destination().troubles
    assert "OPENOBSERVE_USERNAME and OPENOBSERVE_TOKEN" in trouble
    assert "s3cret" not in trouble


def test_what_was_asked_for_is_the_argument_and_else_the_variable(monkeypatch):
    assert asked_for(None) is None
    for text, wanted in (("true", True), ("1", True), ("On", True), ("false", False), ("0", False), ("", None)):
        monkeypatch.setenv("OPENOBSERVE_ENABLED", text)
        assert asked_for(None) is wanted
        assert asked_for(True) is True
        assert asked_for(False) is False
