"""Stores by URL: which store each names, and what is said of a URL that names none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from lambda_kit import ConfigurationError, LambdaTool, MemoryJobStore, Service, SqliteJobStore, ToolServer
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.adapters.stores.urls import store_from_url
from lambda_kit.core.ports.store import JobStore
from tests.support.service_command import ROOT

PASSWORD = "open/sesame@1"
QUOTED = "open%2Fsesame%401"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryJobStore),
        ("sqlite:///jobs.db", SqliteJobStore),
        ("redis://127.0.0.1", RedisJobStore),
        ("redis://127.0.0.1:6379/0", RedisJobStore),
        (f"redis://user:{QUOTED}@127.0.0.1:6379/0?socket_timeout=3", RedisJobStore),
        ("rediss://127.0.0.1:6379/0?ssl_ca_certs=/etc/ssl/ca.pem", RedisJobStore),
        ("postgresql://postgres@127.0.0.1:5432/test", PostgresJobStore),
        ("postgres://postgres@127.0.0.1/test", PostgresJobStore),
        ("MEMORY://", MemoryJobStore),
        ("SQLite:///jobs.db", SqliteJobStore),
        ("Redis://127.0.0.1:6379/0", RedisJobStore),
        ("REDISS://127.0.0.1:6379/", RedisJobStore),
        ("PostgreSQL://postgres@127.0.0.1/test", PostgresJobStore),
        ("postgresql://db.example.com", PostgresJobStore),
        ("postgresql:///test", PostgresJobStore),
        ("postgresql://?host=/run/postgresql&sslmode=disable", PostgresJobStore),
        (f"postgresql://user:{QUOTED}@db.example.com/jobs?sslmode=verify-full", PostgresJobStore),
    ],
)
def test_a_url_names_a_store_which_does_not_show_the_password(url: str, kind: type[JobStore]) -> None:
    store = store_from_url(url)
    assert type(store) is kind
    for shown in (repr(store), str(store)):
        assert PASSWORD not in shown
        assert QUOTED not in shown


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///data/jobs.db", "data/jobs.db"),
        ("sqlite:///my%20jobs%3F.db", "my jobs?.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
    ],
)
def test_the_path_of_an_sqlite_file_is_of_this_folder_or_absolute(url: str, path: str, tmp_path: Path) -> None:
    assert repr(store_from_url(url)) == f"SqliteJobStore({str(tmp_path / path)!r})"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "without '://'"),
        ("jobs.db", "without '://'"),
        (PASSWORD, "without '://'"),
        ("mysql://user:secret@host/db", "'mysql://'"),
        ("postgresql+asyncpg://user:secret@host/db", "'postgresql+asyncpg://'"),
        ("redis:secret@host://", "a URL that is not shown"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://jobs.db", "names no file"),
        ("sqlite://user:secret@host/jobs.db", "names no file"),
        ("sqlite:///jobs.db?password=secret", "has options, and there are none"),
        ("sqlite:///jobs.db?mode=ro", "has options, and there are none"),
        ("sqlite:///jobs.db#secret", "has options, and there are none"),
        ("sqlite:///:memory:", "name a file"),
        ("redis://user:secret@host:port/0", "is malformed"),
        ("redis://user:secret@host/0?no_such_option=1", "option"),
        ("redis://user:se/cret@host:6379/0", "malformed"),
        ("redis://user:secret@host/notanumber", "names no database"),
        ("redis://user:12/secret@host", "names no database"),
        ("rediss://host/1/2", "names no database"),
        ("postgres://", "neither a host nor a database"),
        ("postgresql:///", "neither a host nor a database"),
        ("postgresql://user:secret@", "neither a host nor a database"),
        ("postgresql://host/db?sslmode=secret", "sslmode must be one of disable, allow, prefer, require"),
        ("postgresql://user:secret@host/db?user=a&sslmode=bogus&sslmode=", "sslmode must be one of"),
        ("postgresql://user:se/cret@host/db", None),  # told when it is opened
    ],
)
def test_a_url_that_names_no_store_is_refused_with_a_hint_and_without_its_password(url: str, words: str | None) -> None:
    if words is None:
        store_from_url(url)
        return
    with pytest.raises(ConfigurationError) as caught:
        store_from_url(url)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # a log would show it
    text = str(caught.value)
    assert words in text
    assert "secret" not in text
    assert "se/cret" not in text
    assert PASSWORD not in text


def test_a_scheme_that_nobody_knows_is_answered_by_those_there_are() -> None:
    with pytest.raises(ConfigurationError) as caught:
        store_from_url("mysql://host/db")
    for form in ("memory://", "sqlite:///jobs.db", "redis://", "rediss://", "postgresql://"):
        assert form in str(caught.value)


@pytest.mark.parametrize(
    ("module", "url", "extra"),
    [("redis", "redis://127.0.0.1", "redis"), ("asyncpg", "postgresql://127.0.0.1/test", "postgres")],
)
def test_a_driver_that_is_missing_is_named_with_the_command_that_installs_it(
    module: str, url: str, extra: str, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.modules[sys.argv[1]] = None\n"
        "from lambda_kit import LambdaKitError, SqliteJobStore\n"
        "from lambda_kit.adapters.stores.urls import store_from_url\n"
        "store_from_url('sqlite:///jobs.db')\n"  # each driver is needed for its own URLs only
        "try:\n"
        "    store_from_url(sys.argv[2])\n"
        "except LambdaKitError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", code, module, url]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.startswith("MissingExtraError"), ended.stderr
    assert f"pip install 'lambda-kit[{extra}]'" in ended.stdout


# --- where a server gets it from ---

SERVICE = Service(name="Stores", contact={"name": "A", "email": "a@example.com"})


class Name(BaseModel):
    name: str


class Greet(LambdaTool):
    """Greet"""

    def run(self, req: Name) -> str:
        return req.name


def store_of(server: ToolServer) -> JobStore:
    return server._engine.store


def test_the_constructors_store_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LAMBDA_KIT_STORE", raising=False)
    assert type(store_of(ToolServer(SERVICE, [Greet]))) is MemoryJobStore
    monkeypatch.setenv("LAMBDA_KIT_STORE", "")
    assert type(store_of(ToolServer(SERVICE, [Greet]))) is MemoryJobStore
    monkeypatch.setenv("LAMBDA_KIT_STORE", "sqlite:///environment.db")
    assert repr(store_of(ToolServer(SERVICE, [Greet]))) == f"SqliteJobStore({str(tmp_path / 'environment.db')!r})"
    of_url = ToolServer(SERVICE, [Greet], store="sqlite:///constructor.db")
    assert repr(store_of(of_url)) == f"SqliteJobStore({str(tmp_path / 'constructor.db')!r})"
    own = MemoryJobStore()
    assert store_of(ToolServer(SERVICE, [Greet], store=own)) is own
    of_url.enable(store="memory://")
    assert type(store_of(of_url)) is MemoryJobStore


async def test_a_server_that_has_started_keeps_its_store() -> None:
    async with ToolServer(SERVICE, [Greet], store="memory://") as server:
        with pytest.raises(ConfigurationError, match="has started"):
            server.enable(store="sqlite:///other.db")
