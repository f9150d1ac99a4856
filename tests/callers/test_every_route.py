"""Whose job it is decides on every route, which are found in the app itself: a new one without a rule fails."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lambda_kit import MemoryJobStore
from lambda_kit.testing import TestClient
from tests.callers.conftest import Site, make_server
from tests.callers.principals import sent_by

OPEN = "whoever asks"
OPEN_BY_SETTING = "whoever asks, where ToolServer(open_routes=...) says so"
KNOWN = "every principal"
OWNER = "the principal whose job it is, and an admin"

RULES = {
    "POST /echo": KNOWN,
    "GET /echo": OPEN_BY_SETTING,
    "GET /echo/jobs/{job_id:str}": OWNER,
    "POST /async-door": KNOWN,
    "GET /async-door": OPEN_BY_SETTING,
    "GET /async-door/jobs/{job_id:str}": OWNER,
    "GET /jobs": KNOWN,  # their own; see test_the_list_is_ones_own
    "GET /jobs/{job_id:str}": OWNER,
    "DELETE /jobs/{job_id:str}": OWNER,
    "GET /jobs/{job_id:str}/events": OWNER,
    "GET /jobs/{job_id:str}/status": OWNER,
    "GET /_healtz": OPEN,
    "GET /_livez": OPEN,
    "GET /metrics": OPEN_BY_SETTING,
    "GET /.well-known/oauth-protected-resource": OPEN,
    "GET /.well-known/oauth-protected-resource/{resource:path}": OPEN,
    "GET /openapi.json": OPEN_BY_SETTING,
    "GET /api": OPEN_BY_SETTING,
    "GET /api/openapi.json": OPEN_BY_SETTING,
    "GET /api/oauth2-redirect.html": OPEN_BY_SETTING,
    "GET /api/{path:str}": OPEN_BY_SETTING,
    "GET /api/assets/{name:str}": OPEN,  # of Swagger UI
    "GET /1/services2": KNOWN,
    "GET /1/services2/{id:str}": KNOWN,
    "GET /1/services2/{service_id:str}/jobs": KNOWN,  # their own
    "POST /1/services2/{service_id:str}/jobs": KNOWN,
    "GET /1/services2/{service_id:str}/jobs/{id:str}": OWNER,
    "GET /1/services2/{service_id:str}/jobs/{id:str}/events": OWNER,
    "GET /1/services2/{service_id:str}/jobs/{id:str}/output": OWNER,
    # artifacts and aspects of a laptop are one folder, for all that may come in
    "GET /1/artifacts": KNOWN,
    "POST /1/artifacts": KNOWN,
    "GET /1/artifacts/{id:str}": KNOWN,
    "GET /1/artifacts/{id:str}/blob": KNOWN,
    "HEAD /1/artifacts/{id:str}/blob": KNOWN,
    "POST /1/artifacts/{id:str}/blob": KNOWN,
    "PATCH /1/artifacts/{id:str}/blob": KNOWN,
    "GET /1/aspects": KNOWN,
    "POST /1/aspects": KNOWN,
    "PUT /1/aspects": KNOWN,
    "GET /1/aspects/{id:str}": KNOWN,
    "DELETE /1/aspects/{id:str}": KNOWN,
    "GET /1/{rest:path}": KNOWN,
    "POST /1/{rest:path}": KNOWN,
    "PUT /1/{rest:path}": KNOWN,
    "PATCH /1/{rest:path}": KNOWN,
    "DELETE /1/{rest:path}": KNOWN,
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
"""Of a route that takes all of them."""
RULES |= {route.replace("GET", "HEAD", 1): rule for route, rule in RULES.items() if route.startswith("GET")}
RULES |= {f"{method} /mcp": KNOWN for method in METHODS}  # whose jobs are there: see test_mcp_owners.py
ROUTES = sorted(RULES)
OWNED = sorted(route for route, rule in RULES.items() if rule == OWNER)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with TestClient(make_server(tmp_path_factory.mktemp("service"), MemoryJobStore())) as client:
        yield client


def ask(client: httpx.Client, route: str, who: str | None, job_id: str = "nobodys-job") -> httpx.Response:
    """Send the request of a route; events are left before their end."""
    method, _, template = route.partition(" ")
    path = template.replace("{service_id:str}", service_of(client, job_id))
    for parameter in ("{job_id:str}", "{id:str}"):
        path = path.replace(parameter, job_id)
    path = (
        path.replace("{name:str}", "swagger-ui.css")
        .replace("{path:str}", "x")
        .replace("{rest:path}", "x/y")
        .replace("{resource:path}", "mcp")
    )
    body = {"text": "a"} if method in ("POST", "PUT", "PATCH") else None
    return client.request(method, path, json=body, headers=sent_by(who, prefer="wait=0"))


def service_of(client: httpx.Client, job_id: str) -> str:
    """The platform's id of the service of a job's tool; of any, where there is no such job."""
    services = client.get("/1/services2", headers=sent_by("ann")).json()["items"]
    record = client.get(f"/jobs/{job_id}/status", headers=sent_by("ann")).json()
    ids: dict[str, str] = {service["name"]: service["id"] for service in services}
    return ids.get(record.get("tool", "")) or next(iter(ids.values()))


def test_each_route_has_a_rule_and_each_rule_a_route(client: TestClient) -> None:
    found = {
        f"{method} {route.path}"
        for route in client.app.routes
        for method in getattr(route, "methods", None) or METHODS
        if method != "OPTIONS"  # preflights come before all else
    }
    assert found == RULES.keys(), "say in RULES whom it is for"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("who", [None, "unknown"])
def test_who_is_not_known_gets_in_where_everybody_may(client: TestClient, route: str, who: str | None) -> None:
    answer = ask(client, route, who)
    is_open = RULES[route] == OPEN or (RULES[route] == OPEN_BY_SETTING and "/metrics" not in route)
    if is_open:
        assert answer.status_code in (200, 404)
        return
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == ("Bearer" if who is None else 'Bearer error="invalid_token"')
    if not route.startswith("HEAD"):
        assert answer.json()["type"] == "unauthenticated"


@pytest.mark.parametrize("route", [route for route in ROUTES if RULES[route] == OPEN_BY_SETTING])
def test_what_can_be_closed_can_be_closed(tmp_path: Path, route: str) -> None:
    client = TestClient(make_server(tmp_path, MemoryJobStore(), open_routes=()))
    assert ask(client, route, None).status_code == 401


@pytest.mark.parametrize("route", OWNED)
@pytest.mark.parametrize("state", ["finished", "running"])
def test_anothers_job_is_as_if_it_were_not_there(site: Site, route: str, state: str) -> None:
    job_id: str = getattr(site, state)
    for client in site.clients:
        theirs, nobodys = ask(client, route, "bob", job_id), ask(client, route, "bob", "n" * len(job_id))
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.text == nobodys.text.replace("n" * len(job_id), job_id)
        record = client.get(f"/jobs/{job_id}/status", headers=sent_by("ann")).json()
        assert record["status"] == ("succeeded" if state == "finished" else "executing")


@pytest.mark.parametrize("who", ["ann", "ann-refreshed", "admin"])
def test_ones_own_job_is_there_and_an_admin_sees_it(site: Site, who: str) -> None:
    for client in site.clients:
        for route in OWNED:
            if route.startswith("DELETE") or "async-door" in route:
                continue
            answer = ask(client, route, who, site.finished)
            assert answer.status_code in (200, 204), route


def test_the_list_is_ones_own(site: Site) -> None:
    def ids(client: httpx.Client, who: str) -> set[str]:
        items = client.get("/jobs", headers=sent_by(who)).json()["items"]
        return {item["id"].rpartition(":")[2] for item in items}

    mine = site.other.post("/echo", json={"text": "bob's"}, headers=sent_by("bob", prefer="wait=20"))
    bobs = mine.headers["job-id"].rpartition(":")[2]
    for client in site.clients:
        assert {site.finished, site.running} <= ids(client, "ann")
        assert bobs not in ids(client, "ann")
        assert ids(client, "ann") & ids(client, "bob") == set()
        assert {site.finished, site.running, bobs} <= ids(client, "admin")
        services = client.get("/1/services2", headers=sent_by("bob")).json()["items"]
        listed = [client.get(f"/1/services2/{it['id']}/jobs", headers=sent_by("bob")).text for it in services]
        assert site.finished not in "".join(listed)
        assert site.running not in "".join(listed)


def test_anothers_id_in_a_post_is_taken_and_no_more_is_said(site: Site) -> None:
    for client in site.clients:
        for job_id in (site.finished, site.running):
            for path, text in (("/echo", "ann's"), ("/echo", "other"), ("/async-door", "ann's")):
                answer = client.post(path, json={"text": text}, headers=sent_by("bob", job_id=job_id))
                assert answer.status_code == 409
                assert answer.json()["detail"] == "the job id is in use: choose another id"


def test_an_idempotency_key_is_its_principals(site: Site) -> None:
    def job(client: httpx.Client, who: str) -> str:
        fields = sent_by(who, prefer="wait=20", idempotency_key="a-key")
        answer = client.post("/echo", json={"text": "x"}, headers=fields)
        assert answer.status_code == 200
        return answer.headers["job-id"]

    first = job(site.taker, "ann")
    assert {job(client, who) for client in site.clients for who in ("ann", "ann-refreshed")} == {first}
    assert job(site.taker, "bob") == job(site.other, "bob") != first


def test_a_refreshed_token_attaches_to_its_principals_job(site: Site) -> None:
    for client in site.clients:
        fields = sent_by("ann-refreshed", job_id=site.finished)
        answer = client.post("/echo", json={"text": "ann's"}, headers=fields)
        assert (answer.status_code, answer.text) == (200, "ann's")


def test_an_admin_cancels_anothers_job(site: Site) -> None:
    for client in site.clients:
        fields = sent_by("ann", prefer="respond-async")
        job_id = site.taker.post("/async-door", json={"text": "to be cancelled"}, headers=fields).headers["job-id"]
        assert client.delete(f"/jobs/{job_id}", headers=sent_by("bob")).status_code == 404
        assert client.delete(f"/jobs/{job_id}", headers=sent_by("admin")).status_code in (200, 202)
