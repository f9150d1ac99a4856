"""Fair shares: how much of the service each caller may use, by `CallerLimits`."""

import functools
import ipaddress
import logging
import math

from cachetools import LRUCache

from lambda_kit.core.errors import RateLimitedError
from lambda_kit.core.jobs.admission import Admission
from lambda_kit.core.jobs.caller_limits import CallerLimits
from lambda_kit.core.jobs.callers import Callers
from lambda_kit.core.model.trusted_proxies import address_of
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["CallerShares"]

logger = logging.getLogger("lambda_kit.access")

_REMEMBERED = 10_000
_UNSURE_SECONDS = 0.1
"""By so much a store's clock, as it is known here, may differ from its own: towards the end it is asked."""

_LEAST_WAIT_SECONDS = 0.001
_NETWORK_BITS = 64
"""Of an IPv6 address: what one subscriber has, who can choose the rest at will (RFC 4291, 2.5.4; RFC 6177)."""

_RATE, _UNFINISHED = '"caller"', '"caller-unfinished"'
"""The names of the two policies, as structured fields have them (RFC 9651)."""

_NO_ADDRESS = (
    "CallerLimits(by_address=True): a request came without a client's address, over a unix socket or from this "
    "process; such requests are not limited. If a proxy sends them: have it send X-Forwarded-For or Forwarded, and "
    "trust it, by --forwarded-allow-ips unix"
)


class CallerShares:
    """Refuses what a caller asks for beyond its share.

    Args:
        limits: What one caller may have.
        store: Counts for all replicas.
        callers: Makes of a caller the hash by which it is counted: it tells nobody else who that is.
        admission: Knows when a job will probably have ended.
    """

    def __init__(self, limits: CallerLimits, store: JobStore, callers: Callers, admission: Admission) -> None:
        self._limits = limits
        self._store = store
        self._callers = callers
        self._admission = admission
        self._policy = _policy_of(limits)
        self._refused_at_until: LRUCache[bytes, tuple[float, float]] = LRUCache(_REMEMBERED)
        self._has_warned = False

    @property
    def max_unfinished(self) -> int | None:
        """How many unfinished jobs one caller may have. None: any number."""
        return self._limits.max_unfinished

    def share_of(self, principal: str | None, address: str | None) -> bytes | None:
        """Whose share a request uses. None: it is not limited.

        Args:
            principal: The id of the principal. None: no authenticator is configured.
            address: The client's IP address. Empty: it has none. None: it is no client, but the service's own code.
        """
        if principal is not None:
            return self._callers.share_of(f"principal\0{principal}")
        if address is None or not self._limits.by_address:
            return None
        network = _network_of(address)
        if network is not None:
            return self._callers.share_of(f"address\0{network}")
        if not self._has_warned:
            self._has_warned = True
            logger.warning(_NO_ADDRESS)
        return None

    async def take(self, share: bytes) -> None:
        """Count a request that would make a job.

        Raises:
            RateLimitedError: if it is one too many.
            UnavailableError: if the store is away.
        """
        rate = self._limits.rate_per_second
        if rate is None:
            return
        now = self._store.now()
        # until then nobody gets a token of this bucket, here or elsewhere: a flood of requests asks the store once
        refused_at, until = self._refused_at_until.get(share, (now, now))
        if not refused_at <= now < until - _UNSURE_SECONDS:
            taken = await self._store.take_token(share, rate_per_second=rate, burst=self._limits.bucket_size)
            if taken.is_taken:
                return
            until = now + taken.wait_seconds(rate)
            self._refused_at_until[share] = (now, until)
        raise self._refused(
            f"you may start {_rate_in_words(rate)}, and {self._limits.bucket_size} at once: come back later",
            _RATE,
            max(until - now, _LEAST_WAIT_SECONDS),
        )

    def full(self, tool: BoundTool) -> RateLimitedError:
        """The error for a caller that has as many unfinished jobs as it may have."""
        return self._refused(
            f"{self._limits.max_unfinished} of your jobs are waiting or running, which is as many as you may have: "
            "come back when one has ended",
            _UNFINISHED,
            self._admission.free_in_seconds(tool),
        )

    def _refused(self, message: str, policy: str, wait_seconds: float) -> RateLimitedError:
        fields = (("ratelimit-policy", self._policy), ("ratelimit", f"{policy};r=0;t={math.ceil(wait_seconds)}"))
        return RateLimitedError(message, retry_after_seconds=wait_seconds, fields=fields)


def _policy_of(limits: CallerLimits) -> str:
    """The ``RateLimit-Policy`` field (draft-ietf-httpapi-ratelimit-headers-11, section 3): q jobs in w seconds."""
    policies: list[str] = []
    if limits.rate_per_second is not None:
        seconds = max(1, math.ceil(limits.bucket_size / limits.rate_per_second))
        quota = max(limits.bucket_size, math.floor(limits.rate_per_second * seconds))
        policies.append(f"{_RATE};q={quota};w={seconds}")
    if limits.max_unfinished is not None:
        policies.append(f'{_UNFINISHED};q={limits.max_unfinished};qu="concurrent-requests"')
    return ", ".join(policies)


def _rate_in_words(rate: float) -> str:
    if rate >= 1:
        return f"{rate:g} job{'' if rate == 1 else 's'} per second"
    return f"one job every {1 / rate:g} seconds"


@functools.lru_cache(maxsize=1024)  # the same clients send many requests, and it takes some 40 µs
def _network_of(address: str) -> str | None:
    """The address, of IPv6 the network, that stands for a client. None: it is no IP address."""
    text = address_of(address.partition("%")[0])  # without the zone of a link-local one
    if text is None or ":" not in text:
        return text
    return str(ipaddress.ip_network((text, _NETWORK_BITS), strict=False))
