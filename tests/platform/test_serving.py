"""Where and how the platform's API is served."""

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.testing import TestClient as AppClient

from lambda_kit.testing import TestClient
from tests.core.running_tools import a_server
from tests.http.test_door import CHANGING, TOOLS, ask, routes_of
from tests.platform.conftest import SERVICE
from tests.support.service_command import EXAMPLES, run_to_end
from tests.support.service_process import ServiceProcess, free_port

ECHO = EXAMPLES / "echo.py"


def process(tmp_path: Path, *args: str, **env: str) -> ServiceProcess:
    """A service whose host is not given as a flag."""
    port = free_port()
    service = ServiceProcess(ECHO, env={"HOST": "", **env}, seconds=120.0)
    service.command = [*service.command[:2], "--port", str(port), "--artifacts", str(tmp_path), *args]
    service.url = f"http://127.0.0.1:{port}"
    service.port = port
    return service


def other_address() -> str | None:
    """An address of this machine that is not of its loopback."""
    for *_, address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET):
        if not ipaddress.ip_address(address[0]).is_loopback:
            return str(address[0])
    return None


def test_it_is_off_by_default() -> None:
    with TestClient(a_server(*TOOLS)) as client:
        assert client.get("/1/services2").status_code == 404
        assert client.post("/1/artifacts").status_code == 404


def test_where_no_host_is_said_this_machine_alone_is_served(tmp_path: Path) -> None:
    with process(tmp_path, "--with-platform-api") as service:
        assert httpx.get(f"{service.url}/1/services2").status_code == 200
        assert f"http://127.0.0.1:{service.port}" in service.log
        assert "there is no login" not in service.log
        if (address := other_address()) is not None:
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://{address}:{service.port}/_livez")


@pytest.mark.parametrize(("args", "env"), [(["--host", "0.0.0.0"], {}), ([], {"HOST": "0.0.0.0"})], ids=["flag", "env"])
def test_another_host_is_taken_with_a_warning(tmp_path: Path, args: list[str], env: dict[str, str]) -> None:
    with process(tmp_path, "--with-platform-api", *args, **env) as service:
        assert "WARNING (lambda_kit.server): there is no login: whoever can reach host 0.0.0.0 can" in service.log
        assert service.log.count("there is no login") == 1
        assert "can run the tools, list all jobs and read their results, and read and write artifacts" in service.log


def test_a_folder_for_artifacts_needs_the_flag(tmp_path: Path) -> None:
    ended = run_to_end(SERVICE, "--artifacts", str(tmp_path))
    assert ended.returncode == 1
    assert "--with-platform-api" in ended.stderr


def test_several_processes_serve_one_folder_and_one_list_of_jobs(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/jobs.db"
    with process(tmp_path / "artifacts", "--with-platform-api", "--workers", "2", "--store", store) as service:
        made = httpx.post(f"{service.url}/1/artifacts", headers={"X-Content-Length": "40"}).json()
        for offset in range(0, 40, 4):  # each on a connection of its own
            fields = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            assert httpx.patch(made["data-href"], headers=fields, content=b"four").status_code == 204
        assert httpx.get(made["data-href"]).content == b"four" * 10
        job = httpx.post(f"{service.url}/1/services2/echo/jobs", json={"message": "x"}, timeout=30)
        for _ in range(6):
            listed = httpx.get(f"{service.url}/1/services2/echo/jobs").json()["items"]
            assert [item["id"] for item in listed] == [job.headers["ivcap-job-id"]]


# --- the door, guards and prefixes hold here too ---


@pytest.fixture
def in_process(tmp_path: Path) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        server = a_server(*TOOLS, **options)
        server.add_platform_api(artifacts=tmp_path / "artifacts")
        return server

    return make


def platform_routes(server: Any) -> list[tuple[str, str]]:
    routes = [(method, path) for method, path in routes_of(server) if path.startswith("/1/")]
    assert len(routes) > 15
    return [(m, p.replace("{service_id}", "echo").replace("{id}", "a").replace("{rest}", "x")) for m, p in routes]


def test_a_page_of_another_origin_changes_nothing(in_process: Callable[..., Any], tmp_path: Path) -> None:
    with TestClient(server := in_process()) as client:
        for method, path in platform_routes(server):
            if method in CHANGING:
                answer = ask(client, method, path, {"sec-fetch-site": "cross-site", "origin": "http://evil.example"})
                assert (answer.status_code, answer.json()["type"]) == (403, "cross-site"), (method, path)
    assert not (tmp_path / "artifacts").exists()


def test_a_foreign_host_is_refused(in_process: Callable[..., Any]) -> None:
    with TestClient(server := in_process(allowed_hosts=["api.example.com"])) as client:
        for method, path in platform_routes(server):
            assert ask(client, method, path, {"host": "evil.example"}).status_code == 403, (method, path)


def needs_key(connection: ASGIConnection[Any, Any, Any, Any], _: Any) -> None:
    if connection.headers.get("x-key") != "right":
        raise NotAuthorizedException("the key is missing")


def test_guards_are_in_front_of_all_routes(in_process: Callable[..., Any]) -> None:
    with TestClient(server := in_process(guards=[needs_key])) as client:
        for method, path in platform_routes(server):
            if method != "OPTIONS":
                assert ask(client, method, path).status_code == 401, (method, path)
        assert client.get("/1/services2", headers={"x-key": "right"}).status_code == 200


def test_it_is_part_of_an_app_that_exists(in_process: Callable[..., Any]) -> None:
    with AppClient(Litestar(plugins=[in_process().plugin()])) as client:
        assert len(client.get("/1/services2").json()["items"]) == len(TOOLS)
        refused = client.post("/1/services2/echo/jobs", json={"text": "x"}, headers={"sec-fetch-site": "cross-site"})
        assert refused.status_code == 403


def test_it_can_be_added_when_the_app_is_made_already(tmp_path: Path) -> None:
    server = a_server(*TOOLS)
    with TestClient(server) as client:
        assert client.get("/1/services2").status_code == 404
        server.add_platform_api(artifacts=tmp_path)
        server.add_platform_api(artifacts=tmp_path)
        answer = client.get("/1/services2")
        assert answer.status_code == 200
        assert "ivcap-ai-tool-version" in answer.headers


def test_links_have_the_prefix_of_a_proxy_and_are_served_with_it(in_process: Callable[..., Any]) -> None:
    with TestClient(in_process(root_path="/tools")) as client:
        made = client.post("/1/artifacts", headers={"X-Content-Length": "2"}).json()
        assert made["data-href"].startswith("http://testserver.local/tools/1/artifacts/")
        path = httpx.URL(made["data-href"]).path
        # ivcap-client puts the path behind the URL that it was given, which has the prefix too
        for url in (path, f"/tools{path}"):
            fields = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
            assert client.patch(url, headers=fields, content=b"").status_code == 204


def test_the_first_tool_has_the_id_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.poetry-plugin-ivcap]\nservice-id = "urn:ivcap:service:of-the-project"\n'
    )
    file = tmp_path / "service.py"
    file.write_text(ECHO.read_text("utf-8"), "utf-8")
    with ServiceProcess(file, ["--with-platform-api", "--artifacts", str(tmp_path)]) as service:
        (item,) = httpx.get(f"{service.url}/1/services2").json()["items"]
        assert item["id"] == "urn:ivcap:service:of-the-project"
        # with one tool, every id of a service is its: create-service-id makes one up that is not known here
        made_up = httpx.post(f"{service.url}/1/services2/urn:ivcap:service:x/jobs", json={"message": "x"})
        assert made_up.json()["echo"] == "x"
