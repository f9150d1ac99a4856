"""Who watches a store can't harm it, nor the others who watch."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lambda_kit import Job, JobStatus, JobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Change
from tests.support.store_opener import Opener, opener

REQUEST = Payload(b"{}", "application/json")


@pytest.fixture
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opener(request.param, tmp_path) as new_store:
        yield new_store


@pytest.fixture
async def store(new_store: Opener) -> AsyncIterator[JobStore]:
    async with new_store() as store:
        yield store


def broken(_: Change) -> None:
    raise RuntimeError("this watch is broken")


def queue_of(store: JobStore) -> "asyncio.Queue[Change]":
    changes: asyncio.Queue[Change] = asyncio.Queue()
    store.subscribe(changes.put_nowait)
    return changes


async def until_told_of(changes: "asyncio.Queue[Change]", job_id: str) -> None:
    async with asyncio.timeout(60):
        while (await changes.get()).job_id != job_id:
            pass


async def bring_to_its_end(store: JobStore, job_id: str) -> None:
    await store.create(Job(id=job_id, tool="greet", requested_at=0.0), REQUEST)
    ended = await store.request_cancel(job_id)
    assert ended is not None
    assert ended.status is JobStatus.CANCELLED


@pytest.mark.parametrize("new_store", ["memory", "sqlite", "json", "redis", "postgres"], indirect=True)
async def test_a_watch_that_fails_harms_neither_the_store_nor_the_other_watches(
    store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.subscribe(broken)
    told = queue_of(store)
    for job_id in ("one", "two"):
        await bring_to_its_end(store, job_id)
        await until_told_of(told, job_id)
    assert {record.name for record in caplog.records if record.levelno == logging.ERROR} == {"lambda_kit.store"}
    assert "this watch is broken" in caplog.text


@pytest.mark.parametrize("new_store", ["sqlite", "redis", "postgres"], indirect=True)
async def test_a_watch_that_fails_does_not_keep_another_process_from_being_heard(
    store: JobStore, new_store: Opener
) -> None:
    store.subscribe(broken)
    told = queue_of(store)
    async with new_store() as other:
        for job_id in ("one", "two"):
            await bring_to_its_end(other, job_id)
            await until_told_of(told, job_id)
