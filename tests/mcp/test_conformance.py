"""The official conformance suite of MCP, of both versions: every scenario passes but those of the baselines."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.mcp_peers import node_tool
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.timeout(400)

HERE = Path(__file__).parent
SERVICE = HERE / "conformance_service.py"
VERSIONS = {"2026-07-28": 50, "2025-11-25": 33}
"""How many scenarios there are for a server, those that the suite does not score among them."""

_ENTRY = re.compile(r"  - (?P<name>\S+)  # (?P<reason>\S.*)")
_FOLDER = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


class Run(NamedTuple):
    """What a run of the suite has found."""

    exit_code: int
    said: str
    failing: Mapping[str, set[str]]
    """By scenario: the checks that fail, or warn."""


def baseline_of(version: str) -> Path:
    return HERE / f"conformance-baseline-{version}.yml"


def expected_failures(version: str) -> set[str]:
    """Scenarios, and single checks as ``scenario:check``, that need not pass; each has its reason beside it."""
    lines = baseline_of(version).read_text("utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith(("#", "server:"))]
    found = [_ENTRY.fullmatch(line) for line in entries]
    assert all(found), f"an entry of {baseline_of(version).name} has no reason: {entries[found.index(None)]}"
    return {match["name"] for match in found if match}


def run_suite(url: str, version: str, results: Path) -> Run:
    command = [
        *node_tool("@modelcontextprotocol/conformance/dist/index.js"),
        *("server", "--url", f"{url}/mcp", "--requirements", version),
        *("--expected-failures", baseline_of(version), "--output-dir", results),
    ]
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return Run(done.returncode, done.stdout, {_scenario_of(path): _failing(path) for path in results.iterdir()})


def _scenario_of(folder: Path) -> str:
    match = _FOLDER.fullmatch(folder.name)
    assert match, folder.name
    return match["scenario"]


def _failing(folder: Path) -> set[str]:
    checks: list[dict[str, Any]] = json.loads((folder / "checks.json").read_bytes())
    return {check["id"] for check in checks if check["status"] in {"FAILURE", "WARNING"}}


def _wait_until_jobs_are_taken(service: ServiceProcess, workers: int) -> None:
    service.wait_for_log(lambda log: log.count("ready: jobs are taken") >= workers, seconds=90.0)


def check_conformance(run: Run, version: str) -> None:
    """Fail where more does not pass than is expected, or less: also of what the suite does not score."""
    assert len(run.failing) == VERSIONS[version], run.said
    names = {scenario for scenario, checks in run.failing.items() if checks}
    names |= {f"{scenario}:{check}" for scenario, checks in run.failing.items() for check in checks}
    expected = expected_failures(version)
    unexpected = {
        f"{scenario}:{check}"
        for scenario, checks in run.failing.items()
        for check in checks
        if not {scenario, f"{scenario}:{check}"} & expected
    }
    assert not unexpected, f"{sorted(unexpected)}\n{run.said}"
    assert expected <= names, f"these pass: {sorted(expected - names)}"
    assert run.exit_code == 0, run.said


@pytest.mark.parametrize("version", ["2026-07-28", pytest.param("2025-11-25", marks=pytest.mark.slow)])
def test_a_server_conforms(version: str, tmp_path: Path) -> None:
    node_tool("@modelcontextprotocol/conformance/dist/index.js")
    with ServiceProcess(SERVICE, seconds=120.0) as service:
        _wait_until_jobs_are_taken(service, 1)
        check_conformance(run_suite(service.url, version, tmp_path / "results"), version)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_two_workers_with_a_shared_store_conform(version: str, tmp_path: Path) -> None:
    node_tool("@modelcontextprotocol/conformance/dist/index.js")
    options = ["--workers", "2", "--store", f"sqlite:///{tmp_path / 'jobs.db'}"]
    with ServiceProcess(SERVICE, options, seconds=120.0) as service:
        _wait_until_jobs_are_taken(service, 2)
        check_conformance(run_suite(service.url, version, tmp_path / "results"), version)
