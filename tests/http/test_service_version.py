"""docs/wire.md, Routes: the version that health and the OpenAPI document show."""

import runpy
from pathlib import Path
from textwrap import dedent

import pytest

from lambda_kit import ToolServer
from lambda_kit.testing import TestClient

FILE = """
    from pydantic import BaseModel
    from lambda_kit import LambdaTool, Service, ToolServer

    class Ask(BaseModel): pass

    class Echo(LambdaTool):
        def run(self, req: Ask) -> str: return "hi"

    service = Service(name="x", contact={"name": "x", "email": "x@example.com"}%s)
    server = ToolServer(service, tools=[Echo])
"""


def served(file: Path, more: str = "") -> ToolServer:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(FILE % more))
    server: ToolServer = runpy.run_path(str(file))["server"]
    return server


def shown(server: ToolServer) -> set[str]:
    with TestClient(server) as client:
        return {client.get("/_healtz").json()["version"], client.get("/openapi.json").json()["info"]["version"]}


def install(site: Path, *, record: str = "", direct_url: str | None = None) -> None:
    place = site / "acme_tools-1.4.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tools\nVersion: 1.4\n")
    (place / "RECORD").write_text(record)
    if direct_url is not None:
        (place / "direct_url.json").write_text(direct_url)


@pytest.fixture(autouse=True)
def _no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERSION", raising=False)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the path, as site-packages is."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_a_file_that_nobody_has_installed_has_an_unknown_version(tmp_path: Path) -> None:
    assert shown(served(tmp_path / "my_tool.py")) == {"unknown"}


def test_the_version_is_that_of_the_distribution_which_brought_the_file(site: Path) -> None:
    install(site, record="acme/other.py,,\nacme/tool.py,sha256=x,1\n")
    assert shown(served(site / "acme" / "tool.py")) == {"1.4"}
    assert shown(served(site / "acme" / "no_part_of_it.py")) == {"unknown"}


def test_the_version_is_that_of_a_project_which_is_installed_in_editable_mode(site: Path, tmp_path: Path) -> None:
    project = tmp_path / "my project"
    install(site, direct_url=f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}')
    assert shown(served(project / "src" / "tool.py")) == {"1.4"}
    assert shown(served(tmp_path / "elsewhere" / "tool.py")) == {"unknown"}


def test_the_authors_version_wins_over_the_distributions_and_the_environment_over_both(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, record="tool.py,,\n")
    server = served(site / "tool.py", ', version="2.0"')
    assert shown(server) == {"2.0"}
    monkeypatch.setenv("VERSION", "3.0")
    assert shown(served(site / "tool.py", ', version="2.0"')) == {"3.0"}
