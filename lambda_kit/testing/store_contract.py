"""`JobStoreContract`: a test for each promise of the `JobStore` port."""

import pytest

# before the import, so that a failed promise shows the values
pytest.register_assert_rewrite("lambda_kit.testing.store_topics")

from lambda_kit.testing.store_topics.cancel import CancelPromises  # noqa: E402
from lambda_kit.testing.store_topics.claim import ClaimPromises  # noqa: E402
from lambda_kit.testing.store_topics.create import CreatePromises  # noqa: E402
from lambda_kit.testing.store_topics.create_claimed import CreateClaimedPromises  # noqa: E402
from lambda_kit.testing.store_topics.events import EventPromises  # noqa: E402
from lambda_kit.testing.store_topics.finish import FinishPromises  # noqa: E402
from lambda_kit.testing.store_topics.kept_for_sinks import KeptForSinksPromises  # noqa: E402
from lambda_kit.testing.store_topics.leases import LeasePromises  # noqa: E402
from lambda_kit.testing.store_topics.life import LifePromises  # noqa: E402
from lambda_kit.testing.store_topics.lists import ListPromises  # noqa: E402
from lambda_kit.testing.store_topics.outbox import OutboxPromises  # noqa: E402
from lambda_kit.testing.store_topics.retention import RetentionPromises  # noqa: E402
from lambda_kit.testing.store_topics.shares import SharePromises  # noqa: E402
from lambda_kit.testing.store_topics.slots import SlotPromises  # noqa: E402
from lambda_kit.testing.store_topics.subscriptions import SubscriptionPromises  # noqa: E402
from lambda_kit.testing.store_topics.workers import WorkerPromises  # noqa: E402

__all__ = ["JobStoreContract"]


class JobStoreContract(
    CreatePromises,
    CreateClaimedPromises,
    ClaimPromises,
    FinishPromises,
    CancelPromises,
    LeasePromises,
    WorkerPromises,
    ListPromises,
    EventPromises,
    SubscriptionPromises,
    SlotPromises,
    SharePromises,
    OutboxPromises,
    KeptForSinksPromises,
    RetentionPromises,
    LifePromises,
):
    """Subclass it in a test module, and override the fixture `store`.

    ::

        class TestMyStore(JobStoreContract):
            @pytest.fixture
            async def store(self, clock):
                async with MyStore(clock=clock) as store:
                    yield store

    The fixture yields an empty store that is started. pytest and pytest-asyncio are needed; with the latter's strict
    mode, its default, decorate the fixture with ``@pytest_asyncio.fixture``.

    What a store can't do is declared, by the attributes of `StorePromises`: `has_manual_clock`, `time_unit_seconds`,
    `event_log_size`, `keeps_jobs_when_stopped`.
    """
