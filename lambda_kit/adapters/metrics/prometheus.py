"""The numbers of a service in the text formats of Prometheus (docs/metrics.md).

prometheus_client takes a tenth of a second to import, so that is done at the first scrape, on a thread.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from lambda_kit.core.errors import MissingExtraError
from lambda_kit.core.jobs.permits import Load
from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.runtime.threads import off_loop

if TYPE_CHECKING:
    from lambda_kit.adapters.metrics.exposition import Exposition

__all__ = ["MetricsSource", "PrometheusMetrics"]


class MetricsSource(Protocol):
    """Where the numbers come from: a `JobService`."""

    @property
    def statistics(self) -> JobStatistics:
        """What was counted since the server was made."""
        ...

    def load(self) -> Load:
        """What is waiting and running now."""
        ...


class PrometheusMetrics:
    """Answers scrapes. Nothing is shared with another server of this process, nor with prometheus_client's `REGISTRY`.

    Args:
        source: Where the numbers come from.
        why_not_ready: Says why no job can be taken now; None: the service is ready.
    """

    def __init__(self, source: MetricsSource, why_not_ready: Callable[[], Awaitable[str | None]]) -> None:
        self._source = source
        self._why_not_ready = why_not_ready
        self._exposition: Exposition | None = None

    async def render(self, accept: str | None) -> tuple[bytes, str]:
        """All numbers as they are now. To be called on the server's event loop.

        Args:
            accept: The ``Accept`` header of the scrape, by which the format is chosen. None: there is none.

        Returns:
            The text and its content type.

        Raises:
            MissingExtraError: if prometheus_client is not installed.
        """
        if self._exposition is None:
            self._exposition = await off_loop(_make_exposition)
        is_ready = await self._why_not_ready() is None
        # the numbers change on the loop, so they are read there; writing them as text takes longer
        families = self._exposition.families(self._source.statistics, self._source.load(), is_ready=is_ready)
        return await off_loop(self._exposition.encode, families, accept or "")


def _make_exposition() -> "Exposition":
    try:
        from lambda_kit.adapters.metrics.exposition import Exposition  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "prometheus_client":
            raise
        raise MissingExtraError("the exposition for Prometheus", "metrics") from None
    return Exposition()
