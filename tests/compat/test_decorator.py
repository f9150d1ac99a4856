"""Functions that are decorated as for ivcap-lambda, served by lambda_kit."""

import asyncio
import functools
import logging
import multiprocessing
import pickle
import threading
from typing import Any

import fastapi
import pytest
from ivcap_service import BinaryResult, ExecutionError, JobContext
from pydantic import BaseModel

from lambda_kit import ToolDefinitionError
from lambda_kit.compat.ivcap_lambda import (
    ExecutionContext,
    ExecutorOpts,
    ToolOptions,
    add_tool_api_route,
    get_event_reporter,
    get_job_id,
    ivcap_ai_tool,
    ivcap_lambda,
)
from lambda_kit.compat.ivcap_lambda.executor import Executor, get_job_context
from lambda_kit.compat.ivcap_lambda.health_handler import add_ready_handler, healtz_handler
from lambda_kit.compat.ivcap_lambda.server import get_tool_server
from tests.compat.conftest import SERVICE, Served

BOUND_SECONDS = 60


class Ask(BaseModel):
    n: int = 0


class Told(BaseModel):
    n: int


def doubled(req: Ask) -> Told:
    """Double a number"""
    return Told(n=2 * req.n)


def of_later(req: "Later") -> "Told":
    return Told(n=0 if req.inner is None else req.inner.n)


class Later(BaseModel):
    inner: "Inner | None" = None


class Inner(BaseModel):
    n: int


Later.model_rebuild()


def test_a_decorated_function_is_served_and_stays_a_function(served: Served) -> None:
    decorated = ivcap_lambda("/double", opts=ToolOptions(tags=["Numbers"]))(doubled)
    answer = served().post("/double", json={"n": 4})
    assert (answer.status_code, answer.json()) == (200, {"n": 8})
    assert decorated is doubled
    assert functools.partial(decorated, Ask(n=3))().n == 6
    assert pickle.loads(pickle.dumps(decorated)) is doubled


@pytest.mark.processes
def test_a_decorated_function_can_be_called_in_a_pool() -> None:
    ivcap_lambda("/double")(doubled)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(doubled, (Ask(n=5),)).n == 10


def test_another_tool_can_call_it(served: Served) -> None:
    ivcap_lambda("/double")(doubled)

    @ivcap_lambda("/four-times")
    def four_times(req: Ask) -> Told:
        return doubled(Ask(n=doubled(req).n))

    assert served().post("/four-times", json={"n": 2}).json() == {"n": 8}


def test_the_old_name_of_the_decorator_warns_and_works(served: Served) -> None:
    with pytest.warns(DeprecationWarning, match="ivcap_lambda"):
        ivcap_ai_tool("/", opts=ToolOptions(service_id="/"))(doubled)
    client = served()
    assert client.post("/", json={"n": 1}).json() == {"n": 2}
    assert client.get("/").json()["service-id"] == "http://testserver.local/"


def test_options_may_be_none_and_change_and_have_unknown_keywords(served: Served) -> None:
    unknown: Any = {"nonsense": True}
    options = ToolOptions(tags=["A"], **unknown)
    ivcap_lambda("/one", opts=options)(doubled)
    ivcap_lambda("/two", opts=None)(doubled)
    options.tags = ["B"]
    paths = served().get("/openapi.json").json()["paths"]
    assert paths["/one"]["post"]["tags"] == ["B"]
    assert paths["/two"]["post"]["tags"] == ["Two"]


