"""What the tools of `benchmarks.sidecar` do: report numbered events, and say how long that took."""

import time

from ivcap_service import EventReporter, GenericEvent
from pydantic import BaseModel

__all__ = ["Answer", "Ask", "work"]


class Ask(BaseModel):
    events: int


class Answer(BaseModel):
    seconds: float


def work(req: Ask, report: EventReporter) -> Answer:
    """Report so many events."""
    began = time.perf_counter()
    for n in range(req.events):
        report.emit(GenericEvent(name="number", options={"n": n}))
    return Answer(seconds=time.perf_counter() - began)
