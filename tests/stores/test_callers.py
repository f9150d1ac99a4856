"""Who may attach to a job by its id or its key: who has made it, by any replica, before and after a restart."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import BaseModel

from lambda_kit import Job, LambdaTool, MemoryJobStore, Service, ToolServer
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.ports.store import JobStore
from lambda_kit.spi import Payload
from lambda_kit.testing import TestClient
from tests.support.store_opener import Opener, opener

BEARER = {"Authorization": "Bearer of-the-caller"}
OTHER = {"Authorization": "Bearer of-another"}
DURABLE = ["sqlite", "redis", "postgres"]


class Text(BaseModel):
    text: str


class Echo(LambdaTool):
    """Echo"""

    async def run(self, req: Text) -> str:
        return req.text


class Shout(LambdaTool):
    """Shout"""

    async def run(self, req: Text) -> str:
        return req.text.upper()


def client_of(store: JobStore, **options: Any) -> AbstractContextManager[TestClient]:
    service = Service(name="Callers", contact={"name": "A", "email": "a@example.com"})
    return TestClient(ToolServer(service, [Echo, Shout], store=store, **options))


@pytest.fixture(params=["memory", *DURABLE])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opener(request.param, tmp_path) as new_store:
        yield new_store


@pytest.fixture
def post(new_store: Opener) -> Iterator[Callable[..., httpx.Response]]:
    with client_of(new_store()) as client:

        def post(text: str, *, path: str = "/echo", **headers: str) -> httpx.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return client.post(path, json={"text": text}, headers=named)

        yield post


def test_another_caller_does_not_attach_to_a_job_by_its_id(post: Callable[..., httpx.Response]) -> None:
    callers: list[dict[str, str]] = [{}, BEARER, OTHER, {"Authorization": ""}]
    for number, caller in enumerate(callers):
        job_id = f"job-{number}"
        first = post("secret", job_id=job_id, **caller)
        assert (first.status_code, post("secret", job_id=job_id, **caller).text) == (200, "secret")
        for other in callers:
            if other is not caller:
                for text in ("secret", "other text"):
                    refused = post(text, job_id=job_id, **other)
                    assert refused.status_code == 409, (caller, other)
                    assert refused.json()["detail"] == "the job id is in use: choose another id"
                    assert "secret" not in refused.text


def test_a_guessed_key_of_another_caller_is_a_key_of_its_own(post: Callable[..., httpx.Response]) -> None:
    first = post("victim", Idempotency_Key="order-42", **BEARER)
    for caller in ({}, OTHER):
        other = post("x", Idempotency_Key="order-42", **caller)
        assert (other.status_code, other.text) == (200, "x")
    again = post("victim", Idempotency_Key="order-42", **BEARER)
    assert again.headers["job-id"] == first.headers["job-id"]


def test_a_conflict_by_key_does_not_name_the_job(post: Callable[..., httpx.Response]) -> None:
    job_id = post("victim", Idempotency_Key="order-42").headers["job-id"].rpartition(":")[2]
    refused = post("guess", Idempotency_Key="order-42")
    assert refused.status_code == 409
    assert job_id not in f"{refused.text}{refused.headers}"
    assert "Idempotency-Key" in refused.json()["detail"]


def test_a_conflict_of_ones_own_says_what_differs(post: Callable[..., httpx.Response]) -> None:
    post("a", job_id="mine", **BEARER)
    assert "another body" in post("b", job_id="mine", **BEARER).json()["detail"]
    assert "belongs to tool 'echo'" in post("a", path="/shout", job_id="mine", **BEARER).json()["detail"]


def test_whoever_knows_the_id_reads_the_result(new_store: Opener) -> None:
    with client_of(new_store()) as client:
        client.post("/echo", json={"text": "a"}, headers={"job-id": "mine", **BEARER})
        for headers in ({}, OTHER):
            assert client.get("/jobs/mine", headers=headers).text == "a"
            assert client.get("/jobs/mine/status", headers=headers).status_code == 200


@pytest.mark.parametrize("key", [None, "S2V5S2V5S2V5S2V5S2V5S2V5S2V5S2V5S2V5S2V5S2U="])
@pytest.mark.parametrize("new_store", DURABLE, indirect=True)
def test_replicas_and_restarts_agree_who_a_caller_is(new_store: Opener, key: str | None) -> None:
    headers = {"job-id": "one", **BEARER}
    keyed = {"Idempotency-Key": "two", **BEARER}
    with ExitStack() as stack:
        replicas = [stack.enter_context(client_of(new_store(), encryption_key=key)) for _ in range(2)]
        for replica in replicas:
            assert replica.post("/echo", json={"text": "a"}, headers=headers).status_code == 200
            assert replica.post("/echo", json={"text": "a"}, headers={**headers, **OTHER}).status_code == 409
        ids = {replica.post("/echo", json={"text": "a"}, headers=keyed).headers["job-id"] for replica in replicas}
    with client_of(new_store(), encryption_key=key) as restarted:
        assert restarted.post("/echo", json={"text": "a"}, headers=headers).status_code == 200
        assert restarted.post("/echo", json={"text": "a"}, headers={**headers, **OTHER}).status_code == 409
        ids.add(restarted.post("/echo", json={"text": "a"}, headers=keyed).headers["job-id"])
    assert len(ids) == 1


async def test_two_who_open_a_store_at_once_get_one_key(new_store: Opener) -> None:
    async with new_store() as one, new_store() as other:
        keys = await asyncio.gather(*(store.caller_key() for store in (one, other) for _ in range(5)))
    assert len(set(keys)) == 1 or not one.is_shared
    assert all(len(key) == 32 for key in keys)


async def test_two_services_hash_a_caller_differently() -> None:
    service = Service(name="Callers", contact={"name": "A", "email": "a@example.com"})
    hashes = set()
    for _ in range(2):
        async with ToolServer(service, [Echo], store=MemoryJobStore()) as server:
            hashes.add((await server.jobs.submit("echo", _payload("a"), authorization="Bearer x")).caller)
    assert len(hashes) == 2


async def test_a_job_of_an_older_version_is_attached_to_by_its_principal_alone() -> None:
    service = Service(name="Callers", contact={"name": "A", "email": "a@example.com"})
    store = _Older()
    async with ToolServer(service, [Echo], store=store) as server:
        body = _payload("a")
        first = await server.jobs.submit("echo", body, job_id="one", authorization="Bearer x")
        assert first.caller is None
        assert (await server.jobs.submit("echo", body, job_id="one", authorization="Bearer y")).id == "one"


async def test_a_principal_is_one_caller_whatever_its_token_is() -> None:
    service = Service(name="Callers", contact={"name": "A", "email": "a@example.com"})
    async with ToolServer(service, [Echo], store=MemoryJobStore()) as server:
        ann, body = server.jobs.acting_for(Principal("ann")), _payload("a")
        first = await ann.submit("echo", body, idempotency_key="k", authorization="Bearer x")
        again = await ann.submit("echo", body, idempotency_key="k", authorization="Bearer refreshed")
        assert again.id == first.id


def _payload(text: str) -> Payload:
    return Payload(json.dumps({"text": text}).encode(), "application/json")


class _Older(MemoryJobStore):
    """Keeps jobs as a version that knew no callers."""

    async def create(self, job: Job, *args: Any, **options: Any) -> Any:
        return await super().create(msgspec.structs.replace(job, caller=None), *args, **options)
