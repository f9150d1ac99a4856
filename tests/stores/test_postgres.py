"""The store in PostgreSQL keeps every promise of the port."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.testing import JobStoreContract, ManualClock
from lambda_kit.testing.store_machine import JobStoreMachine, job_store_machine_test
from lambda_kit.testing.store_topics.events import EventPromises
from tests.support.postgres_schema import POSTGRES_URL, empty, new_schema


@pytest.fixture(scope="module")
def tables() -> Iterator[str]:
    """A schema for the tests of this module."""
    with new_schema() as schema:
        yield schema


class TestPostgresJobStore(JobStoreContract):
    @pytest.fixture
    async def store(self, clock: ManualClock, tables: str) -> AsyncIterator[PostgresJobStore]:
        await empty(tables)
        async with PostgresJobStore(POSTGRES_URL, schema=tables, clock=clock) as store:
            yield store


class TestPostgresJobStoreWithASmallLog(EventPromises):
    event_log_size = 50

    @pytest.fixture
    async def store(self, clock: ManualClock, tables: str) -> AsyncIterator[PostgresJobStore]:
        await empty(tables)
        async with PostgresJobStore(POSTGRES_URL, schema=tables, clock=clock, event_log_size=50) as store:
            yield store


class PostgresMachine(JobStoreMachine):
    schema = ""

    def new_store(self, clock: ManualClock) -> PostgresJobStore:
        asyncio.run(empty(self.schema))
        return PostgresJobStore(POSTGRES_URL, schema=self.schema, clock=clock)


@pytest.fixture(scope="module")
def machine_tables(tables: str) -> None:
    PostgresMachine.schema = tables


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("machine_tables")
class TestRandomOperations(job_store_machine_test(PostgresMachine, examples=15, steps=25)):  # type: ignore[misc] # made by a function
    pass
