"""A service that has a FastAPI app beside its tools: that of `get_fast_app`, or one of its own."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import fastapi
import pytest
from fastapi.middleware.cors import CORSMiddleware
from fastapi.testclient import TestClient as FastTestClient
from pydantic import BaseModel

from lambda_kit.compat.fast_app import tools_of
from lambda_kit.compat.function_server import FunctionServer
from lambda_kit.compat.ivcap_lambda import ToolOptions, add_tool_api_route, get_fast_app, ivcap_lambda
from lambda_kit.compat.ivcap_lambda.server import get_tool_server
from lambda_kit.testing import TestClient
from tests.compat.conftest import SERVICE, Served


class Ask(BaseModel):
    n: int = 0


def doubled(req: Ask) -> dict[str, int]:
    """Double a number"""
    return {"n": 2 * req.n}


def test_routes_of_the_services_own_are_served_beside_the_tools(served: Served) -> None:
    app: Any = get_fast_app()
    ivcap_lambda("/")(doubled)

    @app.get("/own/{name}")  # type: ignore[untyped-decorator]
    def own(name: str) -> dict[str, str]:
        return {"own": name}

    @app.get("/fails")  # type: ignore[untyped-decorator]
    def fails() -> None:
        raise fastapi.HTTPException(status_code=418, detail="a teapot")

    client = served()
    assert client.get("/own/x").json() == {"own": "x"}
    assert (client.get("/fails").status_code, client.get("/fails").json()) == (418, {"detail": "a teapot"})
    assert client.post("/", json={"n": 2}).json() == {"n": 4}
    assert client.get("/").json()["name"] == "doubled"
    assert client.get("/_healtz").status_code == 200
    assert client.get("/openapi.json").json()["openapi"].startswith("3.1")
    assert client.get("/nowhere").json()["code"] == 404
    assert client.post("/own/x").status_code == 405


def test_polls_find_their_job_beside_routes_of_the_services_own(served: Served) -> None:
    get_fast_app().get("/own")(lambda: "own")
    ivcap_lambda("/double")(doubled)
    client = served()
    later = client.post("/double", json={"n": 1}, headers={"prefer": "respond-async"})
    assert later.headers["location"].startswith("/double/jobs/")
    for place in (later.headers["location"], later.headers["location"].removeprefix("/double")):
        assert client.get(place, headers={"prefer": "wait=20"}).json() == {"n": 2}


def test_its_middleware_sees_all_requests(served: Served) -> None:
    app: Any = get_fast_app()
    ivcap_lambda("/double")(doubled)
    seen: list[str] = []

    @app.middleware("http")  # type: ignore[untyped-decorator]
    async def look(request: Any, call_next: Any) -> Any:
        seen.append(request.url.path)
        response = await call_next(request)
        response.headers["x-own"] = "yes"
        return response

    client = served()
    answers = [client.post("/double", json={"n": 1}), client.get("/double"), client.get("/_healtz")]
    assert [answer.headers.get("x-own") for answer in answers] == ["yes"] * 3
    assert answers[0].json() == {"n": 2}
    assert seen == ["/double", "/double", "/_healtz"]


def test_pages_of_the_origins_of_its_cors_middleware_may_call_the_tools(served: Served) -> None:
    app: Any = get_fast_app()
    ivcap_lambda("/double")(doubled)
    app.add_middleware(CORSMiddleware, allow_origins=["https://page.example"], allow_methods=["*"])
    client = served()
    ours = client.post("/double", json={"n": 1}, headers={"origin": "https://page.example"})
    assert (ours.status_code, ours.headers.get_list("access-control-allow-origin")) == (200, ["https://page.example"])
    preflight = client.options(
        "/double", headers={"origin": "https://page.example", "access-control-request-method": "POST"}
    )
    assert preflight.headers["access-control-allow-origin"] == "https://page.example"
    assert client.post("/double", json={"n": 1}, headers={"origin": "https://evil.example"}).status_code == 403


def refuse_strangers(request: fastapi.Request, x_key: str = fastapi.Header()) -> None:
    if x_key != "right":
        raise fastapi.HTTPException(status_code=401, detail="who are you?", headers={"WWW-Authenticate": "Key"})
    request.state.caller = "ann"


def test_dependencies_of_a_route_decide_who_may_call(served: Served) -> None:
    def called(req: Ask, freq: fastapi.Request) -> str:
        return f"{freq.state.caller} {req.n}"

    options = ToolOptions(post_route_opts={"dependencies": [fastapi.Depends(refuse_strangers)]})
    ivcap_lambda("/guarded", opts=options)(called)
    ivcap_lambda("/open")(doubled)
    client = served()
    answer = client.post("/guarded", json={"n": 1}, headers={"x-key": "right"})
    assert (answer.status_code, answer.text) == (200, "ann 1")
    refused = client.post("/guarded", json={"n": 1}, headers={"x-key": "wrong"})
    assert (refused.status_code, refused.json()["message"]) == (401, "who are you?")
    assert refused.headers["www-authenticate"] == "Key"
    assert client.post("/guarded", json={"n": 1}).status_code == 422
    assert client.post("/open", json={"n": 1}).status_code == 200


@pytest.mark.parametrize("is_outside", [True, False])
def test_dependencies_of_an_app_hold_for_its_tools_and_their_results(is_outside: bool) -> None:
    app = fastapi.FastAPI(dependencies=[fastapi.Depends(refuse_strangers)])
    add_tool_api_route(app, "/double", doubled)
    with FastTestClient(app) if is_outside else TestClient(FunctionServer(SERVICE, tools_of(app), app, None)) as client:
        key = {"x-key": "right"}
        later = client.post("/double", json={"n": 1}, headers={"prefer": "respond-async", **key})
        assert later.status_code == 204
        place = later.headers["location"]
        assert client.get(place, headers={"prefer": "wait=20", **key}).json() == {"n": 2}
        wrong = {"x-key": "wrong"}
        answers = [client.post("/double", json={"n": 1}, headers=wrong), client.get(place, headers=wrong)]
        assert [answer.status_code for answer in answers] == [401, 401]


def own_app(events: list[str]) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        events.append("begins")
        yield
        events.append("ends")

    return fastapi.FastAPI(title="Own", lifespan=lifespan)


def test_its_lifespan_is_run_once_each_time_the_server_runs() -> None:
    events: list[str] = []
    app = own_app(events)
    add_tool_api_route(app, "/double", doubled)
    server = FunctionServer(SERVICE, tools_of(app), app, None)
    for n in (1, 2):
        with TestClient(server) as client:
            assert client.post("/double", json={"n": n}).json() == {"n": 2 * n}
            assert events[-1] == "begins"
    assert events == ["begins", "ends", "begins", "ends"]


def test_an_app_of_its_own_serves_its_tools_by_itself() -> None:
    events: list[str] = []
    app = own_app(events)
    add_tool_api_route(app, "/double", doubled)
    app.get("/own")(lambda: "own")
    with FastTestClient(app) as client:
        assert client.get("/own").json() == "own"
        assert client.post("/double", json={"n": 3}).json() == {"n": 6}
        later = client.post("/double", json={"n": 1}, headers={"prefer": "respond-async"})
        assert client.get(later.headers["location"], headers={"prefer": "wait=20"}).json() == {"n": 2}
        assert client.get("/double").json()["name"] == "doubled"
        assert client.get("/nowhere").json() == {"detail": "Not Found"}
    assert events == ["begins", "ends"]


def test_the_app_of_the_service_can_be_tested_by_the_client_of_fastapi() -> None:
    ivcap_lambda("/double")(doubled)
    with FastTestClient(get_fast_app()) as client:
        assert client.post("/double", json={"n": 3}).json() == {"n": 6}


def test_two_apps_have_tools_of_their_own() -> None:
    apps = [fastapi.FastAPI(), fastapi.FastAPI()]
    for app, path in zip(apps, ("/a", "/b"), strict=True):
        add_tool_api_route(app, path, doubled)
    assert [[tool.path_prefix for tool in tools_of(app)] for app in apps] == [["/a"], ["/b"]]
    assert tools_of(None) == []
    ivcap_lambda("/c")(doubled)
    assert [tool.path for tool in get_tool_server(SERVICE).tools.values()] == ["/c"]


def test_what_is_no_app_is_refused() -> None:
    with pytest.raises(TypeError, match="is no FastAPI app"):
        add_tool_api_route("app", "/a", doubled)
