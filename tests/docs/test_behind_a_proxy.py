"""What the page "Behind a proxy" shows, with a real nginx, and in an app of FastAPI."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from docs_src import in_fastapi, web_page
from lambda_kit.testing import TestClient
from tests.support.missing_service import REASON
from tests.support.service_process import ServiceProcess, free_port

ROOT = Path(__file__).parents[2]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
POINTS = {"x": [0, 1, 2], "y": [1, 3, 5]}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A service behind the nginx of the page; yields the URL of nginx."""
    if NGINX is None:
        pytest.skip(f"{REASON}nginx (on Debian: apt-get install nginx-light)")
    (tmp_path / "tools.htpasswd").write_text("ada:{PLAIN}lovelace\n")
    with ServiceProcess(ROOT / "docs_src" / "injection.py") as service:
        port = free_port()
        shown = (ROOT / "docs_src" / "nginx.conf").read_text()
        for old, new in (
            ("127.0.0.1:8090", f"127.0.0.1:{service.port}"),
            ("listen 80;", f"listen 127.0.0.1:{port};"),
            ("/etc/nginx/tools.htpasswd", str(tmp_path / "tools.htpasswd")),
        ):
            assert shown.count(old) == 1
            shown = shown.replace(old, new)
        (tmp_path / "tools.conf").write_text(shown)
        temporary = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (tmp_path / "nginx.conf").write_text(
            f"{user} daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; {temporary} include {tmp_path}/tools.conf; }}\n"
        )
        nginx = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")])
        try:
            transport = httpx.HTTPTransport(retries=8)
            with httpx.Client(transport=transport, timeout=30) as client:
                client.get(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}"
        finally:
            nginx.terminate()
            nginx.wait(20)


def test_nginx_asks_for_a_password_and_the_service_knows_its_prefix(site: str) -> None:
    with httpx.Client(base_url=site, headers={"Host": "research.example.com"}, timeout=30) as client:
        stranger = client.post("/tools/who-am-i", json={})
        client.auth = ("ada", "lovelace")
        told = client.post("/tools/who-am-i", json={}, headers={"Forwarded": "host=evil.example.com"}).json()
        later = client.post("/tools/who-am-i", json={}, headers={"Prefer": "respond-async", "job-id": "mine"})
        polled = client.get(later.headers["location"], headers={"Prefer": "wait=20"})
        record = client.get("/tools/jobs/mine/status").json()
        events = client.get(record["links"]["events"])
        document = client.get("/tools/openapi.json").json()
    assert stranger.status_code == 401
    assert told["url"] == "http://research.example.com/tools/who-am-i"
    assert told["is-authorized"] is False
    assert later.headers["location"] == "/tools/who-am-i/jobs/mine"
    assert polled.status_code == 200
    assert record["links"]["result"] == "/tools/who-am-i/jobs/mine"
    assert '"status":"succeeded"' in events.text
    assert [server["url"] for server in document["servers"]] == ["/tools"]


def test_a_web_page_of_an_allowed_origin_reads_what_it_needs() -> None:
    with TestClient(web_page.server) as client:
        page = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site", "Host": "api.example.com"}
        preflight = client.options("/count-words", headers={**page, "Access-Control-Request-Method": "POST"})
        later = client.post("/count-words", json={"text": "a b"}, headers={**page, "Prefer": "respond-async"})
        stranger = client.post("/count-words", json={"text": "a"}, headers={**page, "Origin": "https://evil.example"})
        host = client.post("/count-words", json={"text": "a b"}, headers={"Host": "other.example.com"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
    assert later.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "location" in later.headers["access-control-expose-headers"].lower()
    assert (stranger.status_code, stranger.json()["type"]) == (403, "cross-site")
    assert (host.status_code, host.json()["type"]) == (403, "host-not-allowed")


async def test_in_fastapi_the_tools_are_below_their_mount() -> None:
    transport = httpx.ASGITransport(in_fastapi.app)
    async with (
        in_fastapi.lifespan(in_fastapi.app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client,
    ):
        index = (await client.get("/")).json()
        fitted = await client.post("/tools/fit-line", json=POINTS)
        later = await client.post("/tools/fit-line", json=POINTS, headers={"Prefer": "respond-async"})
        polled = await client.get(later.headers["location"], headers={"Prefer": "wait=20"})
    assert index == "The tool is at /tools/fit-line"
    assert fitted.json()["slope"] == 2
    assert later.headers["location"].startswith("/tools/fit-line/jobs/")
    assert polled.json() == fitted.json()