def test_functions_of_one_name_are_told_apart_and_of_one_path_the_first_is_served(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    def made(answer: int) -> Any:
        def handler(req: Ask) -> Told:
            return Told(n=answer)

        return handler

    for answer, path in enumerate(("/a", "/b", "/a/")):
        add_tool_api_route(None, path, made(answer))
    client = served()
    assert [client.post(path, json={}).json()["n"] for path in ("/a", "/b")] == [0, 1]
    assert [client.get(path).json()["name"] for path in ("/a", "/b")] == ["handler", "handler_2"]
    assert "'handler' is not served: another function has its path, /a" in caplog.text


def test_a_function_without_return_annotation_and_docstring_is_served(served: Served) -> None:
    @ivcap_lambda("/plain")
    def plain(req: Ask):
        return {"n": req.n} if req.n else None

    client = served()
    assert client.post("/plain", json={"n": 1}).json() == {"n": 1}
    assert client.post("/plain", json={}).json()["type"] == "no-result-error"
    assert client.get("/plain").json()["fn_signature"] == "plain(n: Optional[int]) -> unknown"


def test_an_annotation_may_be_defined_after_the_function(served: Served) -> None:
    ivcap_lambda("/later")(of_later)
    assert served().post("/later", json={"inner": {"n": 7}}).json() == {"n": 7}


def test_an_annotation_that_is_never_defined_is_refused_when_the_server_is_built() -> None:
    def function(req: "Nowhere") -> Told: ...  # type: ignore[name-defined,empty-body]  # noqa: F821

    ivcap_lambda("/x")(function)
    with pytest.raises(ToolDefinitionError, match="function: an annotation names 'Nowhere'"):
        get_tool_server(SERVICE)


def test_a_parameter_that_nothing_can_supply_is_refused_by_the_decorator() -> None:
    def function(req: Ask, size: int) -> Told: ...  # type: ignore[empty-body]

    with pytest.raises(ToolDefinitionError, match="function: unexpected function parameter 'size'"):
        ivcap_lambda("/x")(function)


def test_no_function_at_all_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="No tools have been registered"):
        get_tool_server(SERVICE)


def test_a_function_knows_its_job_by_parameter_and_by_the_job_of_the_thread(served: Served) -> None:
    @ivcap_lambda("/job")
    def job(req: Ask, ctxt: JobContext) -> dict[str, Any]:
        reporter = get_event_reporter()
        assert reporter is ctxt.report
        assert get_job_context() is ctxt
        with ctxt.report.step("work", "begins") as step:
            step.finished("done")
        return {"id": ctxt.job_id, "also": get_job_id(), "token": ctxt.job_authorization, "active": active()}

    def active() -> bool:
        return get_job_id() in Executor.active_jobs()

    sent = {"job-id": "urn:ivcap:job:mine-1", "authorization": "Bearer of-the-caller"}
    told = served().post("/job", json={}, headers=sent).json()
    assert told == {"id": "mine-1", "also": "mine-1", "token": "Bearer of-the-caller", "active": True}
    assert get_job_id() is None
    assert get_event_reporter() is None
    assert Executor.active_jobs() == []


def test_an_async_function_may_block_and_has_a_loop_and_thread_of_its_own(served: Served) -> None:
    met = threading.Barrier(3)

    @ivcap_lambda("/async")
    async def blocking(req: Ask) -> dict[str, Any]:
        await asyncio.to_thread(met.wait, BOUND_SECONDS)
        met.wait(BOUND_SECONDS)  # blocks this loop
        return {"loop": id(asyncio.get_running_loop()), "thread": threading.get_ident(), "id": get_job_id()}

    client = served()
    answers = _at_once(lambda: client.post("/async", json={}).json(), 3)
    assert all(len({answer[key] for answer in answers}) == 3 for key in ("loop", "thread", "id"))


def test_without_max_workers_each_job_has_a_thread_however_many_there_are(served: Served) -> None:
    met = threading.Barrier(100)

    @ivcap_lambda("/meet", opts=ToolOptions(max_wait_time=0))
    def meet(req: Ask) -> Told:
        met.wait(BOUND_SECONDS)
        return Told(n=req.n)

    client = served()
    places = [client.post("/meet", json={"n": n}).headers["location"] for n in range(100)]
    answers = [client.get(place, headers={"prefer": f"wait={BOUND_SECONDS}"}) for place in places]
    assert [answer.json()["n"] for answer in answers] == list(range(100))


def test_max_workers_bounds_the_jobs_that_run_at_once(served: Served) -> None:
    running = threading.Semaphore(2)

    @ivcap_lambda("/bounded", opts=ToolOptions(executor_opts=ExecutorOpts(max_workers=2)))
    def bounded(req: Ask) -> bool:
        is_free = running.acquire(blocking=False)
        threading.Event().wait(0.01)
        if is_free:
            running.release()
        return is_free

    client = served()
    assert _at_once(lambda: client.post("/bounded", json={}).json(), 12) == [True] * 12


