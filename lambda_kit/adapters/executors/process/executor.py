"""`ProcessExecutor`: runs jobs in worker processes, which can be killed."""

import asyncio
import logging
import os
import pickle
from collections import deque
from typing import TYPE_CHECKING, Any

from lambda_kit.adapters.executors.local import LocalExecutor
from lambda_kit.adapters.executors.process.call import Call
from lambda_kit.adapters.executors.process.check import check_for_process
from lambda_kit.adapters.executors.process.main_guard import refuse_unguarded_main
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.ports.executor import ExecutorHost, ExecutorStats, Run
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.runtime.threads import DaemonPool
from lambda_kit.core.tools.tool import BoundTool, LambdaTool

if TYPE_CHECKING:
    from lambda_kit.adapters.executors.process.links import WorkerLinks
    from lambda_kit.adapters.executors.process.slot import WorkerSlot

__all__ = ["ProcessExecutor"]

_READY_SECONDS = 2.5
"""How long a worker may take to say whether its tools are ready, which have 2 s each."""


class ProcessExecutor(LocalExecutor):
    """Runs each job in a worker process, one job at a time in each. For work that must be bounded: in time and memory.

    A cancelled tool stops at its next report or progress call; one that does not is killed, with what it has started,
    and so is one that is over its time limit. A worker that dies (killed, crashed, out of memory) fails the job that
    it ran, with ``worker-lost``, and no other; another worker takes its place. `ToolOptions.max_attempts` has such a
    job run again.

    Plain `setup`, `run` and `teardown` of a worker's tools are called on its main thread, async ones on its event loop,
    which has the main thread where all tools are async. A plain `is_ready` is called on a thread of its own.

    A worker that ends is noticed and replaced, and so is one whose link to the server a tool has closed, when the tool
    returns, and one that is stopped (SIGSTOP) for 10 s. One that computes for long, or holds the interpreter, counts
    as busy: the job's time limit, or a cancel, ends it.

    Tools are set up (`LambdaTool.setup`) once in each worker, and are sent there by `pickle`: they must be defined at
    the top of a module, and get what can't be pickled in `setup`. A service file must start its server under
    ``if __name__ == "__main__":``, since workers import it. Context variables of the server do not reach the tool.
    Lines that are logged in a worker are logged by the server, with the job's id.

    Args:
        max_workers: How many processes, and so jobs at once. None: as many as there are CPUs for this process.
        memory_limit_bytes: What a worker may allocate, with Python and all that its tools have loaded. A job that needs
            more ends with ``memory-limit``. None: no limit.
        max_jobs_per_worker: After so many jobs a worker is replaced by a new one. None: never.
        stop_seconds: For how long a stop waits for cancelled jobs before it kills them.
        name: What `ToolOptions.executor` calls it.

    Raises:
        ConfigurationError: if a number is too small.
    """

    runs_in_server = False

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        memory_limit_bytes: int | None = None,
        max_jobs_per_worker: int | None = None,
        stop_seconds: float = 2.0,
        name: str = "process",
    ) -> None:
        workers = _cpu_count() if max_workers is None else max_workers
        super().__init__(max_concurrency=workers, stop_seconds=stop_seconds)
        for what, number in (
            ("memory_limit_bytes", memory_limit_bytes),
            ("max_jobs_per_worker", max_jobs_per_worker),
        ):
            if number is not None and number < 1:
                raise ConfigurationError(f"ProcessExecutor: {what}={number}: must be at least 1")
        self.name = name
        self._max_workers = workers
        self._memory_limit_bytes = memory_limit_bytes
        self._max_jobs_per_worker = max_jobs_per_worker
        self._slots: list[WorkerSlot] = []
        self._calls: dict[Run, Call] = {}
        self._waiting: deque[Call] = deque()  # their worker process died while they were being claimed
        self._losses_total = 0
        self._has_ready_hooks = False
        self._last_readiness: str | None = None
        self._links: WorkerLinks | None = None
        self._threads: DaemonPool[Any] = DaemonPool(f"lambda_kit-{name}")

    def check(self, tool: BoundTool) -> None:
        check_for_process(tool)

    async def start(self, host: ExecutorHost) -> None:
        await super().start(host)
        if not host.tools:
            return
        refuse_unguarded_main()
        # services without such tools need not wait for these, and for what they import
        from lambda_kit.adapters.executors.process.links import WorkerLinks  # noqa: PLC0415
        from lambda_kit.adapters.executors.process.messages import Plan  # noqa: PLC0415
        from lambda_kit.adapters.executors.process.slot import WorkerSlot  # noqa: PLC0415

        self._last_readiness = None
        tools = {name: tool.tool for name, tool in host.tools.items()}
        self._has_ready_hooks = any(type(tool).is_ready is not LambdaTool.is_ready for tool in tools.values())
        plan = Plan(
            tools={name: pickle.dumps(tool) for name, tool in tools.items()},
            log_level=logging.root.getEffectiveLevel(),
            memory_limit_bytes=self._memory_limit_bytes,
            max_jobs=self._max_jobs_per_worker,
            is_async=all(tool.signature.is_async for tool in host.tools.values()),
            observers=[_pickled(observer) for observer in host.observers],
        )
        links = self._links = WorkerLinks()
        try:
            await links.open()
            self._slots = [
                WorkerSlot(
                    self.name,
                    plan,
                    links,
                    self._threads,
                    on_free=self._has_become_free,
                    on_lost=self._count_loss,
                    on_no_start=self._end_those_without_a_worker,
                )
                for _ in range(self._max_workers)
            ]
            await asyncio.gather(*(slot.start() for slot in self._slots))
        except BaseException:
            await self.stop()
            raise

    @property
    def capacity(self) -> int | None:
        return sum(slot.has_place for slot in self._slots) if self._slots else self._max_concurrency

    async def stop(self) -> None:
        for slot in self._slots:
            slot.retire()
        await super().stop()
        await asyncio.gather(*(slot.stop() for slot in self._slots))
        self._slots = []
        self._calls.clear()
        self._waiting.clear()
        if self._links is not None:
            await self._links.close()
            self._links = None
        self._threads.close()
        self._threads = DaemonPool(f"lambda_kit-{self.name}")

    async def why_not_ready(self) -> str | None:
        if not self._slots:
            return None
        if not any(slot.is_up or slot.is_renewing for slot in self._slots):
            trouble = next((slot.trouble for slot in self._slots if slot.trouble), "they are being started again")
            return f"executor '{self.name}' has no worker process: {trouble}"
        free = next((slot for slot in self._slots if slot.is_free), None)
        if free is not None and self._has_ready_hooks:
            try:
                async with asyncio.timeout(_READY_SECONDS):
                    self._last_readiness = await free.why_not_ready()
            except TimeoutError:
                self._last_readiness = f"executor '{self.name}': its tools do not say whether they are ready"
        return self._last_readiness

    def stats(self) -> ExecutorStats:
        return ExecutorStats(
            running=len(self._runs), capacity=self._max_concurrency, worker_losses_total=self._losses_total
        )

    async def _invoke(self, run: Run) -> Outcome:
        call = self._calls[run] = Call(run)
        slot = next((slot for slot in self._slots if slot.is_free), None)
        if slot is None:
            self._waiting.append(call)
            self._end_those_without_a_worker()
        else:
            slot.run(call)
        try:
            return await call.outcome
        finally:
            del self._calls[run]

    def _interrupt(self, run: Run) -> None:
        call = self._calls[run]
        call.is_unwanted = True
        slot = self._slot_of(call)
        if slot is not None:
            slot.interrupt(call)
        else:
            call.end(None)

    def _end_by_force(self, run: Run) -> None:
        call = self._calls[run]
        slot = self._slot_of(call)
        if slot is not None:
            slot.kill(call)
        call.end(None)

    def _slot_of(self, call: Call) -> "WorkerSlot | None":
        """Where a job runs. None: it waits for a worker, or has ended."""
        return next((slot for slot in self._slots if slot.has(call)), None)

    def _has_become_free(self, slot: "WorkerSlot") -> None:
        while self._waiting and slot.is_free:
            call = self._waiting.popleft()
            if not call.outcome.done():
                slot.run(call)
        if slot.is_free and self._host is not None:
            self._host.capacity_changed()

    def _end_those_without_a_worker(self) -> None:
        """Let no more jobs wait than workers are being started: the start of the others' has failed."""
        waiting = [call for call in self._waiting if not call.outcome.done()]
        starting = sum(slot.trouble is None and not slot.is_up for slot in self._slots)
        trouble = next((slot.trouble for slot in self._slots if slot.trouble), "none is free")
        for call in waiting[starting:]:
            call.lose(f"another one could not be started: {trouble}")

    def _count_loss(self) -> None:
        self._losses_total += 1


def _pickled(observer: JobObserver) -> bytes:
    try:
        return pickle.dumps(observer)
    except Exception as error:
        name = type(observer).__name__
        raise ConfigurationError(
            f"{name} observes runs in worker processes, and can't be sent there: {error}: leave out what can't be "
            "pickled, or make that when it is first needed"
        ) from error


def _cpu_count() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
