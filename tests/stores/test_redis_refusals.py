"""A Redis that takes back a password or a right while the store is open, and keys that are not the store's."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from lambda_kit import ConfigurationError, JobStatus, UnavailableError
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.job import Payload
from tests.support.redis_jobs import REQUEST, RESULT, a_job, claimed
from tests.support.redis_server import RedisServer

OLD, NEW = "the-old-one", "the-new-one"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def set_password(server: RedisServer, old: str | None, new: str) -> None:
    """Change the password of the default user, and end all connections that were made with the old one."""
    with redis.Redis(port=server.port, password=old) as raw:
        raw.config_set("requirepass", new)
    with redis.Redis(port=server.port, password=new) as raw:
        for kind in ("normal", "pubsub"):
            raw.client_kill_filter(_type=kind, skipme=True)


async def test_while_a_password_is_being_changed_the_store_is_away_and_nothing_is_lost(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    set_password(server, None, OLD)
    async with RedisJobStore(server.url.replace("//", f"//:{OLD}@")) as store:
        lease = await claimed(store)
        set_password(server, OLD, NEW)
        refusals: set[str] = set()
        for _ in range(3):
            with pytest.raises(UnavailableError, match="refuses the user or the password") as caught:
                await store.finish(lease, RESULT)
            refusals.add(str(caught.value))
        with pytest.raises(UnavailableError, match="refuses the user or the password"):
            await store.create(a_job("big"), Payload(b"x" * 100_000, "text/plain"))
        set_password(server, NEW, OLD)
        assert (await store.finish(lease, RESULT)).status is JobStatus.SUCCEEDED
    assert errors(caplog) == list(refusals)
    for text in (caplog.text, *refusals):
        assert OLD not in text
        assert NEW not in text


@pytest.mark.parametrize("rights", ["-@write", "-@scripting", "resetkeys"])
async def test_while_a_right_is_taken_away_the_store_is_away(
    server: RedisServer, rights: str, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client as raw:
        raw.execute_command(f"ACL SETUSER worker on >{OLD} ~* &* +@all")
        async with RedisJobStore(server.url.replace("//", f"//worker:{OLD}@")) as store:
            lease = await claimed(store)
            raw.execute_command(f"ACL SETUSER worker {rights}")
            for _ in range(3):
                with pytest.raises(UnavailableError, match="does not let this user"):
                    await store.finish(lease, RESULT)
            raw.execute_command("ACL SETUSER worker ~* +@all")
            assert (await store.finish(lease, RESULT)).status is JobStatus.SUCCEEDED
    assert len(errors(caplog)) == 1
    assert "does not let this user" in errors(caplog)[0]


async def test_a_right_that_is_missing_at_the_start_ends_it_also_after_an_outage(server: RedisServer) -> None:
    url = server.url.replace("//", f"//worker:{OLD}@")
    with server.client as raw:
        raw.execute_command(f"ACL SETUSER worker on >{OLD} ~* &* +@all")
        store = RedisJobStore(url)
        async with store:
            await store.create(a_job(), REQUEST)
        raw.execute_command("ACL SETUSER worker -@write")
        with pytest.raises(ConfigurationError, match="does not let this user"):
            await store.start()


@pytest.mark.parametrize("layout", ["a layout", "1.5", "", "٣", b"\xff"])
async def test_a_layout_that_is_no_number_is_another_applications(server: RedisServer, layout: str | bytes) -> None:
    with server.client as raw:
        raw.set("{lambda_kit}:layout", layout)
        with pytest.raises(ConfigurationError, match="which lambda_kit does not write"):
            await RedisJobStore(server.url).start()
        raw.delete("{lambda_kit}:layout")
        raw.rpush("{lambda_kit}:layout", "a list")
        with pytest.raises(ConfigurationError, match="WRONGTYPE"):
            await RedisJobStore(server.url).start()
