"""`JobSettings`: how a server looks after its jobs."""

from dataclasses import dataclass
from typing import Literal

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.tools.options import MAX_SECONDS, require_number

__all__ = ["JobSettings", "Pauses", "Roles"]

Roles = Literal["both", "accept", "run"]
"""What a process does: it takes requests and runs jobs, takes requests only, or runs jobs only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pauses:
    """How long the engine waits before it looks or tries again. For tests: users need not set them."""

    first_retry_seconds: float = 0.1
    """The first pause before the store is asked again that was away; each one is twice as long as the one before."""

    longest_retry_seconds: float = 5.0

    slot_seconds: float = 0.2
    """How often a slot is asked for that another process holds."""

    linger_seconds: float = 5.0
    """After the last job, so long is the service there for those who fetch the results (docs/wire.md, Shutdown)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """How jobs are looked after. All durations are in seconds.

    Raises:
        ConfigurationError: if a value is out of range.
    """

    lease_seconds: float = 10.0
    """For how long a worker may be silent before its jobs are taken from it."""

    heartbeat_seconds: float = 3.0
    """How often leases are renewed and lost jobs are looked for."""

    grace_seconds: float = 25.0
    """For how long a stop waits for the jobs that it has taken."""

    cancel_seconds: float = 2.0
    """For how long a job may clean up after it was asked to end, before it is ended by force or abandoned."""

    store_wait_seconds: float = 60.0
    """For how long a start waits for a store that is away, before it fails."""

    sidecar_wait_seconds: float = 60.0
    """For how long a batch service asks again for the next job where there is no sidecar, or one that answers with
    errors, before it gives up."""

    flush_seconds: float | None = None
    """For how long a stop goes on delivering to sinks what is left: at most as long as the grace time lasts, or 5 s
    where less of it is left. None: `grace_seconds`."""

    delivery_seconds: float = 86_400.0
    """For how long after its end a job is kept for sinks that have not confirmed it, whatever its tool's
    `job_cache_ttl` and `job_cache_size` say; then that is dropped, counted and logged. A sink that no process serves
    for so long is forgotten."""

    max_concurrency: int | None = None
    """How many jobs of all tools run at once in this process; the others wait, and the tools take turns. None: as many
    as the executors run."""

    max_queue: int | None = None
    """How many jobs of all tools may be unfinished in this process, beside `max_concurrency`: more are refused (429).
    None: no bound."""

    def __post_init__(self) -> None:
        for name, least in (
            ("lease_seconds", 0.001),
            ("heartbeat_seconds", 0.001),
            ("grace_seconds", 0.0),
            ("cancel_seconds", 0.0),
            ("store_wait_seconds", 0.0),
            ("delivery_seconds", 0.0),
            ("sidecar_wait_seconds", 0.0),
        ):
            value = getattr(self, name)
            _require_seconds(name, value, least, allows_none=False)
        _require_seconds("flush_seconds", self.flush_seconds, 0.0)
        if self.heartbeat_seconds >= self.lease_seconds:
            raise ConfigurationError(
                f"JobSettings(heartbeat_seconds={self.heartbeat_seconds:g}): leases of {self.lease_seconds:g} s would "
                "run out before they are renewed: set less than lease_seconds, a third of it for example"
            )
        for name, minimum in (("max_concurrency", 1), ("max_queue", 0)):
            value = getattr(self, name)
            require_number("JobSettings", name, value, minimum=minimum, whole=True, error=ConfigurationError)
        if self.max_unfinished == 0:
            raise ConfigurationError(
                "JobSettings(max_queue=0): leaves no room for any job: set max_concurrency too, or a larger max_queue"
            )

    @property
    def max_unfinished(self) -> int | None:
        """How many jobs may be unfinished in this process. None: no bound."""
        return None if self.max_queue is None else self.max_queue + (self.max_concurrency or 0)

    @property
    def flush(self) -> float:
        """For how long a stop goes on delivering what is left."""
        return self.grace_seconds if self.flush_seconds is None else self.flush_seconds


def _require_seconds(name: str, value: float | None, least: float, *, allows_none: bool = True) -> None:
    require_number(
        "JobSettings",
        name,
        value,
        minimum=least,
        maximum=MAX_SECONDS,
        allows_none=allows_none,
        error=ConfigurationError,
    )