def test_max_wait_time_none_waits_until_there_is_a_result(served: Served) -> None:
    may_end = threading.Event()

    @ivcap_lambda("/waited", opts=ToolOptions(max_wait_time=None))
    def waited(req: Ask) -> Told:
        may_end.wait(BOUND_SECONDS)
        return Told(n=1)

    client = served()
    assert client.post("/waited", json={}, headers={"timeout": "0"}).status_code == 204
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(client.post("/waited", json={}).status_code))
    waiting.start()
    may_end.set()
    waiting.join(BOUND_SECONDS)
    assert answers == [200]
    assert get_tool_server(SERVICE).tools["waited"].options.wait_seconds > 10**9


@pytest.mark.parametrize(
    ("raised", "status", "kind"),
    [
        (ValueError("no"), 400, "ValueError"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), 500, "UnicodeDecodeError"),
        (BaseException("no"), 500, "BaseException"),
        (SystemExit(3), 500, "SystemExit"),
        (ExecutionError(error="no", type="ValueError"), 400, "ValueError"),
        (ExecutionError(error="no", type="Odd"), 500, "Odd"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_fails_is_answered(served: Served, raised: Any, status: int, kind: str) -> None:
    @ivcap_lambda("/fails")
    def fails(req: Ask) -> Any:
        if isinstance(raised, BaseException):
            raise raised
        return raised

    answer = served().post("/fails", json={})
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert answer.json()["code"] == status


def test_an_http_exception_of_fastapi_has_its_status(served: Served) -> None:
    @ivcap_lambda("/fails")
    def fails(req: Ask) -> Told:
        raise fastapi.HTTPException(status_code=418, detail="a teapot")

    answer = served().post("/fails", json={})
    assert (answer.status_code, answer.json()["message"]) == (418, "a teapot")


def test_binary_results_and_texts_keep_their_types(served: Served) -> None:
    @ivcap_lambda("/image")
    def image(req: Ask) -> BinaryResult:
        return BinaryResult(content_type="image/png", content=b"png")

    @ivcap_lambda("/text")
    def text(req: Ask) -> str:
        return "ä"

    client = served()
    answer = client.post("/image", json={})
    assert (answer.headers["content-type"], answer.content) == ("image/png", b"png")
    assert client.post("/text", json={}).text == "ä"


def test_a_context_is_passed_to_the_parameter_of_its_class(served: Served) -> None:
    class Shared(ExecutionContext, BaseModel):
        text: str

    @ivcap_lambda("/shared", context=Shared(text="of all"))
    def shared(req: Ask, ctxt: JobContext, own: Shared) -> str:
        return own.text

    assert served().post("/shared", json={}).text == "of all"


def test_the_request_need_not_come_first(served: Served) -> None:
    @ivcap_lambda("/second")
    def second(ctxt: JobContext, req: Ask) -> Told:
        return Told(n=req.n)

    @ivcap_lambda("/positional")
    def positional(req: Ask, /, *, ctxt: JobContext) -> Told:
        return Told(n=req.n)

    client = served()
    assert [client.post(path, json={"n": 3}).json()["n"] for path in ("/second", "/positional")] == [3, 3]


def test_is_ready_and_added_handlers_are_asked(served: Served) -> None:
    said = {"tool": False, "added": True}
    ivcap_lambda("/double", opts=ToolOptions(is_ready=lambda: said["tool"]))(doubled)

    async def added() -> bool:
        return said["added"]

    add_ready_handler(added)
    client = served()
    assert client.get("/_healtz").status_code == 503
    said["tool"] = True
    assert client.get("/_healtz").status_code == 200
    assert asyncio.run(healtz_handler())["version"]
    said["added"] = False
    assert client.get("/_healtz").status_code == 503


def test_route_options_of_fastapi_are_carried_over_or_warned_of(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    options = ToolOptions(post_route_opts={"deprecated": True, "response_model_exclude_unset": True, "name": "x"})
    ivcap_lambda("/double", opts=options)(doubled)
    with caplog.at_level(logging.WARNING):
        document = served().get("/openapi.json").json()
    assert document["paths"]["/double"]["post"]["deprecated"] is True
    said = [record.getMessage() for record in caplog.records if "post_route_opts" in record.getMessage()]
    assert len(said) == 1
    assert "name, response_model_exclude_unset left out" in said[0]


def _at_once(call: Any, count: int) -> list[Any]:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_SECONDS)
    return answers
