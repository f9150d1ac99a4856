"""`CallerLimits`: how much of a service one caller may use."""

import math
from dataclasses import dataclass

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.tools.options import require_number

__all__ = ["CallerLimits"]

_LEAST_RATE, _MOST = 1e-6, 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class CallerLimits:
    """How much one caller may ask for, so that the others get their share. Without any value nothing is limited.

    A caller is a principal, where there is one. Counted are requests that would make a job: never those that attach to
    a job that is there, nor polls, lists, descriptions or health. More is refused with 429 (`RateLimitedError`), and
    nothing is kept of it. With a shared store the limits hold for all replicas together.

    Raises:
        ConfigurationError: if a value is out of range.
    """

    max_unfinished: int | None = None
    """How many jobs of one caller, of all tools, may be waiting or running. None: any number."""

    rate_per_second: float | None = None
    """How many jobs one caller may make per second in the long run, 0.000001 to 1000000. None: any number."""

    burst: int | None = None
    """How many it may make at once, after a pause of `burst / rate_per_second` seconds. None: as many as it may make
    in one second, and at least 1."""

    by_address: bool = False
    """Whether those without a principal are told apart by their address (of IPv6: by the network, /64). If not, they
    are not limited."""

    def __post_init__(self) -> None:
        for name, least, most, whole in (
            ("max_unfinished", 1, _MOST, True),
            ("rate_per_second", _LEAST_RATE, _MOST, False),
            ("burst", 1, _MOST, True),
        ):
            value = getattr(self, name)
            require_number(
                "CallerLimits", name, value, minimum=least, maximum=most, whole=whole, error=ConfigurationError
            )
        if not isinstance(self.by_address, bool):
            raise ConfigurationError(f"CallerLimits(by_address={self.by_address!r}): must be True or False")
        if self.burst is not None and self.rate_per_second is None:
            raise ConfigurationError(
                f"CallerLimits(burst={self.burst}): says nothing without a rate: set rate_per_second too"
            )

    @property
    def bucket_size(self) -> int:
        """How many jobs one caller may make at once: `burst`, or its default."""
        return max(1, math.ceil(self.rate_per_second or 0.0)) if self.burst is None else self.burst
