"""Cursors of lists: they lead to the next page, and tell a client nothing of the jobs of others."""

from pathlib import Path

import pytest

from lambda_kit import BadRequestError, LambdaTool, MemoryJobStore, Principal, SqliteJobStore
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.job import Payload
from tests.core.running_tools import Ask, a_server

ANN, BOB = Principal("key:ann"), Principal("key:bob")


class Echo(LambdaTool):
    """Echo"""

    async def run(self, req: Ask) -> str:
        return req.text


async def make(jobs: JobService, count: int) -> list[str]:
    """Make jobs; returns their ids, newest first."""
    return [(await jobs.submit("echo", Payload(b"{}", "application/json"))).id for _ in range(count)][::-1]


async def next_cursor(jobs: JobService, *, limit: int = 1) -> str:
    cursor = (await jobs.list(limit=limit)).next_cursor
    assert cursor is not None
    return cursor


async def test_a_cursor_does_not_tell_how_many_jobs_others_have() -> None:
    store = MemoryJobStore()
    async with a_server(Echo, store=store) as server:
        ann, bob = server.jobs.acting_for(ANN), server.jobs.acting_for(BOB)
        cursors: list[str] = []
        for _ in range(3):
            await make(ann, 2)
            number = (await store.list_jobs(principal=ANN.id, limit=1)).next_cursor
            assert number is not None
            with pytest.raises(BadRequestError, match="cursor"):
                await ann.list(cursor=number)
            cursors.append(await next_cursor(ann))
            await make(bob, 20)
    assert len(set(cursors)) == 3
    assert len({len(cursor) for cursor in cursors}) == 1


async def test_a_cursor_leads_on_in_each_process_and_after_a_restart(tmp_path: Path) -> None:
    async with a_server(Echo, store=SqliteJobStore(tmp_path / "jobs.db")) as server:
        made = await make(server.jobs, 5)
        cursor = await next_cursor(server.jobs, limit=2)
        async with a_server(Echo, store=SqliteJobStore(tmp_path / "jobs.db")) as other:
            assert [job.id for job in (await other.jobs.list(cursor=cursor)).jobs] == made[2:]
    async with a_server(Echo, store=SqliteJobStore(tmp_path / "jobs.db")) as server:
        assert [job.id for job in (await server.jobs.list(cursor=cursor)).jobs] == made[2:]


async def test_a_cursor_that_was_changed_or_is_another_services_is_refused() -> None:
    async with a_server(Echo) as server, a_server(Echo) as other:
        await make(server.jobs, 2)
        cursor = await next_cursor(server.jobs)
        for at, digit in enumerate(cursor):
            with pytest.raises(BadRequestError, match="cursor"):
                await server.jobs.list(cursor=f"{cursor[:at]}{int(digit, 16) ^ 1:x}{cursor[at + 1 :]}")
        with pytest.raises(BadRequestError, match="cursor"):
            await other.jobs.list(cursor=cursor)
