"""docs/metrics.md and the Grafana dashboard speak of the metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lambda_kit.adapters.metrics.prometheus import PrometheusMetrics
from lambda_kit.core.jobs.statistics import BUCKET_BOUNDS_SECONDS
from tests.support.metrics_source import FixedNumbers, ready

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "metrics.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text())

OF_EVERY_SCRAPE = {"job", "instance"}  # Prometheus adds them

METRIC = re.compile(r"\b(?:lambda_kit|process|python)_\w+")
SELECTOR = re.compile(METRIC.pattern + r"{(.*?)}")


@pytest.fixture
async def labels() -> dict[str, set[str]]:
    """The labels of each name that is scraped."""
    content, _ = await PrometheusMetrics(FixedNumbers(), ready).render(None)
    found: dict[str, set[str]] = {}
    for family in parse_text(content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> Iterator[dict[str, Any]]:
    return (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def expressions() -> list[str]:
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    variables = [variable["query"] for variable in DASHBOARD["templating"]["list"]]
    return queries + [query["query"] for query in variables if isinstance(query, dict)]


async def test_the_page_names_every_metric_of_ours_and_no_other(labels: dict[str, set[str]]) -> None:
    tables = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `lambda_kit_")]
    described = {cells[1].strip(" `"): set(re.findall(r"`(\w+)`", cells[3])) for cells in tables}
    ours = {name: found for name, found in labels.items() if name.startswith("lambda_kit_")}
    histograms = {name.removesuffix("_bucket") for name in ours if name.endswith("_bucket")}
    parts = {name for name in ours if name.rpartition("_")[0] in histograms}
    assert described == {
        **{name: found for name, found in ours.items() if name not in parts},
        **{name: ours[name + "_count"] for name in histograms},
    }
    assert set(METRIC.findall(PAGE)) <= set(labels) | histograms | {"process_", "python_gc_"}


def test_the_page_names_the_buckets() -> None:
    (sentence,) = re.findall(r"buckets end at (.*)\.", PAGE)
    units = {"ms": 0.001, "s": 1, "minutes": 60}
    bounds: list[float] = []
    for numbers, unit in re.findall(r"([\d., and]+?) (ms|s|minutes)\b", sentence):
        bounds += [float(number) * units[unit] for number in re.findall(r"\d+(?:\.\d+)?", numbers)]
    assert bounds == pytest.approx(list(BUCKET_BOUNDS_SECONDS))


async def test_the_dashboard_asks_for_metrics_and_labels_that_there_are(labels: dict[str, set[str]]) -> None:
    for expression in expressions():
        names = METRIC.findall(expression)
        assert names, expression
        assert set(names) <= set(labels), expression
        known = OF_EVERY_SCRAPE.union(*(labels[name] for name in names))
        for selector in SELECTOR.findall(expression):
            assert set(re.findall(r"(\w+)[=!]~?\"", selector)) <= known, expression
        for grouped in re.findall(r"\bby \((.*?)\)", expression):
            assert set(re.findall(r"\w+", grouped)) <= known, expression


async def test_every_metric_of_ours_is_on_the_dashboard(labels: dict[str, set[str]]) -> None:
    shown = {name for expression in expressions() for name in METRIC.findall(expression)}
    ours = {name for name in labels if name.startswith("lambda_kit_") and not name.endswith(("_count", "_sum"))}
    assert ours <= shown


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert DASHBOARD["id"] is None
    assert DASHBOARD["title"]
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    sources = [panel["datasource"] for panel in panels()]
    sources += [target["datasource"] for panel in panels() for target in panel["targets"]]
    sources += [variable["datasource"] for variable in variables.values() if variable["type"] == "query"]
    assert {json.dumps(source) for source in sources} == {'{"type": "prometheus", "uid": "${datasource}"}'}
    used = {name for expression in expressions() for name in re.findall(r"\$(\w+)", expression)}
    assert used <= set(variables) | {"__rate_interval"}
    assert {"job", "instance", "tool"} <= used


def test_the_panels_are_told_apart_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert all(panel["title"] and panel["description"] for panel in panels())
