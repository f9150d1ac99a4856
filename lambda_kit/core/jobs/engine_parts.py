"""`EngineParts`: makes the parts of a `JobEngine`, and connects them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.jobs.admission import Admission
from lambda_kit.core.jobs.authorization_sealer import Sealer
from lambda_kit.core.jobs.awaited_deliveries import AwaitedDeliveries
from lambda_kit.core.jobs.caller_limits import CallerLimits
from lambda_kit.core.jobs.caller_shares import CallerShares
from lambda_kit.core.jobs.callers import Callers
from lambda_kit.core.jobs.change_handler import ChangeHandler
from lambda_kit.core.jobs.creator import JobCreator
from lambda_kit.core.jobs.cursors import Cursors
from lambda_kit.core.jobs.dropped_deliveries import DroppedDeliveries
from lambda_kit.core.jobs.fetched_results import FetchedResults
from lambda_kit.core.jobs.housekeeping import Housekeeping
from lambda_kit.core.jobs.job_table import JobTable
from lambda_kit.core.jobs.lease_keeper import LeaseKeeper
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.jobs.outbox_relay import OutboxRelay
from lambda_kit.core.jobs.reconciler import Reconciler
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.semaphore import DistributedSemaphore
from lambda_kit.core.jobs.settings import JobSettings, Pauses, Roles
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.jobs.submitter import Submitter
from lambda_kit.core.jobs.waiting import Followers, Waiters
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.background import Background
from lambda_kit.core.runtime.retry import BackOff, Outage
from lambda_kit.core.runtime.turns import Turns
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["EngineParts"]


class EngineParts(ABC):
    """The parts of an engine for one store.

    Args:
        tools: What can be run.
        store: Holds the truth. The engine starts and stops it.
        executors: By name; each tool's `BoundTool.executor` must be among them.
        sinks: Receive events and ends.
        observers: See jobs come, start and end.
        settings: Durations and limits.
        sealer: Encrypts the authorizations that are kept with jobs.
        roles: Whether this process takes requests, runs jobs, or both.
        caller_limits: What one caller may have. None: anything.
        pauses: For tests.

    Raises:
        ConfigurationError: if the store does not count what it has to.
    """

    def __init__(
        self,
        tools: Iterable[BoundTool],
        store: JobStore,
        executors: Mapping[str, Executor],
        *,
        sinks: Sequence[JobSink] = (),
        observers: Sequence[JobObserver] = (),
        settings: JobSettings | None = None,
        sealer: Sealer | None = None,
        roles: Roles = "both",
        caller_limits: CallerLimits | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.settings = settings or JobSettings()
        self.statistics = JobStatistics(self.tools)
        self.observers = Observers([self.statistics, *observers])
        self.roles = roles
        self.caller_limits = caller_limits
        self._pauses = pauses or Pauses()
        self.outage = Outage(pauses=self._new_back_off)
        self.background = Background("lambda_kit.service")
        self._executors = dict(executors)
        self._sinks = list(sinks)
        self._sealer = sealer or Sealer(None)
        self._callers = Callers()
        self.cursors = Cursors()
        self._runs_jobs = roles != "accept"
        self.use_store(store)

    @abstractmethod
    def accepts_jobs(self) -> bool:
        """Whether the process is neither starting nor stopping."""

    def use_store(self, store: JobStore) -> None:
        """Make all parts anew, for a store.

        Raises:
            ConfigurationError: if it does not count what it has to.
        """
        limits = self.caller_limits
        if limits is not None and limits.max_unfinished is not None and not store.counts_shares:
            raise ConfigurationError(
                f"CallerLimits(max_unfinished={limits.max_unfinished}): {type(store).__name__} does not count the jobs "
                "of one caller: let its create take max_of_share and set counts_shares (docs/stores.md), or limit only "
                "the rate"
            )
        self.store = store
        self.table = JobTable()
        self.waiters = Waiters()
        self.followers = Followers()
        self.turns = Turns()
        self.stream_turns = Turns(at_once=4)
        self.request_turns = Turns()
        self._make_runner()
        self._make_relays()
        self._reconciler = Reconciler(store, self.table, self.scheduler, self.runner, self.relays)
        self._make_submitter()
        self._make_housekeeping()
        self._change_handler = ChangeHandler(
            store,
            self.table,
            self.scheduler,
            self.runner,
            self.waiters,
            self.followers,
            self.observers,
            self.statistics,
            self.background,
            self.outage,
        )

    def _make_runner(self) -> None:
        self._semaphore = DistributedSemaphore(self.store, lease_seconds=self.settings.lease_seconds)
        self.scheduler = Scheduler(
            self.tools.values(),
            self._executors,
            self._semaphore,
            max_concurrency=self.settings.max_concurrency,
            runs_jobs=self._runs_jobs,
            slot_seconds=self._pauses.slot_seconds,
        )
        self.runner = JobRunner(
            self.table,
            self.store,
            self.scheduler,
            self.waiters,
            self.observers,
            self.settings,
            self._sealer,
            self.outage,
            self.turns,
        )
        self.scheduler.connect(self.runner)

    def _make_relays(self) -> None:
        self._dropped = DroppedDeliveries(
            self.store,
            lambda: [relay.sink.name for relay in self.relays],
            self.statistics,
            delivery_seconds=self.settings.delivery_seconds,
        )
        self.relays = [self._new_relay(sink) for sink in self._sinks]
        self.fetched_results = FetchedResults(self.relays)
        self.awaited_deliveries = AwaitedDeliveries(self.relays)

    def _make_submitter(self) -> None:
        self.admission = Admission(
            self.store,
            self.table,
            self.scheduler,
            self.statistics,
            self.observers,
            max_unfinished=self.settings.max_unfinished,
        )
        limits = self.caller_limits
        shares = None if limits is None else CallerShares(limits, self.store, self._callers, self.admission)
        creator = JobCreator(
            self.store,
            self.table,
            self.scheduler,
            self.runner,
            self.waiters,
            self.relays,
            self.observers,
            self.admission,
            shares,
            self._reconciler,
            runs_jobs=self._runs_jobs,
        )
        self.submitter = Submitter(
            self.store,
            self.table,
            self.scheduler,
            self.waiters,
            self.observers,
            creator=creator,
            admission=self.admission,
            callers=self._callers,
            shares=shares,
            sealer=self._sealer,
            reconciler=self._reconciler,
            worker_id=lambda: self.runner.worker_id,
            runs_jobs=self._runs_jobs,
            delivery_seconds=self.settings.delivery_seconds,
        )

    def _make_housekeeping(self) -> None:
        self._housekeeping = Housekeeping(
            self.store,
            self.table,
            self.scheduler,
            self.runner,
            self._semaphore,
            self._reconciler,
            LeaseKeeper(
                self.store,
                self.runner,
                self._semaphore,
                every_seconds=self.settings.heartbeat_seconds,
                lease_seconds=self.settings.lease_seconds,
            ),
            self._dropped,
            self.settings,
            tools=list(self.tools) if self._runs_jobs else [],
            is_worker=self.roles == "run",
            accepts=self.accepts_jobs,
        )
        self.scheduler.on_release = self._housekeeping.on_permit_released

    # --- sinks ---

    def add_sink(self, sink: JobSink) -> Callable[[], None]:
        """Deliver to one more sink for one life of the engine. To be called before `start`.

        Returns:
            Removes it again. To be called after `stop`.
        """
        relay = self._new_relay(sink)
        self.relays.append(relay)  # its other users have this list too
        return lambda: self.relays.remove(relay)

    def has_sink(self, name: str) -> bool:
        """Whether there is a sink of this name."""
        return any(relay.sink.name == name for relay in self.relays)

    def _new_relay(self, sink: JobSink) -> OutboxRelay:
        return OutboxRelay(
            sink,
            self.store,
            unseal=self._sealer.unseal,
            on_delivered=self._on_delivered,
            on_excused=self._on_excused,
            on_dropped=self._dropped.note_one,
            statistics=self.statistics.sink(sink.name),
            delivery_seconds=self.settings.delivery_seconds,
        )

    def _on_excused(self, job_id: str) -> None:
        self.fetched_results.delivered(job_id)
        self.awaited_deliveries.excused(job_id)

    def _on_delivered(self, job_id: str, was_excused: bool) -> None:
        if not was_excused:
            self.fetched_results.delivered(job_id)
        self.awaited_deliveries.confirmed(job_id)

    def _new_back_off(self) -> BackOff:
        return BackOff(self._pauses.first_retry_seconds, self._pauses.longest_retry_seconds)
