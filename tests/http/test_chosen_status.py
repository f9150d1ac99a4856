"""A tool chooses the status of its failure: by `ToolError`, or by the HTTP exception of a framework."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from litestar.exceptions import HTTPException, NotAuthorizedException, NotFoundException, TooManyRequestsException
from starlette.exceptions import HTTPException as StarletteException

from lambda_kit import LambdaTool, ToolError
from lambda_kit.core.model.job import Payload
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server

_BODY = Payload(b"{}", "application/json")


class NoSuchModelError(ToolError):
    status = 404
    type = "no-such-model"


class BusyError(ToolError):
    """Says all of it itself."""

    def __init__(self, seconds: float) -> None:
        super().__init__("all models are busy", status=503, type="urn:example:busy", retry_after=seconds)


class Unfinished(ToolError):  # noqa: N818
    """Forgets to call the constructor of its base."""

    def __init__(self) -> None:
        Exception.__init__(self, "unfinished")


class FastAPIException(StarletteException):
    """As FastAPI's, whose detail may be any JSON."""

    def __init__(self, status_code: int, detail: Any, headers: dict[str, str]) -> None:
        super().__init__(status_code, detail, headers)


class OddException(StarletteException):
    """Its base promises a detail."""

    def __init__(self) -> None:
        self.status_code = 404


def in_two_groups(error: Exception) -> Exception:
    return ExceptionGroup("outer", [ExceptionGroup("inner", [error])])


def changed(**members: Any) -> ToolError:
    error = ToolError("changed")
    error.__dict__.update(members)
    return error


def answered(make: Callable[[], BaseException], **options: Any) -> tuple[int, str, str, str | None]:
    """Status, type, detail and ``Retry-After``: of the POST, and of a poll after it."""

    class Raises(LambdaTool):
        def run(self, req: Ask) -> str:
            raise make()

    with TestClient(a_server(Raises, **options)) as client:
        answers = [client.post("/raises", json={})]
        answers.append(client.get("/jobs/" + answers[0].headers["job-id"]))
    first, polled = (
        (answer.status_code, answer.json()["type"], answer.json()["detail"], answer.headers.get("retry-after"))
        for answer in answers
    )
    assert first == polled
    for answer in answers:
        body = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (body["status"], body["code"], body["message"]) == (first[0], first[0], first[2])
        assert body["instance"] == answer.headers["job-id"]
    return first


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: ToolError("boom"), (500, "ToolError", "boom", None)),
        (lambda: ToolError("no 'tiny'", status=404), (404, "ToolError", "no 'tiny'", None)),
        (lambda: ToolError("slow down", status=429, retry_after=0.2), (429, "ToolError", "slow down", "1")),
        (lambda: ToolError("later", status=503, retry_after=90.5), (503, "ToolError", "later", "91")),
        (lambda: ToolError("later", status=503, retry_after=1e300), (503, "ToolError", "later", "2147483647")),
        (lambda: ToolError("", status=418, type="teapot"), (418, "teapot", "ToolError", None)),
        (lambda: ToolError("odd", status=499), (499, "ToolError", "odd", None)),
        (lambda: NoSuchModelError("no 'tiny'"), (404, "no-such-model", "no 'tiny'", None)),
        (lambda: NoSuchModelError("gone", status=410), (410, "no-such-model", "gone", None)),
        (lambda: BusyError(7), (503, "urn:example:busy", "all models are busy", "7")),
        (lambda: in_two_groups(NoSuchModelError("in a task group")), (404, "no-such-model", "in a task group", None)),
        (Unfinished, (500, "Unfinished", "unfinished", None)),
        (lambda: changed(status="404"), (500, "ToolError", "changed", None)),
        (lambda: changed(retry_after=b"1"), (500, "ToolError", "changed", None)),
    ],
)
def test_a_tool_error_is_answered_with_its_status(make: Callable[[], BaseException], expected: object) -> None:
    assert answered(make) == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: NotFoundException("no such thing"), (404, "NotFoundException", "no such thing", None)),
        (NotAuthorizedException, (401, "NotAuthorizedException", "Unauthorized", None)),
        (
            lambda: TooManyRequestsException("slow down", headers={"retry-after": "30"}),
            (429, "TooManyRequestsException", "slow down", "30"),
        ),
        (
            lambda: HTTPException("no", status_code=503, headers={"Retry-After": "soon"}),
            (503, "HTTPException", "no", None),
        ),
        (
            lambda: HTTPException("no", status_code=503, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
            (503, "HTTPException", "no", "1"),
        ),
        (lambda: HTTPException("elsewhere", status_code=302), (500, "HTTPException", "302: elsewhere", None)),
        (lambda: StarletteException(403, "not yours"), (403, "HTTPException", "not yours", None)),
        (
            lambda: FastAPIException(422, [{"loc": ["a"], "msg": "é"}], {}),
            (422, "FastAPIException", '[{"loc": ["a"], "msg": "é"}]', None),
        ),
        (lambda: StarletteException(999, "what?"), (500, "HTTPException", "999: what?", None)),
        (OddException, (500, "OddException", "OddException", None)),
    ],
)
def test_the_http_exception_of_a_framework_is_answered_with_its_status(
    make: Callable[[], BaseException], expected: object
) -> None:
    assert answered(make) == expected


def test_a_date_to_try_again_becomes_seconds() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    *_, seconds = answered(lambda: HTTPException(status_code=503, headers={"Retry-After": date}))
    assert seconds is not None
    assert 3500 < int(seconds) <= 3600


def test_another_class_of_that_name_is_an_error_like_any_other() -> None:
    other = type("HTTPException", (Exception,), {"status_code": 404, "detail": "no", "headers": None})
    assert answered(lambda: other("mine")) == (500, "HTTPException", "mine", None)


def test_a_durable_store_keeps_what_the_tool_chose(tmp_path: Path) -> None:
    expected = (503, "urn:example:busy", "all models are busy", "7")
    assert answered(lambda: BusyError(7), store=f"sqlite:///{tmp_path}/jobs.db") == expected


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"status": 200}, "status=200"),
        ({"status": 600}, "status=600"),
        ({"status": "404"}, "status='404'"),
        ({"status": True}, "status=True"),
        ({"type": 5}, "type=5"),
        ({"type": "a\nb"}, r"type='a\nb'"),
        ({"retry_after": -1}, "retry_after=-1"),
        ({"retry_after": float("nan")}, "retry_after=nan"),
        ({"retry_after": timedelta(seconds=1)}, "retry_after=datetime.timedelta(seconds=1)"),
    ],
)
def test_a_tool_error_that_can_not_be_answered_is_refused_where_it_is_made(options: dict[str, Any], name: str) -> None:
    status, kind, detail, _ = answered(lambda: NoSuchModelError("x", **options))
    assert (status, kind) == (500, "ToolDefinitionError")
    assert f"NoSuchModelError({name}): must be " in detail


async def test_a_cancelled_tool_is_cancelled_also_if_a_task_group_wraps_its_error() -> None:
    raised = asyncio.Event()

    class Groups(LambdaTool):
        async def run(self, req: Ask) -> str:
            try:
                raised.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                raise BaseExceptionGroup("tasks", [BaseExceptionGroup("one", [error]), error]) from None
            return ""

    async with a_server(Groups) as server:
        job = await server.jobs.submit("groups", _BODY)
        await raised.wait()
        await server.cancel(job.id)
        ended = await server.jobs.wait(job.id, wait_seconds=20)
    assert ended.job.status == "cancelled"
