"""When to try again what could not be delivered to a sink."""

import logging
import math
import random
from collections.abc import Callable, Collection, KeysView

from lambda_kit.core.jobs.statistics import SinkStatistics
from lambda_kit.core.ports.outbox import Delivery
from lambda_kit.core.ports.sink import DeliveryError
from lambda_kit.core.runtime.retry import BackOff

__all__ = ["Retries"]

logger = logging.getLogger("lambda_kit.delivery")

_LONGEST_PAUSE_SECONDS = 86_400.0
"""Whatever a sink asks for: jobs are not kept for ever."""
_HURRIED_PAUSE_SECONDS = 1.0
"""The longest pause while the service stops."""
_LOGGED_TRIES = 3
"""How many failures in a row of one job are logged as warnings."""


class _Retry:
    """A job whose delivery has failed."""

    __slots__ = ("at", "back_off", "is_excused", "job_id", "tries")

    def __init__(self, job_id: str, back_off: BackOff) -> None:
        self.job_id = job_id
        self.back_off = back_off
        self.at = 0.0
        self.tries = 0
        self.is_excused = False
        """Whether a stop does not wait for it."""


class Retries:
    """The jobs whose deliveries have failed, and whether the sink can be reached at all.

    Args:
        sink: The sink's name, for the log.
        statistics: Counts the failures.
        new_back_off: Makes the pauses for a job.
        probes: The pauses before it is tried again whether the sink can be reached.
    """

    def __init__(
        self, sink: str, statistics: SinkStatistics, new_back_off: Callable[[], BackOff], probes: BackOff
    ) -> None:
        self._sink = sink
        self._statistics = statistics
        self._new_back_off = new_back_off
        self._jobs: dict[int, _Retry] = {}
        self._is_hurried = False
        self._probes = probes
        self.unreachable_until: float | None = None
        """When it is tried whether the sink can be reached again, by the event loop's clock. None: it can be."""
        statistics.is_unreachable = False
        statistics.retrying = 0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> KeysView[int]:
        """The numbers of the jobs that wait for another try."""
        return self._jobs.keys()

    def is_due(self, number: int, now: float) -> bool:
        """Whether a job may be tried now."""
        known = self._jobs.get(number)
        return known is None or known.at <= now

    def holds_up_stop(self, number: int) -> bool:
        """Whether a stop waits for a job's delivery."""
        known = self._jobs.get(number)
        return known is None or not known.is_excused

    def next_at(self, without: Collection[int]) -> float:
        """When the next job is due, but for some."""
        return min((known.at for number, known in self._jobs.items() if number not in without), default=math.inf)

    def hurry(self) -> None:
        """Have all due now, and pause for no more than a second from now on."""
        self._is_hurried = True
        for known in self._jobs.values():
            known.at = 0.0
        if self.unreachable_until is not None:
            self.unreachable_until = 0.0

    def failed(self, delivery: Delivery, error: BaseException, now: float) -> bool:
        """Note and log that a delivery has failed.

        Returns:
            Whether a stop no longer waits for this job.
        """
        self._statistics.failures += 1
        if isinstance(error, DeliveryError) and error.is_unreachable:
            self._unreachable(error, now)
            return False
        self._reached()
        known = self._jobs.get(delivery.number)
        if known is None:
            known = self._jobs[delivery.number] = _Retry(delivery.job_id, self._new_back_off())
        pause = known.back_off.next_pause()
        is_unauthorized = isinstance(error, DeliveryError) and error.is_unauthorized
        if isinstance(error, DeliveryError) and error.retry_after_seconds is not None:
            pause = min(max(error.retry_after_seconds, 0.0), _LONGEST_PAUSE_SECONDS)
        if self._is_hurried:
            pause = min(pause, _HURRIED_PAUSE_SECONDS)
        known.at = now + pause
        self._statistics.retrying = len(self._jobs)
        is_newly_excused = is_unauthorized and not known.is_excused
        if is_newly_excused:
            known.is_excused = True
            self._statistics.unauthorized += 1
        known.tries += 1
        is_news = is_newly_excused if is_unauthorized else known.tries <= _LOGGED_TRIES
        level = logging.WARNING if is_news else logging.DEBUG
        text = "sink %s: job %s was not delivered (%s); trying again in %.1f s"
        logger.log(level, text, self._sink, known.job_id, _text_of(error), pause)
        return is_newly_excused

    def succeeded(self, number: int) -> None:
        """A delivery has succeeded."""
        self._reached()
        self._jobs.pop(number, None)
        self._statistics.retrying = len(self._jobs)

    def keep_only(self, numbers: Collection[int]) -> list[str]:
        """Forget all other jobs, which need no try any more; returns their ids."""
        gone = [self._jobs.pop(number).job_id for number in list(self._jobs) if number not in numbers]
        self._statistics.retrying = len(self._jobs)
        return gone

    def _unreachable(self, error: DeliveryError, now: float) -> None:
        if self.unreachable_until is not None and now < self.unreachable_until:
            return  # one of those that were under way when this was found out
        pause = self._probes.next_pause() * random.uniform(0.75, 1.25)  # noqa: S311 - not for secrets
        if self._is_hurried:
            pause = min(pause, _HURRIED_PAUSE_SECONDS)
        level = logging.WARNING if self.unreachable_until is None else logging.DEBUG
        text = "sink %s can't be reached (%s): all deliveries wait; trying again in %.1f s, and until it is back"
        logger.log(level, text, self._sink, error, pause)
        self.unreachable_until = now + pause
        self._statistics.is_unreachable = True

    def _reached(self) -> None:
        if self.unreachable_until is not None:
            self.unreachable_until = None
            self._statistics.is_unreachable = False
            self._probes.reset()
            logger.info("sink %s is back", self._sink)


def _text_of(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
