"""What the page "Behind a login" shows: keys, nginx that asks who it is, and a login of the user's own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import httpx
import pytest
from litestar.testing import TestClient as LitestarTestClient

from docs_src import mcp_behind_oidc, own_login, with_keys
from lambda_kit.cli.command import main
from lambda_kit.testing import TestClient
from lambda_kit.testing.recording_server import Answer, RecordingServer
from tests.support.missing_service import REASON
from tests.support.service_process import ServiceProcess, free_port

ROOT = Path(__file__).parents[2]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def test_who_has_a_key_with_the_scope_is_greeted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = []
    for name, *scopes in (("ann", "--scopes", "greet"), ("ben",)):
        assert main(["key", "--name", name, *scopes, "--expires", "90", "--append", "keys.txt"]) == 0
        keys.append(capsys.readouterr().out.strip())
    ann, ben = keys
    with TestClient(with_keys.server) as client:
        stranger = client.post("/greet", json={"name": "Eve"})
        greeted = client.post("/greet", json={"name": "Eve"}, headers={"X-API-Key": ann, "job-id": "mine"})
        by_bearer = client.get("/jobs/mine/status", headers={"Authorization": f"Bearer {ann}"})
        lacks = client.post("/greet", json={"name": "Eve"}, headers={"X-API-Key": ben})
        of_others = client.get("/jobs/mine/status", headers={"X-API-Key": ben})
    assert (stranger.status_code, stranger.json()["type"]) == (401, "unauthenticated")
    assert "Bearer" in stranger.headers["www-authenticate"]
    assert "ApiKey" in stranger.headers["www-authenticate"]
    assert greeted.json() == {"greeting": "ann greets Eve"}
    assert by_bearer.status_code == 200
    assert (lacks.status_code, lacks.json()["type"]) == (403, "insufficient-scope")
    assert of_others.status_code == 404


def test_a_client_of_mcp_that_has_nothing_but_the_url_is_led_to_the_issuer() -> None:
    client = TestClient(
        mcp_behind_oidc.server, base_url="https://words.example.org"
    )  # which needs no provider for that
    refused = client.post("/mcp", json={})
    place = "https://words.example.org/.well-known/oauth-protected-resource/mcp"
    assert refused.status_code == 401
    assert f'resource_metadata="{place}"' in refused.headers["www-authenticate"]
    found = client.get(place).json()
    assert found["resource"] == "https://words.example.org/mcp"
    assert found["authorization_servers"] == ["https://login.example.org/realms/staff"]


def ask_who_it_is(_method: str, path: str, headers: "Message[str, str]", _body: bytes) -> Answer:
    """As oauth2-proxy answers at /oauth2/auth: by the session's cookie."""
    assert path == "/oauth2/auth"
    session = headers.get("Cookie")
    if session == "_oauth2_proxy=of-ann":
        found = {"User": "ann", "Email": "ann@example.com", "Groups": "staff,greet"}
        return Answer(202, {f"X-Auth-Request-{name}": value for name, value in found.items()}, b"")
    if session == "_oauth2_proxy=of-ben":  # who has neither an address nor groups
        return Answer(202, {"X-Auth-Request-User": "ben"}, b"")
    return Answer(401, {}, b"")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[str, ServiceProcess]]:
    """The service behind the nginx of the page; yields the URL of nginx, and the service."""
    if NGINX is None:
        pytest.skip(f"{REASON}nginx (on Debian: apt-get install nginx-light)")
    login = RecordingServer(0, ask_who_it_is)
    with ServiceProcess(ROOT / "docs_src" / "behind_gateway.py") as service:
        port = free_port()
        shown = (ROOT / "docs_src" / "auth_request.conf").read_text()
        for old, new in (
            ("127.0.0.1:8090", f"127.0.0.1:{service.port}"),
            ("listen 80;", f"listen 127.0.0.1:{port};"),
            ("127.0.0.1:4180", f"127.0.0.1:{login.port}"),
        ):
            assert old in shown
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
            with httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=30) as client:
                client.get(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}", service
        finally:
            nginx.terminate()
            nginx.wait(20)
            login.close()


def test_nginx_says_who_it_is_and_clients_cannot(gateway: tuple[str, ServiceProcess]) -> None:
    url, service = gateway
    ann, ben = {"Cookie": "_oauth2_proxy=of-ann"}, {"Cookie": "_oauth2_proxy=of-ben"}
    forged = [
        ("X-Forwarded-User", "root"),
        ("X-Forwarded-User", "ann"),
        ("X-Forwarded-Groups", "admin"),
        ("X_Forwarded_Groups", "admin"),
        ("X-Forwarded-Email", "root@example.com"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Prefix", "/forged"),
        ("Connection", "close, X-Forwarded-User"),  # as if nginx should leave it out
    ]
    with httpx.Client(base_url=url, headers={"Host": "research.example.com"}, timeout=30) as client:
        stranger = client.post("/who-am-i", json={}, headers=forged)
        mine = client.post("/who-am-i", json={}, headers={**ann, "job-id": "mine"})
        hers = client.post("/who-am-i", json={}, headers=[*forged, *ben.items()])
        read = [client.get("/jobs/mine/status", headers=session).status_code for session in (ann, ben)]
        links = client.get("/jobs/mine/status", headers=[*forged, *ann.items()]).text
    past_nginx = httpx.post(f"http://127.0.0.1:{service.port}/who-am-i", json={}, timeout=30)
    assert stranger.status_code == 401
    assert mine.json() == {"id": "header:ann", "name": "ann@example.com", "scopes": ["greet", "staff"]}
    assert hers.json() == {"id": "header:ben", "name": None, "scopes": []}
    assert read == [200, 404]
    assert "/forged" not in links
    assert past_nginx.status_code == 401


def test_the_users_of_a_login_of_ones_own_are_principals() -> None:
    with LitestarTestClient(own_login.app) as client:
        stranger = client.post("/greet", json={"name": "Eve"})
        ann = {"Cookie": "session=f00d", "job-id": "mine"}
        greeted = client.post("/greet", json={"name": "Eve"}, headers=ann)
        read = [client.get("/jobs/mine/status", headers={"Cookie": f"session={one}"}) for one in ("f00d", "cafe")]
    assert stranger.status_code == 401
    assert greeted.text == "Ann greets Eve"
    assert [answer.status_code for answer in read] == [200, 404]
