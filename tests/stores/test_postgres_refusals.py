"""A PostgreSQL that takes back a password, a right or a table while the store is open, and starts that are refused."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from lambda_kit import ConfigurationError, Job, JobStatus, UnavailableError
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.postgres import database as postgres_database
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease
from tests.support.postgres_server import PostgresServer

REQUEST = Payload(b"{}", "application/json")
LONG_SECONDS = 60.0
OLD, NEW = "the-old-one", "the-new-one"


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def worker_id(cluster: PostgresServer) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the server's worker_id. There is a user without rights, `worker`, and no schema."""
    connection = await asyncpg.connect(cluster.url)
    await connection.execute(f"CREATE ROLE worker LOGIN PASSWORD '{OLD}'")
    yield connection
    await connection.execute("DROP SCHEMA IF EXISTS lambda_kit CASCADE; DROP OWNED BY worker; DROP ROLE worker")
    await connection.close()


@pytest.fixture
def url(cluster: PostgresServer) -> str:
    return f"postgresql://worker:{OLD}@127.0.0.1:{cluster.port}/postgres"


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


SHUT_OUT = (
    "ALTER ROLE worker PASSWORD 'the-new-one';"
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'worker'"
)
THEIR_TABLE = "CREATE SCHEMA lambda_kit AUTHORIZATION worker; CREATE TABLE lambda_kit.schema_version"
LET_IN = "ALTER ROLE worker PASSWORD 'the-old-one'"


@pytest.mark.parametrize(
    ("refuse", "allow", "said"),
    [
        (SHUT_OUT, LET_IN, "password authentication failed"),
        (
            "ALTER SCHEMA lambda_kit OWNER TO worker_id",
            "ALTER SCHEMA lambda_kit OWNER TO worker",
            "permission denied for schema lambda_kit",
        ),
        (
            "ALTER TABLE lambda_kit.jobs OWNER TO worker_id",
            "ALTER TABLE lambda_kit.jobs OWNER TO worker",
            "permission denied for table jobs",
        ),
        ("ALTER TABLE lambda_kit.jobs RENAME TO j", "ALTER TABLE lambda_kit.j RENAME TO jobs", "does not exist"),
        ("ALTER SCHEMA lambda_kit RENAME TO s", "ALTER SCHEMA s RENAME TO lambda_kit", "does not exist"),
    ],
)
async def test_what_is_refused_later_than_at_the_start_is_away_and_nothing_is_lost(
    worker_id: "asyncpg.Connection[asyncpg.Record]",
    url: str,
    refuse: str,
    allow: str,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await worker_id.execute("CREATE SCHEMA lambda_kit AUTHORIZATION worker")
    async with PostgresJobStore(url) as store:
        await store.create(Job(id="a", tool="greet", requested_at=0.0), REQUEST)
        claim = await store.claim("a", worker_id="w", lease_seconds=100)
        assert claim is not None
        lease = Lease("a", claim.job.lease_token)
        await worker_id.execute(refuse)
        async with asyncio.timeout(LONG_SECONDS):
            while said not in "".join(errors(caplog)):  # connections that were cut are found first
                with pytest.raises(UnavailableError):
                    await store.finish(lease, REQUEST)
        for _ in range(3):
            with pytest.raises(UnavailableError, match=said) as caught:
                await store.finish(lease, REQUEST)
            assert OLD not in str(caught.value)
        await worker_id.execute(allow)
        assert (await store.finish(lease, REQUEST)).status is JobStatus.SUCCEEDED
    assert len(errors(caplog)) == 1
    assert OLD not in caplog.text
    assert NEW not in caplog.text


@pytest.mark.parametrize("statement", ["SELECT nothing", "SELEKT 1", "SELECT 1 / 0"])
async def test_a_statement_that_is_wrong_is_not_hidden(cluster: PostgresServer, statement: str) -> None:
    database = postgres_database.Database(cluster.url, schema="wrong", max_connections=1, statement_cache_size=0)
    await database.open()
    try:
        with pytest.raises(asyncpg.PostgresError):
            await database.rows(statement)
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ("SELECT 1", "permission denied for database postgres; .*GRANT CREATE.*CREATE SCHEMA lambda_kit AUTHORIZATION"),
        ("CREATE SCHEMA lambda_kit", "permission denied for schema lambda_kit; .*CREATE SCHEMA lambda_kit AUTHORIZATI"),
        (
            "CREATE SCHEMA lambda_kit AUTHORIZATION worker; CREATE TABLE lambda_kit.jobs (line text)",
            "already exists; the schema 'lambda_kit' belongs to another application: .*schema=",
        ),
        (
            f"{THEIR_TABLE} (number int); ALTER TABLE lambda_kit.schema_version OWNER TO worker",
            "the schema 'lambda_kit' belongs to another application",
        ),
        (
            f"{THEIR_TABLE} (version text); ALTER TABLE lambda_kit.schema_version OWNER TO worker",
            "the schema 'lambda_kit' belongs to another application",
        ),
    ],
)
async def test_a_start_that_is_refused_says_what_to_do_without_waiting_for_its_own_connection(
    worker_id: "asyncpg.Connection[asyncpg.Record]", url: str, prepare: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_database, "_CALL_SECONDS", 3600.0)  # how long calls under way are waited for
    await worker_id.execute(prepare)
    async with asyncio.timeout(LONG_SECONDS):
        with pytest.raises(ConfigurationError, match=said):
            await PostgresJobStore(url).start()
        while await worker_id.fetchval("SELECT true FROM pg_stat_activity WHERE usename = 'worker'"):
            pass
