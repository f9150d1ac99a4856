"""Where the store is, and how to get in, is told to no client; a password is in no log, error or `repr`."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import BaseModel

from lambda_kit import JobSettings, LambdaTool, Service, ToolServer
from lambda_kit.adapters.stores.urls import store_from_url
from lambda_kit.core.errors import LambdaKitError
from lambda_kit.testing import TestClient
from tests.support import postgres_server
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer

PASSWORD = "s3cret-of-the-store"
SERVICE = Service(name="Addresses", contact={"name": "A", "email": "a@example.com"})


class Text(BaseModel):
    text: str = ""


class Echo(LambdaTool):
    """Echo"""

    async def run(self, req: Text) -> str:
        return req.text


class Place:
    """A store's address, what of it must not be told, and how to take the store away."""

    def __init__(self, url: str, told: list[str], passwords: list[str], take_away: Callable[[], object]) -> None:
        self.url = url
        self.told = [*told, *passwords]
        self.passwords = passwords
        self.take_away = take_away


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            file = tmp_path / "hidden.db"
            yield Place(f"sqlite:///{file}", [str(tmp_path), "hidden.db"], [], file.unlink)
        elif request.param == "redis":
            redis = stack.enter_context(RedisServer(tmp_path, "--requirepass", PASSWORD))
            told = ["127.0.0.1", str(redis.port)]
            yield Place(f"redis://:{PASSWORD}@127.0.0.1:{redis.port}/3", told, [PASSWORD], redis.kill)
        else:
            postgres = stack.enter_context(PostgresServer())
            quoted = postgres.url.partition("@")[0].rpartition(":")[2]
            told = ["127.0.0.1", str(postgres.port), "worker_id", "/postgres"]
            yield Place(postgres.url, told, [postgres_server.PASSWORD, quoted], postgres.kill)


def test_while_the_store_is_away_clients_are_not_told_where_it_was(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    settings = JobSettings(grace_seconds=0.5)
    server = ToolServer(SERVICE, [Echo], store=place.url, job_list=True, debug=True, settings=settings)
    with caplog.at_level(logging.DEBUG), TestClient(server) as client:
        assert client.post("/echo", json={}, headers={"job-id": "one"}).status_code == 200
        place.take_away()
        answers = [client.post("/echo", json={"text": str(number)}) for number in range(2)]
        answers.append(client.post("/echo", json={}, headers={"job-id": "one"}))
        paths = ("/jobs/one", "/jobs/one/status", "/jobs/one/events", "/jobs", "/_healtz", "/_livez", "/metrics")
        answers += [client.get(path) for path in paths]
        answers.append(client.delete("/jobs/one"))
        assert 503 in {answer.status_code for answer in answers}
        for answer in answers:
            text = f"{answer.headers}{answer.text}"
            assert not [word for word in place.told if word in text], text
    assert not [word for word in place.passwords if word in caplog.text]


def test_what_is_too_large_for_the_store_is_refused_without_naming_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--proto-max-bulk-len", "1mb") as redis:
        with TestClient(ToolServer(SERVICE, [Echo], store=redis.url)) as client:
            answer = client.post("/echo", json={"text": "x" * 2_000_000})
        assert (answer.status_code, answer.json()["type"]) == (413, "payload-too-large")
        assert str(redis.port) not in answer.text


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{PASSWORD}@127.0.0.1:1/0",
        f"redis://127.0.0.1:1/0?password={PASSWORD}",
        f"postgresql://user:{PASSWORD}@127.0.0.1:1/jobs",
        f"postgresql://127.0.0.1:1/jobs?user=u&password={PASSWORD}",
        f"redis://user:{PASSWORD}@no-such-host.invalid:1/0",
        f"postgresql://user:{PASSWORD}@no-such-host.invalid:1/jobs",
        f"redis://user:{PASSWORD}@[::1/0",
        f"postgresql://user:{PASSWORD}@host:port/jobs",
        f"postgresql://user:a/{PASSWORD}@host/jobs",
        f"redis://user:{PASSWORD}@127.0.0.1:1/0?no_option=1",
        f"mongodb://user:{PASSWORD}@127.0.0.1:1/0",
        f"sqlite://user:{PASSWORD}@host/jobs.db",
    ],
)
async def test_no_password_is_in_an_error_a_repr_or_the_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    texts: list[str] = []

    async def serve() -> None:
        store = store_from_url(url)
        texts.extend([repr(store), str(store)])
        async with ToolServer(SERVICE, [Echo], store=store, settings=JobSettings(store_wait_seconds=0.1)):
            """It has no store."""

    with caplog.at_level(logging.DEBUG), pytest.raises(LambdaKitError) as caught:
        await serve()
    error: BaseException | None = caught.value
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__
    assert not [text for text in [*texts, caplog.text] if PASSWORD in text]


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_wrong_password_is_not_repeated(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        if kind == "redis":
            port = stack.enter_context(RedisServer(tmp_path, "--requirepass", "right")).port
            url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        else:
            port = stack.enter_context(PostgresServer()).port
            url = f"postgresql://worker_id:{PASSWORD}@127.0.0.1:{port}/postgres"
        with pytest.raises(LambdaKitError) as caught:
            async with ToolServer(SERVICE, [Echo], store=url, settings=JobSettings(store_wait_seconds=0.1)):
                pass
    assert PASSWORD not in f"{caught.value}{caught.value.__cause__!r}{caplog.text}"
