"""What tests of worker processes have in common."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another process does it

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lambda_kit import Job, JobSink, ProcessExecutor, Service, ToolServer
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.sink import JobEnd

LONG_SECONDS = 60.0


SERVICE = Service(name="Test", contact={"name": "T", "email": "t@example.com"})


def an_executor(workers: int = 1, **options: Any) -> ProcessExecutor:
    """Workers for all tools of a server that name no other executor."""
    return ProcessExecutor(workers, name="workers", **options)


def a_server(
    *tools: Any, workers: int = 1, sinks: Any = (), executor: ProcessExecutor | None = None, **options: Any
) -> ToolServer:
    """A server whose tools all run in worker processes."""
    executor = an_executor(workers, **options) if executor is None else executor
    return ToolServer(SERVICE, tools=list(tools), executor=executor, sinks=sinks)


class Watcher(JobSink):
    """Sees the events and the ends of jobs as they come."""

    name = "watcher"

    def __init__(self) -> None:
        self.events: list[tuple[Job, Event]] = []
        self.ends: dict[str, tuple[Job, Payload | None]] = {}
        self._news = asyncio.Event()

    async def deliver(
        self, job: Job, events: Sequence[Event], end: JobEnd | None, *, authorization: str | None
    ) -> None:
        self.events += [(job, event) for event in events]
        if end is not None:
            self.ends[job.id] = (job, end.result)
        self._news.set()
        self._news = asyncio.Event()

    async def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait until what has been seen fulfils a condition; returns what that gives."""
        async with asyncio.timeout(LONG_SECONDS):
            while not (found := condition()):
                await self._news.wait()
        return found

    def reports(self, text: str) -> list[Job]:
        """The jobs that reported that text."""
        return [job for job, event in self.events if text.encode() in event.body]


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until something that another process does has become true; returns what that gives."""
    async with asyncio.timeout(LONG_SECONDS):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and was not waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def children_of(pid: int) -> set[int]:
    """The processes that a process has started, without multiprocessing's own helper."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid and b"resource_tracker" not in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
    return found


def workers_here() -> set[int]:
    """The worker processes of this process, which may have started services for other tests too."""
    found: set[int] = set()
    for pid in children_of(os.getpid()):
        with suppress(OSError):
            if b"multiprocessing.spawn" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found
